"""Faults that histories have found, each as the shortest history that shows it. A mended one is held here."""

from __future__ import annotations

import pytest

from replay_operator.api.meta import ConditionStatus, find_condition
from replay_operator.api.replaybuffer import ReplayBuffer
from replay_operator.domain.health import stale_limit
from replay_operator.domain.status_contract import RECORDING
from tests.unit.simulated_operator import MAX_RUN_AGE, SimulatedOperator
from tests.unit.world import World
from tests.unit.world_livekit import SEGMENT_SECONDS


def recording_world() -> tuple[World, SimulatedOperator]:
    """A buffer that has recorded screen and sound for half a minute."""
    world = World()
    world.livekit.publish("SCREEN_SHARE")
    world.livekit.publish("MICROPHONE")
    operator = SimulatedOperator(world)
    world.livekit.on_hint = operator.hint
    world.time.advance(30.0)
    assert says_recording(world)
    return world, operator


def says_recording(world: World) -> bool:
    status = ReplayBuffer.model_validate(world.api_server.body).status
    said = find_condition(status.conditions, RECORDING)
    return said is not None and said.status is ConditionStatus.TRUE


def test_a_microphone_that_is_published_again_beside_a_screen_is_recorded() -> None:
    world, _ = recording_world()
    world.livekit.unpublish("MICROPHONE")
    world.livekit.publish("MICROPHONE")
    world.time.advance(0.5 * MAX_RUN_AGE.total_seconds())
    assert world.livekit.tracks["MICROPHONE"] in {r.egress.audio_track for r in world.fleet.live()}


def test_a_microphone_that_is_published_again_is_recorded_though_the_first_start_fails() -> None:
    world, _ = recording_world()
    world.faults.starts.append("full")
    world.livekit.unpublish("MICROPHONE")
    world.livekit.publish("MICROPHONE")
    world.time.advance(0.5 * MAX_RUN_AGE.total_seconds())
    assert world.livekit.tracks["MICROPHONE"] in {r.egress.audio_track for r in world.fleet.live()}


def test_a_run_that_has_lost_its_microphone_is_renewed_at_its_age() -> None:
    world, _ = recording_world()
    world.livekit.unpublish("MICROPHONE")
    world.livekit.publish("MICROPHONE")
    world.time.advance(MAX_RUN_AGE.total_seconds() + 120.0)
    assert len(world.livekit.starts) == 3, "the first, one for the new microphone, one for the age"
    (run,) = world.fleet.live()
    assert run.egress.audio_track == world.livekit.tracks["MICROPHONE"]


def test_a_run_that_falls_silent_while_its_handover_waits_is_noticed_at_its_limit() -> None:
    world, _ = recording_world()
    world.faults.starts.extend(["failed"] * 8)
    world.fleet.doom(world.fleet.live()[0].worker)
    world.time.advance(66.0)
    world.livekit.unpublish("SCREEN_SHARE")
    world.time.advance(stale_limit(SEGMENT_SECONDS).total_seconds() + 3.0)
    assert not says_recording(world)


def test_a_successor_without_a_segment_counts_only_while_its_predecessor_s_last_one_is_fresh() -> None:
    world, _ = recording_world()
    record = world.fleet.live()[0]
    world.livekit.leave()
    world.time.advance(0.7)
    world.livekit.start_twice(record)  # by an operator that leads no more
    silent_at = record.arrivals[-1] + stale_limit(SEGMENT_SECONDS).total_seconds()
    world.time.advance(silent_at + 3.0 - world.time.seconds)
    assert not says_recording(world)


def test_an_agent_that_is_away_does_not_cost_a_run_whose_predecessor_died_with_its_worker() -> None:
    world, operator = recording_world()
    ghost = world.fleet.live()[0]
    world.fleet.kill(ghost.worker, noticed_after=0.0)
    world.time.advance(60.0)
    (well,) = world.fleet.live()
    assert ghost.is_listed, "LiveKit lists it as active for ever"
    operator.crash()  # and with it goes what it knew of the pods
    restarted = SimulatedOperator(world)
    world.livekit.on_hint = restarted.hint
    world.time.advance(30.0)
    world.faults.agent = "away"
    world.time.advance(30.0)
    assert world.fleet.live() == [well]


def test_a_run_with_the_tracks_of_now_is_kept_though_its_worker_is_told_to_go() -> None:
    """The run before it records a screen that has gone: to stop the later one would stop the recording."""
    world = World()
    world.livekit.publish("SCREEN_SHARE")
    world.livekit.publish("MICROPHONE")
    operator = SimulatedOperator(world)
    world.livekit.on_hint = operator.hint
    world.time.advance(0.0)
    world.livekit.unpublish("SCREEN_SHARE")
    world.livekit.publish("SCREEN_SHARE")
    world.time.advance(15.0)
    old, new = world.fleet.live()
    assert new.egress.video_track == world.livekit.tracks["SCREEN_SHARE"] != old.egress.video_track
    world.fleet.doom(new.worker)
    world.time.advance(0.7)
    assert new in world.fleet.live()
    world.time.advance(60.0)
    (last,) = world.fleet.live()
    assert last.worker is not new.worker
    assert says_recording(world)


def test_a_new_operator_does_not_take_the_egress_of_a_dead_worker_for_the_one_to_keep() -> None:
    world = World()
    world.livekit.publish("SCREEN_SHARE")
    world.livekit.publish("MICROPHONE")
    first = SimulatedOperator(world)
    world.livekit.on_hint = first.hint
    world.time.advance(5.0)
    (dead,) = world.fleet.live()
    world.fleet.kill(dead.worker, noticed_after=0.0)
    world.time.advance(2.0)
    (alive,) = world.fleet.live()
    first.crash()
    second = SimulatedOperator(world)
    world.livekit.on_hint = second.hint
    world.time.advance(60.0)
    assert [alive] == world.fleet.live()
    assert says_recording(world)


@pytest.mark.parametrize("seconds", [n / 2 for n in range(1, 40)])
def test_a_livekit_that_knows_of_nothing_for_a_while_costs_no_second_run(seconds: float) -> None:
    """Its first right answer may be the one about the room, while the list is still an empty one."""
    world, operator = recording_world()
    world.faults.livekit_blank = True
    world.time.advance(seconds)
    assert says_recording(world), "segments arrive all the time"
    world.faults.livekit_blank = False
    operator.wake()
    world.time.advance(30.0)
    assert len(world.livekit.starts) == 1
    assert says_recording(world)


def test_a_run_that_livekit_has_forgotten_is_replaced_when_it_falls_silent() -> None:
    world, _ = recording_world()
    world.faults.livekit_blank = True
    world.time.advance(3.0)
    world.fleet.kill(world.fleet.live()[0].worker, noticed_after=0.0)
    world.fleet.records.clear()
    world.faults.livekit_blank = False
    world.time.advance(stale_limit(SEGMENT_SECONDS).total_seconds() + 20.0)
    assert len(world.livekit.starts) == 2
    assert says_recording(world)


def test_an_operator_that_cannot_read_a_buffer_leaves_its_recording_alone() -> None:
    world, operator = recording_world()
    operator.crash()
    assert world.api_server.body is not None
    written = world.api_server.body
    world.api_server.body = None
    older = SimulatedOperator(world)
    older.hear(written | {"spec": written["spec"] | {"windowSeconds": "a year"}})
    world.time.advance(60.0)
    (run,) = world.fleet.live()
    assert run.is_live
    older.hear(None)
    world.time.advance(60.0)
    assert not world.fleet.live(), "it was deleted"
