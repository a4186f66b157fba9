"""A buffer comes up: what is written, what is asked of LiveKit, and never twice."""

from __future__ import annotations

import pytest

from replay_operator.cluster.gateway import ClusterUnreachable
from replay_operator.cluster.resources import BUFFERS
from replay_operator.livekit.errors import LiveKitUnreachable, NoEgressCapacity, RoomNotFound
from tests.builders import NAMESPACE, at
from tests.contract.rig import Rig, run_of


async def test_a_user_sees_a_status_before_livekit_is_asked_to_start(rig: Rig) -> None:
    rig.user_creates_buffer()
    rig.cluster.away_for = {"patch replaybuffers"}
    await rig.look()
    with pytest.raises(ClusterUnreachable):
        await rig.reconcile_buffer()
    assert rig.livekit.starts == []


async def test_two_status_writes_bring_a_buffer_up(rig: Rig) -> None:
    rig.user_creates_buffer()
    await rig.bring_up()
    assert rig.buffer_reason == "Recording"
    assert rig.buffer_status_writes == 2
    assert len(rig.cluster.writes_of("events")) <= 3


async def test_a_buffer_that_records_is_told_with_its_egress_run_tracks_and_place(rig: Rig) -> None:
    rig.user_creates_buffer()
    await rig.bring_up()
    status, (egress,) = rig.buffer.status, rig.livekit.egresses.values()
    assert status.egress is not None
    assert status.tracks is not None
    assert status.storage is not None
    assert (status.egress.id, status.egress.run) == (egress.id, run_of(egress).run)
    assert status.egress.started_at == egress.media_started_at
    assert status.tracks.video == "TR_VC1"
    assert status.storage.path == run_of(egress).buffer
    assert status.observed_generation == rig.buffer.metadata.generation


async def test_a_buffer_that_records_costs_no_write_however_often_it_is_reconciled(rig: Rig) -> None:
    rig.user_creates_buffer(windowSeconds=14400)  # a quarter of it takes an hour
    await rig.bring_up()
    before = len(rig.cluster.writes)
    for _ in range(50):
        await rig.seconds_pass(2)
    assert len(rig.cluster.writes) == before
    assert len(rig.livekit.starts) == 1


async def test_a_buffer_that_records_asks_livekit_for_nothing_but_the_shared_list(rig: Rig) -> None:
    rig.user_creates_buffer(windowSeconds=14400)
    await rig.bring_up()
    lookups = rig.livekit.lookups
    for _ in range(20):
        await rig.seconds_pass(2)
    assert rig.livekit.lookups == lookups
    assert rig.livekit.stops == []


async def test_the_run_directory_is_made_before_the_start(rig: Rig) -> None:
    rig.user_creates_buffer()
    rig.livekit.failing_starts.append((RoomNotFound("no room standup"), False))
    await rig.look()
    await rig.reconcile_buffer()
    ((path, run_file),) = rig.agent.run_files
    assert rig.livekit.starts[0].filename_prefix == path.filename_prefix("/buffer")
    assert (run_file.room, run_file.segment_seconds, run_file.egress_id) == ("standup", 6, None)


async def test_without_the_agent_nothing_is_started_until_it_is_back(rig: Rig) -> None:
    rig.user_creates_buffer()
    rig.agent.away = True
    await rig.look()
    delay = await rig.reconcile_buffer()
    assert rig.buffer_reason == "WaitingForStorage"
    assert rig.livekit.starts == []
    assert delay is not None

    rig.agent.away = False
    rig.clock.go_on(delay)
    await rig.look()
    await rig.reconcile_buffer()
    assert len(rig.livekit.starts) == 1


async def test_a_full_fleet_is_waited_for_and_recording_starts_when_there_is_room(rig: Rig) -> None:
    rig.user_creates_buffer()
    rig.livekit.failing_starts.append((NoEgressCapacity("no response from servers"), False))
    await rig.look()
    delay = await rig.reconcile_buffer()
    assert rig.buffer_reason == "WaitingForCapacity"
    assert delay is not None

    await rig.reconcile_buffer()
    assert len(rig.livekit.starts) == 1, "it does not wait before it tries again"

    rig.clock.go_on(delay)
    await rig.bring_up()
    assert rig.buffer_reason == "Recording"
    assert len(rig.livekit.starts) == 2


async def test_a_run_directory_is_never_used_twice(rig: Rig) -> None:
    rig.user_creates_buffer()
    for _ in range(4):
        rig.livekit.failing_starts.append((NoEgressCapacity("full"), False))
        await rig.look()
        delay = await rig.reconcile_buffer()
        rig.clock.go_on(delay or 0)
    prefixes = [request.filename_prefix for request in rig.livekit.starts]
    assert len(prefixes) == 4
    assert len(set(prefixes)) == 4


