"""Buffers that record are decided about seldom, and yet in time."""

from __future__ import annotations

from datetime import timedelta

import pytest

from replay_operator.controller.calm import LONGEST
from replay_operator.controller.keys import Key, Kind
from replay_operator.domain.egress import ns_to_datetime
from replay_operator.domain.renewal import max_age
from replay_operator.livekit.errors import NoEgressCapacity
from tests.builders import BUFFER_UID, CAPTURE_UID
from tests.contract.rig import Rig

KEY = Key(Kind.BUFFER, BUFFER_UID)
STALE_SECONDS = 15  # two segments of 6 s and 3 s


async def recording(rig: Rig, **spec: object) -> None:
    rig.user_creates_buffer(windowSeconds=14400, **spec)
    await rig.bring_up()
    await rig.seconds_pass(1)


async def segments_come(rig: Rig, seconds: float) -> None:
    """Time passes and the agent tells of a segment at its end; the buffer is not reconciled."""
    rig.clock.go_on(seconds)
    rig.segments_arrive()
    await rig.look()


def postponed(rig: Rig) -> float | None:
    return rig.operator.postponed(KEY)


async def test_the_recheck_of_a_recording_buffer_moves_on_with_its_segments(rig: Rig) -> None:
    await recording(rig)
    await segments_come(rig, 6)
    rig.clock.go_on(4)
    assert postponed(rig) == STALE_SECONDS - 4


async def test_a_run_that_falls_silent_is_looked_at_when_its_limit_is_reached(rig: Rig) -> None:
    await recording(rig)
    for _ in range(2):
        rig.clock.go_on(STALE_SECONDS / 2)
        await rig.look()  # the agent is there, and has nothing new to tell
    assert postponed(rig) is None
    rig.clock.go_on(0.1)
    await rig.look()
    await rig.reconcile_buffer()
    assert rig.buffer_reason == "RunSilent"


async def test_a_buffer_is_decided_about_all_the_same_from_time_to_time(rig: Rig) -> None:
    await recording(rig)
    for _ in range(int(LONGEST.total_seconds()) // 6 - 1):
        await segments_come(rig, 6)
        assert postponed(rig) is not None
    await segments_come(rig, 6)
    assert postponed(rig) is None


async def test_a_run_that_reaches_its_maximum_age_is_looked_at_in_time(rig: Rig) -> None:
    await recording(rig)
    rig.clock.go_on(7200 * 0.9 - 60)  # runs are renewed up to a tenth before their maximum age
    while len(rig.livekit.starts) == 1:
        rig.clock.go_on(6)
        rig.segments_arrive()
        await rig.look()
        if postponed(rig) is None:
            await rig.reconcile_buffer()
    (egress, _) = rig.livekit.egresses.values()
    age = rig.clock.now - ns_to_datetime(egress.started_at_ns)
    assert age - max_age(rig.buffer, timedelta(hours=2)) <= timedelta(seconds=6)


async def test_an_agent_that_falls_silent_ends_the_calm(rig: Rig) -> None:
    await recording(rig)
    rig.agent.away = True
    rig.clock.go_on(11)
    await rig.look()
    assert postponed(rig) is None


async def test_a_window_that_is_a_quarter_fuller_is_told_in_time(rig: Rig) -> None:
    rig.user_creates_buffer(windowSeconds=80)
    await rig.bring_up()
    await rig.seconds_pass(1)
    assert postponed(rig) is not None
    for _ in range(3):
        await segments_come(rig, 6)
    assert postponed(rig) is None
    await rig.reconcile_buffer()
    assert rig.buffer.status.window is not None
    assert rig.buffer.status.window.seconds == 20


async def test_a_clock_that_has_jumped_is_looked_at_at_once(rig: Rig) -> None:
    await recording(rig)
    await segments_come(rig, 6)
    assert postponed(rig) is not None
    (runs,) = rig.agent.runs.values()
    for name, run in runs.items():
        runs[name] = run.model_copy(update={"clock_shift_milliseconds": -600})
    await rig.look()
    assert postponed(rig) is None


@pytest.mark.parametrize("spoiled", ["egress", "livekit", "start"])
async def test_what_waits_for_something_else_than_its_next_segment_is_never_put_off(
    rig: Rig, spoiled: str
) -> None:
    await recording(rig)
    match spoiled:
        case "egress":
            rig.livekit.egresses.clear()
        case "livekit":
            rig.agent.runs.clear()
        case "start":
            rig.user_deletes_buffer()
    await rig.look()
    await rig.reconcile_buffer()
    assert postponed(rig) is None


async def test_a_hand_over_is_looked_at_each_second(rig: Rig) -> None:
    await recording(rig)
    rig.clock.go_on(7200 - 60)
    rig.segments_arrive()
    rig.clock.go_on(1)
    await rig.look()
    for _ in range(2):
        rig.clock.go_on(1)
        await rig.reconcile_buffer()
        rig.segments_arrive()
        await rig.look()
    assert len(rig.livekit.starts) == 2
    await rig.reconcile_buffer()
    assert len(rig.livekit.egresses) == 2
    assert postponed(rig) is None


async def test_a_wake_is_never_put_off(rig: Rig) -> None:
    await recording(rig)
    await segments_come(rig, 6)
    assert postponed(rig) is not None
    rig.operator.queue.add(KEY)
    assert await rig.woken() == {KEY}


async def test_a_wished_track_that_is_missing_is_looked_for_at_every_recheck(rig: Rig) -> None:
    wish = {"identity": "alice", "video": "ScreenShare", "audio": "ScreenShareAudio"}
    await recording(rig, source={"participant": wish})
    await segments_come(rig, 6)
    assert postponed(rig) is None


async def test_a_flush_that_is_wanted_later_is_not_slept_through(rig: Rig) -> None:
    await recording(rig)
    flushes = rig.operator.flushes
    flushes.ask(CAPTURE_UID, BUFFER_UID, rig.clock.now + timedelta(seconds=40))
    assert await rig.woken() >= {KEY}
    await rig.reconcile_buffer()
    await segments_come(rig, 6)
    assert postponed(rig) is None
    flushes.drop(CAPTURE_UID)
    await rig.reconcile_buffer()
    await segments_come(rig, 6)
    assert postponed(rig) is not None


async def test_a_hand_over_that_found_no_worker_is_tried_again_in_time(
    rig: Rig, monkeypatch: pytest.MonkeyPatch
) -> None:
    await recording(rig, source={"tracks": {"video": "TR_VC1"}})
    monkeypatch.setattr(rig.operator.fleet, "is_doomed", lambda _: True)
    while len(rig.livekit.starts) < 7:  # until the wait for the next try is longer than that for a segment
        rig.livekit.failing_starts.append((NoEgressCapacity("all workers are full"), False))
        await segments_come(rig, 6)
        await rig.reconcile_buffer()
    await segments_come(rig, 6)
    await rig.reconcile_buffer()
    assert len(rig.livekit.starts) == 7
    await segments_come(rig, 6)
    assert postponed(rig) is None
