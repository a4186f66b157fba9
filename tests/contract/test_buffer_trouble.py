"""A buffer in trouble: vanished, doubled, dead or deleted egresses, and parts that are away."""

from __future__ import annotations

from dataclasses import replace

import pytest

from replay_operator.cluster.gateway import ClusterUnreachable
from replay_operator.cluster.resources import BUFFERS
from replay_operator.controller.keys import Key, Kind
from replay_operator.domain.egress import EgressState
from replay_operator.livekit.errors import EgressWorkerSilent, LiveKitUnreachable
from tests.builders import BUFFER_UID, NAMESPACE
from tests.contract.rig import Rig, run_of


@pytest.fixture
async def recording(rig: Rig) -> Rig:
    """A buffer that records, and will not tell of a fuller window for an hour."""
    rig.user_creates_buffer(windowSeconds=14400)
    await rig.bring_up()
    assert rig.buffer_reason == "Recording"
    return rig


async def test_an_egress_that_vanishes_from_the_list_but_is_alive_is_left_alone(recording: Rig) -> None:
    writes = len(recording.cluster.writes)
    recording.livekit.hidden = {"EG_1"}
    for _ in range(5):
        await recording.seconds_pass(2)
    assert (len(recording.livekit.starts), recording.livekit.stops) == (1, [])
    assert len(recording.cluster.writes) == writes


async def test_an_egress_that_vanished_and_is_over_is_replaced(recording: Rig) -> None:
    egress = recording.livekit.egresses["EG_1"]
    recording.livekit.egresses["EG_1"] = replace(egress, state=EgressState.COMPLETE)
    recording.clock.go_on(2)
    await recording.look()
    await recording.reconcile_buffer()
    assert len(recording.livekit.starts) == 2


async def test_an_egress_that_livekit_has_forgotten_is_replaced_when_its_segments_no_longer_come(
    recording: Rig,
) -> None:
    writes = len(recording.cluster.writes)
    recording.livekit.egresses.clear()
    await recording.seconds_pass(2)
    assert (len(recording.livekit.starts), len(recording.cluster.writes)) == (1, writes)
    for _ in range(8):
        await recording.seconds_pass(2)
    assert len(recording.livekit.starts) == 2


async def test_nothing_is_started_while_nobody_can_say_whether_a_vanished_egress_lives(
    recording: Rig,
) -> None:
    recording.livekit.hidden = {"EG_1"}
    recording.livekit.failing_gets.append(LiveKitUnreachable("time ran out"))
    recording.clock.go_on(2)
    await recording.look()
    await recording.reconcile_buffer()
    assert (len(recording.livekit.starts), recording.livekit.stops) == (1, [])


async def test_a_vanished_egress_is_asked_for_until_livekit_says_what_became_of_it(recording: Rig) -> None:
    recording.livekit.hidden = {"EG_1"}
    recording.livekit.failing_gets.extend(LiveKitUnreachable("time ran out") for _ in range(3))
    for _ in range(6):
        await recording.seconds_pass(2)
    assert (len(recording.livekit.starts), recording.livekit.stops) == (1, [])


async def test_a_livekit_that_is_away_changes_nothing_for_a_buffer_that_records(recording: Rig) -> None:
    writes = len(recording.cluster.writes)
    recording.livekit.away = True
    for _ in range(20):
        await recording.seconds_pass(2)
    assert (len(recording.livekit.starts), recording.livekit.stops) == (1, [])
    assert len(recording.cluster.writes) == writes


async def test_an_agent_that_is_away_makes_recording_unknown_and_restarts_nothing(recording: Rig) -> None:
    recording.agent.away = True
    for _ in range(30):
        await recording.seconds_pass(2)
    assert recording.buffer_reason == "CoverageUnknown"
    assert (len(recording.livekit.starts), recording.livekit.stops) == (1, [])
    recording.agent.away = False
    await recording.seconds_pass(2)
    assert recording.buffer_reason == "Recording"


async def test_of_two_egresses_the_younger_is_stopped_once(recording: Rig) -> None:
    (first,) = recording.livekit.egresses.values()
    prefix = replace(run_of(first), run="20261123T120100Z-ffffff").filename_prefix("/buffer")
    younger = replace(first, id="EG_9", filename_prefix=prefix, started_at_ns=first.started_at_ns + 10**9)
    recording.livekit.egresses["EG_9"] = younger
    for _ in range(4):
        await recording.seconds_pass(2)
    assert recording.livekit.stops == ["EG_9"]
    assert len(recording.livekit.starts) == 1


