"""What a leader counts and measures while buffers record and captures are cut."""

from __future__ import annotations

import json
import re

import pytest

from replay_operator.cluster.resources import BUFFERS
from replay_operator.controller.live_figures import LiveFigures
from replay_operator.domain.layout import RunPath
from replay_operator.livekit.errors import LiveKitUnreachable
from tests.builders import BUFFER_UID, CAPTURE_UID, NAMESPACE, at, rfc3339
from tests.contract.rig import Outside, Rig
from tests.contract.test_capture_flow import DONE, until_cutting

DURATION = "replay_buffer_capture_duration_seconds"
TAIL = "replay_operator_capture_tail_seconds"
UNCOVERED = "replay_operator_uncovered_seconds_total"
NAMES = {"alice", "alice-screen", "standup", "goal", "team", BUFFER_UID, "user-42"}


@pytest.fixture
async def recording(rig: Rig) -> Rig:
    """A buffer whose first segment, of the instants 0 to 6, has come at 13."""
    rig.user_creates_buffer(windowSeconds=14400, owner="user-42")
    await rig.bring_up()
    return rig


@pytest.fixture
async def asked(recording: Rig) -> Rig:
    """A capture of the instants 3 to 13, asked for at 13."""
    recording.user_creates_capture(range={"last": {"seconds": 10, "until": rfc3339(at(13))}})
    return recording


def value(rig: Rig, name: str, **labels: str) -> float | None:
    rig.metrics.page()  # some figures are taken when somebody asks
    return rig.metrics.registry.get_sample_value(name, labels)


async def next_run(rig: Rig, *, oldest: float, newest: float) -> None:
    """The first segment of another run comes, and the agent tells of it."""
    path = RunPath(NAMESPACE, BUFFER_UID, f"next-{oldest:g}")
    rig.agent.segment_arrives(path, since=at(oldest), newest=at(newest))
    await rig.operator.coverage.refresh()


async def test_a_capture_is_one_attempt_however_often_it_is_looked_at_and_one_clip(asked: Rig) -> None:
    await until_cutting(asked)
    assert value(asked, "replay_buffer_capture_attempts_total") == 1
    assert value(asked, "replay_buffer_captures_total") == 0
    asked.job_ends(asked.job_names[0], condition="Complete", message=DONE)
    await asked.reconcile_capture()
    await asked.reconcile_capture()
    assert value(asked, "replay_buffer_capture_attempts_total") == 1
    assert value(asked, "replay_buffer_captures_total") == 1


async def test_a_restart_counts_no_capture_again(asked: Rig) -> None:
    await until_cutting(asked)
    later = asked.restarted()
    await later.look()
    later.job_ends(asked.job_names[0], condition="Complete", message=DONE)
    await later.reconcile_capture()
    assert value(later, "replay_buffer_capture_attempts_total") == 0
    assert value(later, "replay_buffer_captures_total") == 1


async def test_a_capture_takes_from_its_last_segment_on_disk_until_it_is_ready(asked: Rig) -> None:
    await until_cutting(asked)  # a segment that ends at 19 came at 26: the one that ends at 13 came at 20
    asked.clock.go_on(2.5)
    asked.job_ends(asked.job_names[0], condition="Complete", message=DONE)
    await asked.reconcile_capture()
    assert value(asked, f"{DURATION}_count") == 0, "nobody has said yet when its last segment came"
    await asked.operator.coverage.refresh()
    await asked.operator.coverage.refresh()
    assert value(asked, f"{DURATION}_count") == 1
    assert value(asked, f"{DURATION}_sum") == pytest.approx(8.5)
    assert value(asked, f"{TAIL}_sum") == pytest.approx(7)


async def test_later_segments_do_not_make_a_capture_look_quicker(asked: Rig) -> None:
    await until_cutting(asked)
    asked.clock.go_on(13)
    asked.segments_arrive()  # its newest instant is 32 now, three segments on
    asked.job_ends(asked.job_names[0], condition="Complete", message=DONE)
    await asked.reconcile_capture()
    await asked.operator.coverage.refresh()
    # One that ends at 32 came at 39, so one that ends at 14 came at 21.
    assert value(asked, f"{DURATION}_sum") == pytest.approx(18)


async def test_a_clip_that_ends_where_the_recording_did_is_measured_too(asked: Rig) -> None:
    await until_cutting(asked)
    (runs,) = asked.agent.runs.values()
    for name, run in runs.items():
        runs[name] = run.model_copy(update={"newest": at(12), "arrived_at": at(20), "ended": True})
    asked.job_ends(asked.job_names[0], condition="Complete", message=DONE)
    await asked.reconcile_capture()
    await asked.operator.coverage.refresh()
    assert value(asked, f"{DURATION}_count") == 0, "the rest may be on its way"
    asked.clock.go_on(6)
    await asked.operator.coverage.refresh()
    assert value(asked, f"{DURATION}_sum") == pytest.approx(6)


async def test_an_agent_that_stays_away_leaves_a_capture_unmeasured(asked: Rig) -> None:
    await until_cutting(asked)
    asked.agent.runs.clear()
    await asked.operator.coverage.refresh()
    asked.job_ends(asked.job_names[0], condition="Complete", message=DONE)
    await asked.reconcile_capture()
    asked.clock.go_on(121)
    await asked.operator.coverage.refresh()
    asked.segments_arrive()
    await asked.operator.coverage.refresh()
    assert value(asked, f"{DURATION}_count") == 0


async def test_seconds_between_two_runs_are_uncovered(recording: Rig) -> None:
    assert value(recording, UNCOVERED) == 0
    await next_run(recording, oldest=9.5, newest=15)
    assert value(recording, UNCOVERED) == pytest.approx(3.5), "the first run ends at 6"
    await recording.operator.coverage.refresh()
    assert value(recording, UNCOVERED) == pytest.approx(3.5), "a hole is counted once"


