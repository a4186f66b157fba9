"""What the operator tells when the buffer volume runs out of space, and how often."""

from __future__ import annotations

import asyncio
from contextlib import suppress
from typing import Any

from replay_operator.api.agent import VolumeSpace
from replay_operator.cluster.resources import EVENTS
from tests.builders import BUFFER_UID, NAMESPACE
from tests.contract.rig import Outside, Rig

PATH = f"{NAMESPACE}/{BUFFER_UID}"


async def recording() -> Rig:
    rig = Rig(Outside())
    rig.user_creates_buffer()
    await rig.bring_up()
    return rig


async def told(rig: Rig, reason: str) -> list[dict[str, Any]]:
    """Hear the agent, let the news be told, and give the Events with a reason."""
    await rig.operator.coverage.refresh()
    telling = asyncio.create_task(rig.operator.free_space.run())
    for _ in range(10):
        await asyncio.sleep(0)
    telling.cancel()
    with suppress(asyncio.CancelledError):
        await telling
    return [event for event in rig.cluster.all_of(EVENTS) if event["reason"] == reason]


async def test_a_buffer_that_the_floor_begins_to_trim_gets_one_event_however_long_it_lasts() -> None:
    rig = await recording()
    assert await told(rig, "FreeSpaceFloor") == []
    rig.agent.trimmed_since[PATH] = rig.clock.now
    for _ in range(3):
        (event,) = await told(rig, "FreeSpaceFloor")

    assert event["type"] == "Warning"
    assert event["involvedObject"]["uid"] == BUFFER_UID
    assert "enlarge the volume" in event["message"]


async def test_the_next_time_is_told_again() -> None:
    rig = await recording()
    rig.agent.trimmed_since[PATH] = rig.clock.now
    await told(rig, "FreeSpaceFloor")
    rig.agent.trimmed_since.clear()
    await told(rig, "FreeSpaceFloor")
    rig.clock.go_on(900)
    rig.agent.trimmed_since[PATH] = rig.clock.now

    assert len(await told(rig, "FreeSpaceFloor")) == 2


async def test_the_status_is_not_written_for_it() -> None:
    rig = await recording()
    rig.agent.trimmed_since[PATH] = rig.clock.now
    before = rig.buffer_status_writes
    await told(rig, "FreeSpaceFloor")
    await rig.reconcile_buffer()

    assert rig.buffer_status_writes == before


async def test_a_restarted_operator_does_not_tell_old_news() -> None:
    rig = await recording()
    rig.agent.trimmed_since[PATH] = rig.clock.now
    await told(rig, "FreeSpaceFloor")
    rig.clock.go_on(300)
    after = rig.restarted()
    before = len(after.cluster.writes)

    assert len(await told(after, "FreeSpaceFloor")) == 1
    assert len(after.cluster.writes) == before


async def test_a_buffer_that_is_gone_is_told_nothing() -> None:
    rig = await recording()
    rig.user_deletes_buffer()
    rig.agent.trimmed_since[PATH] = rig.clock.now

    assert await told(rig, "FreeSpaceFloor") == []


async def test_when_nothing_more_may_go_the_claim_gets_one_event() -> None:
    rig = await recording()
    rig.agent.space = VolumeSpace(size_bytes=100, free_bytes=1, floor_bytes=5, missing_bytes=4)
    await told(rig, "FreeSpaceMissing")
    (event,) = await told(rig, "FreeSpaceMissing")

    assert event["involvedObject"]["kind"] == "PersistentVolumeClaim"
    assert event["involvedObject"]["name"] == "replay-buffers"


async def test_a_volume_with_room_is_no_news() -> None:
    rig = await recording()
    rig.agent.space = VolumeSpace(size_bytes=100, free_bytes=50, floor_bytes=5)
    assert await told(rig, "FreeSpaceMissing") == []
