"""A new operator process beside objects and egresses of the old one."""

from __future__ import annotations

import pytest

from replay_operator.cluster.gateway import ClusterUnreachable
from tests.builders import at, rfc3339
from tests.contract.rig import Rig
from tests.contract.test_capture_flow import DONE


async def recording(rig: Rig) -> Rig:
    rig.user_creates_buffer(windowSeconds=14400)
    await rig.bring_up()
    return rig


async def test_a_restart_costs_a_recording_buffer_nothing(rig: Rig) -> None:
    old = await recording(rig)
    writes, stops = len(old.cluster.writes), list(old.livekit.stops)
    new = old.restarted()
    new.clock.go_on(5)
    new.segments_arrive()
    await new.look()
    await new.reconcile_buffer()
    assert len(new.cluster.writes) == writes
    assert (len(new.livekit.starts), new.livekit.stops) == (1, stops)


async def test_a_restart_before_the_first_answers_costs_a_recording_buffer_nothing(rig: Rig) -> None:
    old = await recording(rig)
    writes = len(old.cluster.writes)
    new = old.restarted()
    await new.reconcile_buffer()
    assert len(new.cluster.writes) == writes


async def test_a_restart_while_livekit_is_away_stops_and_starts_nothing(rig: Rig) -> None:
    old = await recording(rig)
    old.livekit.away = True
    new = old.restarted()
    for _ in range(5):
        await new.seconds_pass(2)
    assert (len(new.livekit.starts), new.livekit.stops) == (1, [])
    new.livekit.away = False
    await new.seconds_pass(2)
    assert new.buffer_reason == "Recording"
    assert len(new.livekit.starts) == 1


async def test_a_crash_between_start_and_status_leads_to_adoption(rig: Rig) -> None:
    rig.user_creates_buffer()
    await rig.look()
    await rig.reconcile_buffer()
    assert len(rig.livekit.starts) == 1
    new = rig.restarted()
    new.livekit.frames_flow()
    await new.seconds_pass(13)
    assert len(new.livekit.starts) == 1
    assert new.buffer.status.egress is not None
    assert new.buffer.status.egress.id == "EG_1"


@pytest.mark.parametrize("died_in", ["resolved", "pinned", "job made", "cutting", "job ended"])
async def test_a_capture_goes_on_after_a_crash_in_any_phase(rig: Rig, died_in: str) -> None:
    old = await recording(rig)
    old.user_creates_capture(range={"last": {"seconds": 10, "until": rfc3339(at(13))}})
    await old.reconcile_capture()
    if died_in != "resolved":
        await old.policy.publish()
    if died_in in ("job made", "cutting", "job ended"):
        old.clock.go_on(13)
        old.segments_arrive()
        await old.look()
        if died_in == "job made":
            old.cluster.away_for = {"patch replaycaptures"}  # the status that names the Job never arrives
            with pytest.raises(ClusterUnreachable):
                await old.reconcile_capture()
            old.cluster.away_for = set()
        else:
            await old.reconcile_capture()
        assert len(old.job_names) == 1
    if died_in == "job ended":
        old.job_ends(old.job_names[0], condition="Complete", message=DONE)

    new = old.restarted()
    new.clock.go_on(13)
    new.segments_arrive()
    await new.look()
    await new.policy.publish()
    await new.reconcile_capture()
    assert len(new.job_names) == 1
    if died_in != "job ended":
        assert new.capture_reason == "Cutting"
        new.job_ends(new.job_names[0], condition="Complete", message=DONE)
        await new.reconcile_capture()
    assert new.capture_reason == "ClipReady"
    assert new.capture.status.range is not None
    assert new.capture.status.range.end == at(13)


async def test_a_new_process_knows_the_jobs_by_its_own_list_before_it_decides(rig: Rig) -> None:
    old = await recording(rig)
    old.user_creates_capture(range={"last": {"seconds": 10, "until": rfc3339(at(13))}})
    await old.reconcile_capture()
    await old.policy.publish()
    old.clock.go_on(13)
    old.segments_arrive()
    await old.look()
    await old.reconcile_capture()
    new = old.restarted()
    assert await new.reconcile_capture() is None, "it decides nothing yet"
    await new.look()
    calls = len(new.cluster.calls)
    await new.reconcile_capture()
    assert len(new.cluster.calls) == calls


async def test_a_restart_tells_no_run_its_clock_again_that_the_agent_knows(rig: Rig) -> None:
    old = await recording(rig)
    told = len(old.agent.run_files)
    new = old.restarted()
    for _ in range(3):
        await new.seconds_pass(5)
    assert len(new.agent.run_files) == told


async def test_a_new_process_tells_a_clock_that_the_one_before_it_could_not(rig: Rig) -> None:
    rig.user_creates_buffer()
    await rig.look()
    await rig.reconcile_buffer()
    rig.livekit.frames_flow()
    rig.clock.go_on(13)
    rig.segments_arrive()
    new = rig.restarted()
    await new.look()
    await new.reconcile_buffer()
    assert len(new.agent.told_clocks()) == 1
