"""Segments in memory: one read for all, within bounds, and not for long."""

from __future__ import annotations

import asyncio
from dataclasses import dataclass, field

import pytest

from replay_operator.agent.metrics import AgentMetrics
from replay_operator.agent.preview.hot_segments import KEPT_SECONDS, MOST, HotSegments
from tests.agent.rig import MovedClock


@dataclass
class CountingVolume:
    """Reads of a volume that answers when it is told to."""

    size: int = 10
    reads: list[str] = field(default_factory=list)
    answers: asyncio.Event = field(default_factory=asyncio.Event)

    async def read(self, name: str) -> bytes:
        self.reads.append(name)
        await self.answers.wait()
        return name.encode().ljust(self.size, b".")


@pytest.fixture
def disk() -> CountingVolume:
    made = CountingVolume()
    made.answers.set()
    return made


async def get(hot: HotSegments, disk: CountingVolume, name: str) -> bytes:
    return await hot.get(name, lambda: disk.read(name))


async def test_fifty_viewers_at_once_are_one_read(disk: CountingVolume, clock: MovedClock) -> None:
    metrics = AgentMetrics()
    hot = HotSegments(1000, clock.monotonic, metrics)
    disk.answers.clear()
    viewers = [asyncio.create_task(get(hot, disk, "a")) for _ in range(50)]
    await asyncio.sleep(0)
    disk.answers.set()

    assert set(await asyncio.gather(*viewers)) == {b"a........."}
    assert disk.reads == ["a"]
    page = metrics.page().body.decode()
    assert 'replay_agent_preview_hot_segments_total{result="miss"} 1.0' in page
    assert 'replay_agent_preview_hot_segments_total{result="shared"} 49.0' in page


async def test_a_viewer_who_leaves_takes_nothing_from_the_others(
    disk: CountingVolume, clock: MovedClock
) -> None:
    hot = HotSegments(1000, clock.monotonic, AgentMetrics())
    disk.answers.clear()
    first = asyncio.create_task(get(hot, disk, "a"))
    second = asyncio.create_task(get(hot, disk, "a"))
    await asyncio.sleep(0)
    first.cancel()
    disk.answers.set()

    assert await second == b"a........."
    assert disk.reads == ["a"]


async def test_it_never_takes_more_than_it_may(disk: CountingVolume, clock: MovedClock) -> None:
    hot = HotSegments(35, clock.monotonic, AgentMetrics())
    for name in "abcd":
        await get(hot, disk, name)
    assert hot.kept_bytes == 30
    await get(hot, disk, "b")
    assert disk.reads == ["a", "b", "c", "d"]
    await get(hot, disk, "e")
    await get(hot, disk, "b")
    assert disk.reads == ["a", "b", "c", "d", "e"], "the least used one went"
    await get(hot, disk, "c")
    assert disk.reads == ["a", "b", "c", "d", "e", "c"]


async def test_it_never_keeps_more_than_a_hundred(disk: CountingVolume, clock: MovedClock) -> None:
    hot = HotSegments(1_000_000, clock.monotonic, AgentMetrics())
    for number in range(MOST + 50):
        await get(hot, disk, str(number))
    assert hot.kept_bytes == MOST * disk.size


async def test_nothing_stays_for_long(disk: CountingVolume, clock: MovedClock) -> None:
    hot = HotSegments(1000, clock.monotonic, AgentMetrics())
    await get(hot, disk, "a")
    clock.advance(KEPT_SECONDS - 1)
    await get(hot, disk, "a")
    assert disk.reads == ["a"]
    clock.advance(1)
    await get(hot, disk, "a")
    assert disk.reads == ["a", "a"]


async def test_what_is_larger_than_the_memory_is_given_and_not_kept(
    disk: CountingVolume, clock: MovedClock
) -> None:
    hot = HotSegments(5, clock.monotonic, AgentMetrics())
    assert await get(hot, disk, "a") == b"a........."
    assert hot.kept_bytes == 0


async def test_a_read_that_failed_is_tried_again(disk: CountingVolume, clock: MovedClock) -> None:
    hot = HotSegments(1000, clock.monotonic, AgentMetrics())

    async def fail() -> bytes:
        raise OSError("stale file handle")

    with pytest.raises(OSError, match="stale"):
        await hot.get("a", fail)
    assert await get(hot, disk, "a") == b"a........."