async def test_a_start_whose_answer_was_lost_is_adopted_from_the_list(rig: Rig) -> None:
    rig.user_creates_buffer()
    rig.livekit.failing_starts.append((LiveKitUnreachable("time ran out"), True))
    await rig.look()
    await rig.reconcile_buffer()
    rig.clock.go_on(2)
    await rig.look()
    rig.livekit.frames_flow()
    await rig.seconds_pass(13)
    assert rig.buffer_reason == "Recording"
    assert len(rig.livekit.starts) == 1
    assert rig.buffer.status.egress is not None
    assert rig.buffer.status.egress.id == "EG_1"


async def test_while_the_outcome_of_a_start_is_unknown_there_is_no_second_one(rig: Rig) -> None:
    rig.user_creates_buffer()
    rig.livekit.failing_starts.append((LiveKitUnreachable("time ran out"), False))
    await rig.look()
    await rig.reconcile_buffer()
    for _ in range(29):
        rig.clock.go_on(1)
        await rig.look()
        await rig.reconcile_buffer()
    assert len(rig.livekit.starts) == 1
    assert rig.buffer_reason == "WaitingForLiveKit"

    rig.clock.go_on(2)
    await rig.reconcile_buffer()
    assert len(rig.livekit.starts) == 1, "the last list was asked for before the outcome was settled"

    await rig.look()
    await rig.reconcile_buffer()
    assert len(rig.livekit.starts) == 2


async def test_our_own_start_is_known_before_a_list_tells_of_it(rig: Rig) -> None:
    rig.user_creates_buffer()
    await rig.look()
    await rig.reconcile_buffer()
    await rig.reconcile_buffer()
    rig.clock.go_on(1)
    await rig.reconcile_buffer()
    assert len(rig.livekit.starts) == 1


async def test_a_source_that_is_not_there_is_waited_for_without_a_failure(rig: Rig) -> None:
    rig.user_creates_buffer()
    rig.livekit.rooms.clear()
    await rig.look()
    delay = await rig.reconcile_buffer()
    assert rig.buffer_reason == "WaitingForSource"
    assert delay == 5
    assert rig.livekit.starts == []


async def test_the_runs_clock_is_told_once_and_only_when_livekit_knows_it(rig: Rig) -> None:
    rig.user_creates_buffer()
    await rig.look()
    await rig.reconcile_buffer()
    rig.clock.go_on(1)
    await rig.look()
    await rig.reconcile_buffer()
    assert rig.agent.told_clocks() == []

    rig.livekit.frames_flow()
    for _ in range(5):
        await rig.seconds_pass(5)
    (egress,) = rig.livekit.egresses.values()
    assert rig.agent.told_clocks() == [(run_of(egress).run, int(at(1).timestamp() * 1e9))]
    told = rig.agent.run_files[-1][1]
    assert (told.egress_id, told.video_track) == (egress.id, "TR_VC1")


async def test_a_clock_that_could_not_be_told_is_told_when_the_agent_is_back(rig: Rig) -> None:
    rig.user_creates_buffer()
    await rig.look()
    await rig.reconcile_buffer()
    rig.livekit.frames_flow()
    rig.clock.go_on(1)
    await rig.look()
    rig.agent.away = True
    assert await rig.reconcile_buffer() == 2
    assert rig.agent.told_clocks() == []
    rig.agent.away = False
    await rig.reconcile_buffer()
    assert len(rig.agent.told_clocks()) == 1


async def test_segments_of_another_length_come_from_a_run_that_takes_over(rig: Rig) -> None:
    rig.user_creates_buffer(segmentSeconds=10)
    await rig.bring_up()
    body = rig.cluster.stored(BUFFERS, NAMESPACE, "alice-screen")
    body["spec"]["segmentSeconds"] = 2
    rig.buffers.put(rig.cluster.add(BUFFERS, body))
    await rig.reconcile_buffer()
    assert [start.segment_seconds for start in rig.livekit.starts] == [10, 2]
    assert (rig.buffer_reason, rig.livekit.stops) == ("Recording", [])
    assert rig.buffer.status.segment_seconds == 10, "it is in force for as long as the run that has it"

    rig.livekit.frames_flow()
    rig.clock.go_on(5)
    rig.segments_arrive()
    await rig.look()
    await rig.reconcile_buffer()
    assert rig.livekit.stops == ["EG_1"]
    await rig.look()
    await rig.reconcile_buffer()
    assert (rig.buffer_reason, rig.buffer.status.segment_seconds) == ("Recording", 2)