async def test_a_hand_over_uncovers_nothing(recording: Rig) -> None:
    await next_run(recording, oldest=5, newest=15)
    assert value(recording, UNCOVERED) == 0


async def test_a_hole_is_counted_though_the_window_has_left_the_run_before_it(recording: Rig) -> None:
    recording.agent.runs.clear()
    await recording.operator.coverage.refresh()
    await next_run(recording, oldest=906, newest=912)
    assert value(recording, UNCOVERED) == pytest.approx(900)


@pytest.mark.parametrize("reason", ["SourceGone", "WaitingForSource", "Suspended"])
async def test_time_in_which_there_was_nothing_to_record_is_no_hole(recording: Rig, reason: str) -> None:
    for state in (reason, "Starting"):
        body = recording.cluster.stored(BUFFERS, NAMESPACE, "alice-screen")
        told = next(c for c in body["status"]["conditions"] if c["type"] == "Recording")
        told |= {"reason": state, "status": "False"}
        recording.buffers.put(recording.cluster.add(BUFFERS, body))
        await recording.operator.coverage.refresh()
    await next_run(recording, oldest=100, newest=106)
    assert value(recording, UNCOVERED) == 0
    await next_run(recording, oldest=108, newest=112)
    assert value(recording, UNCOVERED) == pytest.approx(2), "what is lost afterwards counts again"


async def test_the_age_of_the_newest_segment_grows_while_none_comes(recording: Rig) -> None:
    worst = "replay_operator_newest_segment_age_seconds"
    assert value(recording, worst, percentile="100") == pytest.approx(7)
    assert value(recording, "replay_operator_stale_buffers") == 0
    recording.clock.go_on(16.5)
    await recording.operator.coverage.refresh()
    assert value(recording, worst, percentile="100") == pytest.approx(23.5)
    assert value(recording, "replay_operator_stale_buffers") == 1, "3 x 6 + 5 s have passed"


async def test_a_silent_agent_is_told_as_such_and_makes_no_buffer_stale(recording: Rig) -> None:
    LiveFigures(recording.operator, recording.metrics)
    recording.agent.away = True
    recording.clock.go_on(90)
    await recording.operator.coverage.refresh()
    assert value(recording, "replay_operator_agent_silent_seconds") == pytest.approx(90)
    assert value(recording, "replay_operator_stale_buffers") == 0


async def test_the_worst_drift_of_a_clock_is_told(recording: Rig) -> None:
    (runs,) = recording.agent.runs.values()
    for name, run in runs.items():
        runs[name] = run.model_copy(update={"clock_shift_milliseconds": -700})
    await recording.operator.coverage.refresh()
    assert value(recording, "replay_operator_clock_shift_seconds") == pytest.approx(0.7)


async def test_calls_to_livekit_are_counted_by_what_came_of_them(recording: Rig) -> None:
    calls = "replay_operator_livekit_calls_total"
    assert value(recording, calls, call="start", result="ok") == 1
    before = value(recording, calls, call="list", result="ok")
    recording.livekit.away = True
    await recording.look()
    assert value(recording, calls, call="list", result="LiveKitUnreachable") == 1
    assert value(recording, calls, call="list", result="ok") == before
    assert value(recording, "replay_operator_livekit_call_seconds_count", call="start") == 1


async def test_a_livekit_that_does_not_answer_is_told(recording: Rig) -> None:
    LiveFigures(recording.operator, recording.metrics)
    assert value(recording, "replay_operator_livekit_silent_seconds") == 0
    recording.livekit.away = True
    await recording.look()
    recording.clock.go_on(40)
    assert value(recording, "replay_operator_livekit_silent_seconds") == pytest.approx(40)


async def test_no_series_names_a_buffer_a_room_or_a_person(asked: Rig) -> None:
    LiveFigures(asked.operator, asked.metrics)
    asked.livekit.failing_starts.append((LiveKitUnreachable("alice of standup"), False))
    await until_cutting(asked)
    asked.job_ends(asked.job_names[0], condition="Complete", message=DONE)
    await asked.reconcile_capture()
    await asked.operator.coverage.refresh()
    asked.metrics.page()
    series = [sample for family in asked.metrics.registry.collect() for sample in family.samples]
    assert len(series) > 150
    found = {label for sample in series for label in sample.labels.values()}
    assert {label for label in found if any(name in label for name in NAMES)} == set()


async def test_the_number_of_series_does_not_grow_with_the_buffers() -> None:
    counts: list[int] = []
    for number in (1, 50):
        rig = Rig(Outside())
        for index in range(number):
            rig.user_creates_buffer(name=f"screen-{index}", uid=f"{index:08x}{BUFFER_UID[8:]}")
        await rig.look()
        for found in tuple(rig.buffers):
            await rig.operator.buffers.reconcile(found.metadata.uid)
        await rig.look()
        rig.metrics.page()
        counts.append(sum(len(family.samples) for family in rig.metrics.registry.collect()))
    assert counts[1] == counts[0]


async def test_openmetrics_shows_which_capture_took_how_long(asked: Rig) -> None:
    await until_cutting(asked)
    asked.job_ends(asked.job_names[0], condition="Complete", message=DONE)
    await asked.reconcile_capture()
    await asked.operator.coverage.refresh()
    page = asked.metrics.page("application/openmetrics-text; version=1.0.0")
    assert page.content_type.startswith("application/openmetrics-text")
    assert re.search(rf"{DURATION}_bucket.* # {{capture_uid=\"{CAPTURE_UID}\"}}", page.body.decode())
    assert json.dumps(CAPTURE_UID) not in asked.metrics.page().body.decode(), "only there"
