"""A worker without CPU: only it can tell, and its recordings leave it one by one."""

from __future__ import annotations

from replay_operator.domain.decision import Start, Stop
from replay_operator.domain.egress import Egress, RecordedPair
from replay_operator.domain.fleet import FleetMap, WorkerView, changed_egresses
from replay_operator.domain.lifecycle import decide
from replay_operator.domain.observation import CoverageView, LiveKitView, Observation, SourceView
from replay_operator.domain.status_contract import BufferState
from tests.builders import NOW, at, buffer, egress, run_coverage
from tests.fleet_pods import fleet_pod

A = fleet_pod("worker-a")


def told(fleet: FleetMap, cores: float, *egress_ids: str) -> FleetMap:
    return fleet.with_view(WorkerView(A, frozenset(egress_ids), cores))


def starved(fleet: FleetMap, *egress_ids: str) -> set[str]:
    return {id_ for id_ in egress_ids if fleet.is_starved(id_)}


def test_one_answer_is_a_moment_two_are_a_starved_worker_and_one_recording_leaves() -> None:
    once = told(FleetMap().with_pod(A), 0.02, "EG_1", "EG_2")
    assert starved(once, "EG_1", "EG_2") == set()
    twice = told(once, 0.02, "EG_1", "EG_2")
    assert starved(twice, "EG_1", "EG_2") == {"EG_2"}
    assert changed_egresses(once, twice) == {"EG_2"}


def test_when_one_has_left_the_next_waits_for_two_more_answers() -> None:
    twice = told(told(FleetMap().with_pod(A), 0.0, "EG_1", "EG_2"), 0.0, "EG_1", "EG_2")
    left = told(twice, 0.0, "EG_1")
    assert starved(left, "EG_1") == set()
    assert starved(told(left, 0.0, "EG_1"), "EG_1") == {"EG_1"}


def test_cpu_that_is_there_again_or_an_answer_that_is_missing_keeps_everything_where_it_is() -> None:
    twice = told(told(FleetMap().with_pod(A), 0.0, "EG_1"), 0.0, "EG_1")
    assert starved(told(twice, 0.5, "EG_1"), "EG_1") == set()
    assert starved(twice.without_view(A.uid), "EG_1") == set()
    assert starved(twice.without_pod(A.uid), "EG_1") == set()


OLD, NEW = egress(started=-60), egress("EG_two", run="r2", started=-15)


def seen(*egresses: Egress, covered: tuple[str, ...]) -> Observation:
    return Observation(
        livekit=LiveKitView(asked_at=at(-0.1), egresses=egresses),
        source=SourceView(),
        coverage=CoverageView(runs={run: run_coverage(run) for run in covered}, known=True),
        segment_seconds=6,
        wanted_segment_seconds=6,
        runs={"EG_one": "r1", "EG_two": "r2"},
        prefix_of=lambda run: f"/buffer/{run}/seg",
        starved=frozenset({"EG_one", "EG_two"}),
    )


def test_a_starved_recording_is_handed_over_without_a_gap() -> None:
    first = decide(buffer(), seen(OLD, covered=("r1",)), NOW)
    assert first.state is BufferState.RECORDING
    assert first.actions == (Start(RecordedPair(video="TR_VC1", audio=None)),)
    done = decide(buffer(), seen(OLD, NEW, covered=("r1", "r2")), NOW)
    assert [a.egress for a in done.actions if isinstance(a, Stop)] == [OLD]


def test_a_recording_that_has_just_moved_is_not_moved_again_at_once() -> None:
    assert decide(buffer(), seen(NEW, covered=("r2",)), NOW).actions == ()
