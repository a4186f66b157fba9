"""A capture wants the newest instants at once: the run is handed over and stopped, which flushes it."""

from __future__ import annotations

from dataclasses import replace
from datetime import datetime

import pytest

from replay_operator.api.replaybuffer import ReplayBuffer, ReplayBufferStatus
from replay_operator.domain.decision import Decision, Start, Stop
from replay_operator.domain.egress import Egress
from replay_operator.domain.lifecycle import decide
from replay_operator.domain.observation import CoverageView, LiveKitView, Observation, SourceView
from replay_operator.domain.status_contract import BUFFER_CONTRACT, BufferState, conditions_of
from tests.builders import NOW, at, buffer, egress, run_coverage

OLD = egress(started=-200)
YOUNG = egress("EG_two", run="r2", started=0.3)  # its first frame comes at 0.6


def recording() -> ReplayBuffer:
    state = BufferState.RECORDING
    conditions = conditions_of(
        (), BUFFER_CONTRACT[state], reason=state.value, message="m", generation=1, now=NOW
    )
    status = ReplayBufferStatus(observed_generation=1, conditions=conditions)
    return buffer().model_copy(update={"status": status})


def seen(*egresses: Egress, until: datetime | None = NOW, newest: float = -7.0) -> Observation:
    return Observation(
        livekit=LiveKitView(asked_at=at(-0.1), egresses=egresses),
        source=SourceView(),
        coverage=CoverageView(runs={"r1": run_coverage(newest=newest)}, known=True),
        segment_seconds=6,
        wanted_segment_seconds=6,
        runs={"EG_one": "r1", "EG_two": "r2"},
        prefix_of=lambda run: f"/buffer/{run}/seg",
        flush_until=until,
    )


def starts(decision: Decision) -> int:
    return sum(isinstance(a, Start) for a in decision.actions)


def stopped(decision: Decision) -> list[Egress]:
    return [a.egress for a in decision.actions if isinstance(a, Stop)]


def test_wanted_instants_that_are_not_on_disk_start_the_next_run() -> None:
    decision = decide(recording(), seen(OLD), NOW)
    assert starts(decision) == 1
    assert decision.state is BufferState.RECORDING


@pytest.mark.parametrize(
    "at_rest",
    [
        seen(OLD, until=None),
        seen(OLD, newest=0.5),
        seen(OLD, until=at(30)),
        seen(replace(OLD, media_started_at_ns=int(at(-5).timestamp() * 1e9))),
    ],
    ids=["nobody asks", "on disk already", "not yet over", "flushed a moment ago"],
)
def test_a_run_is_not_ended_without_need(at_rest: Observation) -> None:
    assert decide(recording(), at_rest, NOW).actions == ()


def test_the_next_run_is_asked_for_a_moment_before_the_wanted_time_is_over() -> None:
    assert starts(decide(recording(), seen(OLD, until=at(0.9)), NOW)) == 1


def test_the_old_run_is_stopped_when_both_have_recorded_for_a_second() -> None:
    both = seen(OLD, YOUNG)
    assert stopped(decide(recording(), both, at(1.5))) == []
    assert stopped(decide(recording(), both, at(1.7))) == [OLD]
    late = seen(OLD, YOUNG, until=at(3))
    assert stopped(decide(recording(), late, at(2.9))) == []
    assert stopped(decide(recording(), late, at(3))) == [OLD]


def test_a_next_run_without_a_frame_stops_nothing() -> None:
    assert stopped(decide(recording(), seen(OLD, replace(YOUNG, media_started_at_ns=0)), at(5))) == []


def test_the_status_goes_on_saying_that_it_records() -> None:
    decision = decide(recording(), seen(YOUNG), at(2))
    assert decision.state is BufferState.RECORDING
    assert decision.current == YOUNG
    silent = replace(seen(YOUNG), coverage=CoverageView(runs={"r1": run_coverage(arrived=-60)}, known=True))
    assert decide(recording(), silent, at(2)).state is BufferState.STARTING


def test_the_next_flush_does_not_take_the_run_that_the_last_one_began_for_one_that_failed() -> None:
    first = decide(recording(), seen(OLD), NOW)
    took_over = decide(recording(), replace(seen(OLD, YOUNG), memory=first.memory), at(1.7))
    assert stopped(took_over) == [OLD]
    # Nobody has looked since, and now the run has a segment, and somebody else wants its end.
    again = replace(
        seen(YOUNG, until=at(15)),
        coverage=CoverageView(runs={"r2": run_coverage("r2", newest=6.6, arrived=13.3)}, known=True),
        memory=took_over.memory,
    )
    assert starts(decide(recording(), again, at(15))) == 1


def test_instants_that_came_by_themselves_meanwhile_end_the_second_run() -> None:
    decision = decide(recording(), seen(OLD, YOUNG, newest=0.2), at(1))
    assert stopped(decision) == [YOUNG]