async def test_a_run_without_new_segments_is_stopped_and_recorded_again(recording: Rig) -> None:
    recording.clock.go_on(2 * 6 + 3 + 0.1)
    await recording.look()
    await recording.reconcile_buffer()
    assert recording.livekit.stops == ["EG_1"]
    assert len(recording.livekit.starts) == 2
    assert recording.buffer_reason == "RunSilent"


async def test_an_egress_of_a_dead_worker_does_not_keep_its_successor_from_recording(recording: Rig) -> None:
    recording.livekit.failing_stops["EG_1"] = EgressWorkerSilent("no response")
    recording.clock.go_on(15.1)
    await recording.look()
    await recording.reconcile_buffer()
    recording.clock.go_on(1)
    recording.livekit.frames_flow()
    successor = recording.livekit.egresses["EG_2"]
    for _ in range(4):
        recording.clock.go_on(6)
        assert successor.media_started_at is not None
        recording.agent.segment_arrives(run_of(successor), since=successor.media_started_at)
        await recording.look()
        await recording.reconcile_buffer()
    assert recording.buffer_reason == "Recording"
    assert recording.buffer.status.egress is not None
    assert recording.buffer.status.egress.id == "EG_2"
    assert len(recording.livekit.starts) == 2


async def test_an_egress_that_ends_by_itself_is_neither_stopped_nor_followed(recording: Rig) -> None:
    recording.livekit.rooms.clear()
    ending = replace(recording.livekit.egresses["EG_1"], state=EgressState.ENDING)
    recording.livekit.egresses["EG_1"] = ending
    recording.clock.go_on(2)
    await recording.look()
    await recording.reconcile_buffer()
    assert recording.buffer_reason == "SourceGone"
    assert recording.livekit.stops == []


async def test_the_status_says_why_livekit_ended_a_recording(recording: Rig) -> None:
    (egress,) = recording.livekit.egresses.values()
    over = replace(egress, state=EgressState.COMPLETE, details="End reason: CPU exhausted")
    recording.livekit.egresses[egress.id] = over
    recording.livekit.hidden.add(egress.id)  # a list of active egresses lacks it from now on
    recording.clock.go_on(2)
    await recording.look()
    await recording.reconcile_buffer()
    assert recording.buffer_reason == "CPUExhausted"
    assert len(recording.livekit.starts) == 2
    writes = recording.buffer_status_writes
    recording.livekit.frames_flow()
    await recording.seconds_pass(13)
    assert recording.buffer_reason == "Recording"
    assert recording.buffer_status_writes == writes + 1, "one text until the next run records"


async def test_what_became_of_an_unanswered_start_is_asked_for_before_it_is_waited_for(rig: Rig) -> None:
    rig.user_creates_buffer()
    rig.livekit.failing_starts.append((LiveKitUnreachable("500 internal"), True))
    await rig.look()
    await rig.reconcile_buffer()
    assert rig.buffer_reason == "Starting", "the egress is there: it is adopted at once"
    await rig.reconcile_buffer()
    assert len(rig.livekit.starts) == 1


async def test_a_start_that_failed_on_its_worker_is_tried_again_without_the_long_wait(rig: Rig) -> None:
    rig.user_creates_buffer()
    rig.livekit.failing_starts.append((LiveKitUnreachable("500 internal"), True))
    rig.livekit.born_over = EgressState.FAILED
    await rig.look()
    delay = await rig.reconcile_buffer()
    assert rig.buffer_reason == "EgressFailed"
    assert delay == pytest.approx(1)
    rig.livekit.born_over = None
    rig.clock.go_on(1)
    await rig.look()
    await rig.reconcile_buffer()
    assert len(rig.livekit.starts) == 2


async def test_fixed_tracks_that_nobody_publishes_are_refused_without_an_egress(rig: Rig) -> None:
    rig.user_creates_buffer(source={"tracks": {"video": "TR_VCunknown"}})
    for _ in range(4):
        await rig.look()
        delay = await rig.reconcile_buffer()
        rig.clock.go_on(delay or 0)
    assert rig.buffer_reason == "TrackNotFound"
    assert rig.livekit.starts == []
    lookups, writes = rig.livekit.lookups, len(rig.cluster.writes)
    for _ in range(5):
        await rig.seconds_pass(10)
    assert (rig.livekit.lookups, len(rig.cluster.writes)) == (lookups, writes)


