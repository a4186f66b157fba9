"""Segments that several people look at, in memory: a network volume is asked for each of them once."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Hashable

from cachetools import TTLCache

from replay_operator.agent.metrics import AgentMetrics

MOST = 100
KEPT_SECONDS = 60.0
"""Viewers of the live end meet within seconds; one who goes back through the window is alone there."""


class HotSegments:
    """Keeps the last segments that were asked for, within a number of bytes. Only the event loop uses it."""

    def __init__(self, limit_bytes: int, timer: Callable[[], float], metrics: AgentMetrics) -> None:
        """Begin empty.

        Args:
            limit_bytes: What all of them may take; at least 1.
            timer: Gives seconds that only grow.
            metrics: Where it is counted what memory saves.
        """
        self._asked = metrics.preview_hot_segments
        self.limit_bytes = limit_bytes
        # Each counts for a hundredth at least: one bound holds for the bytes and for the number.
        least_bytes = max(1, limit_bytes // MOST)
        self._kept: TTLCache[Hashable, bytes] = TTLCache(
            limit_bytes, KEPT_SECONDS, timer, lambda data: max(least_bytes, len(data))
        )
        self._reading: dict[Hashable, asyncio.Task[bytes]] = {}

    @property
    def kept_bytes(self) -> int:
        """What is in memory."""
        return sum(map(len, self._kept.values()))

    async def get(self, key: Hashable, read: Callable[[], Awaitable[bytes]]) -> bytes:
        """Give a segment; who asks while it is being read waits for the same read.

        Args:
            key: Names the file, and which version of it.
            read: Reads it.

        Raises:
            OSError: It cannot be read.
        """
        kept = self._kept.get(key)
        if kept is not None:
            self._asked.labels("hit").inc()
            return kept
        reading = self._reading.get(key)
        self._asked.labels("miss" if reading is None else "shared").inc()
        if reading is None:
            reading = self._reading[key] = asyncio.create_task(self._read(key, read))
        # A viewer who goes away must not take the read from the others.
        return await asyncio.shield(reading)

    async def _read(self, key: Hashable, read: Callable[[], Awaitable[bytes]]) -> bytes:
        try:
            data = await read()
        finally:
            del self._reading[key]
        if len(data) <= self.limit_bytes:
            self._kept[key] = data
            # The cache lets go only when it is used, and the last viewer may have left.
            asyncio.get_running_loop().call_later(KEPT_SECONDS + 1, self._kept.expire)
        return data
