"""Segments in memory: one read for all, within bounds, and not for long."""

from __future__ import annotations

import asyncio
from contextlib import AsyncExitStack
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


async def get(hot: HotSegments, disk: CountingVolume, name: str) -> bytes | None:
    async with hot.lent(name, disk.size, lambda: disk.read(name)) as data:
        return data


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
    assert hot.held_bytes == 30
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
    assert hot.held_bytes == MOST * disk.size


async def test_nothing_stays_for_long(disk: CountingVolume, clock: MovedClock) -> None:
    hot = HotSegments(1000, clock.monotonic, AgentMetrics())
    await get(hot, disk, "a")
    clock.advance(KEPT_SECONDS - 1)
    await get(hot, disk, "a")
    assert disk.reads == ["a"]
    clock.advance(1)
    await get(hot, disk, "a")
    assert disk.reads == ["a", "a"]


async def test_what_is_larger_than_the_memory_is_not_read_into_it(
    disk: CountingVolume, clock: MovedClock
) -> None:
    hot = HotSegments(5, clock.monotonic, AgentMetrics())
    assert await get(hot, disk, "a") is None
    assert (disk.reads, hot.held_bytes) == ([], 0)


async def test_what_is_being_sent_takes_no_more_than_is_kept(disk: CountingVolume, clock: MovedClock) -> None:
    metrics = AgentMetrics()
    hot = HotSegments(35, clock.monotonic, metrics)
    async with AsyncExitStack() as slow_viewers:
        for name in "abc":
            await slow_viewers.enter_async_context(hot.lent(name, disk.size, lambda n=name: disk.read(n)))
        assert await get(hot, disk, "d") is None
        assert await get(hot, disk, "a") == b"a.........", "what is sent to one may be sent to another"
        clock.advance(KEPT_SECONDS)
        assert await get(hot, disk, "a") == b"a.........", "it is still there, and not read again"
        assert (disk.reads, hot.held_bytes) == (["a", "b", "c"], 30)
    assert hot.held_bytes == 0
    assert await get(hot, disk, "d") == b"d........."
    assert 'replay_agent_preview_hot_segments_total{result="full"} 1.0' in metrics.page().body.decode()


async def test_who_goes_away_gives_back_what_he_was_lent(disk: CountingVolume, clock: MovedClock) -> None:
    hot = HotSegments(15, clock.monotonic, AgentMetrics())
    disk.answers.clear()
    viewer = asyncio.create_task(get(hot, disk, "a"))
    await asyncio.sleep(0)
    assert await get(hot, disk, "b") is None
    viewer.cancel()
    with pytest.raises(asyncio.CancelledError):
        await viewer
    disk.answers.set()
    assert await get(hot, disk, "b") == b"b........."


async def test_a_read_that_failed_is_tried_again(disk: CountingVolume, clock: MovedClock) -> None:
    hot = HotSegments(1000, clock.monotonic, AgentMetrics())

    async def fail() -> bytes:
        raise OSError("stale file handle")

    with pytest.raises(OSError, match="stale"):
        async with hot.lent("a", disk.size, fail):
            pass
    assert await get(hot, disk, "a") == b"a........."