async def test_a_deleted_buffer_stops_every_egress_of_its_own(recording: Rig) -> None:
    (first,) = recording.livekit.egresses.values()
    other = replace(run_of(first), run="20261123T120100Z-ffffff").filename_prefix("/buffer")
    strange = f"/buffer/{NAMESPACE}/0ther000-0000-4000-8000-000000000009/r1/seg"
    recording.livekit.egresses |= {
        "EG_8": replace(first, id="EG_8", filename_prefix=other),
        "EG_9": replace(first, id="EG_9", filename_prefix=strange),
    }
    await recording.look()
    recording.user_deletes_buffer()
    assert await recording.reconcile_buffer() is None
    assert recording.livekit.egresses.keys() == {"EG_9"}


async def test_a_deleted_buffer_stops_also_the_egress_that_no_list_has_told_of(rig: Rig) -> None:
    rig.user_creates_buffer()
    await rig.look()
    await rig.reconcile_buffer()
    rig.user_deletes_buffer()
    await rig.reconcile_buffer()
    assert rig.livekit.stops == ["EG_1"]


async def test_a_deletion_is_tried_again_until_livekit_has_stopped_the_egress(recording: Rig) -> None:
    recording.livekit.away = True
    recording.user_deletes_buffer()
    for _ in range(3):
        with pytest.raises(LiveKitUnreachable):  # the queue turns it into another try
            await recording.reconcile_buffer()
    recording.livekit.away = False
    assert await recording.reconcile_buffer() is None
    assert recording.livekit.egresses == {}
    stops = list(recording.livekit.stops)
    await recording.reconcile_buffer()
    assert recording.livekit.stops == stops, "what was stopped is not stopped again"


async def test_an_egress_that_cannot_be_stopped_does_not_shield_the_others_of_a_deleted_buffer(
    recording: Rig,
) -> None:
    (first,) = recording.livekit.egresses.values()
    other = replace(run_of(first), run="20261123T120100Z-ffffff").filename_prefix("/buffer")
    recording.livekit.egresses["EG_8"] = replace(first, id="EG_8", filename_prefix=other)
    recording.livekit.failing_stops["EG_1"] = EgressWorkerSilent("no response")
    await recording.look()
    recording.user_deletes_buffer()
    await recording.reconcile_buffer()
    assert recording.livekit.egresses.keys() == {"EG_1"}
    asked = list(recording.livekit.stops)
    await recording.reconcile_buffer()
    assert recording.livekit.stops == asked, "each refusal costs 3 s: it is not asked for again at once"


async def test_a_status_that_could_not_be_written_does_not_forget_the_start(rig: Rig) -> None:
    rig.user_creates_buffer()
    await rig.look()
    await rig.reconcile_buffer()
    rig.cluster.away_for = {"patch replaybuffers"}
    rig.livekit.frames_flow()
    with pytest.raises(ClusterUnreachable):
        await rig.seconds_pass(13)
    rig.cluster.away_for = set()
    await rig.reconcile_buffer()
    assert rig.buffer_reason == "Recording"
    assert len(rig.livekit.starts) == 1


async def test_an_event_that_cannot_be_posted_holds_nothing_up(rig: Rig) -> None:
    rig.user_creates_buffer()
    rig.cluster.away_for = {"create events"}
    await rig.bring_up()
    assert rig.buffer_reason == "Recording"


async def test_a_buffer_that_is_gone_from_the_api_server_is_not_made_by_its_status(recording: Rig) -> None:
    recording.cluster.remove(BUFFERS, NAMESPACE, "alice-screen")
    recording.clock.go_on(15.1)
    await recording.look()
    await recording.reconcile_buffer()
    assert recording.cluster.all_of(BUFFERS) == []


async def test_a_changed_livekit_wakes_the_buffer_it_belongs_to(recording: Rig) -> None:
    await recording.woken()
    await recording.look()
    assert await recording.woken() == set()
    recording.livekit.egresses.clear()
    await recording.look()
    assert await recording.woken() == {Key(Kind.BUFFER, BUFFER_UID)}


async def test_suspending_stops_the_egress_and_says_so(recording: Rig) -> None:
    body = recording.cluster.stored(BUFFERS, NAMESPACE, "alice-screen")
    body["metadata"]["generation"] = 2
    body["spec"]["suspend"] = True
    recording.buffers.put(recording.cluster.add(BUFFERS, body))
    await recording.reconcile_buffer()
    assert recording.livekit.egresses == {}
    assert recording.buffer_reason == "Suspended"
    assert recording.buffer.status.egress is None
    assert recording.buffer.status.observed_generation == 2
