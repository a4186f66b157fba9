"""Segments that several people look at, in memory: a network volume is asked for each of them once."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable, Hashable
from contextlib import asynccontextmanager
from dataclasses import dataclass

from cachetools import TTLCache

from replay_operator.agent.metrics import AgentMetrics

MOST = 100
KEPT_SECONDS = 60.0
"""Viewers of the live end meet within seconds; one who goes back through the window is alone there."""


@dataclass(slots=True)
class _Loan:
    """A segment that is being sent. It is in memory for as long, also when it is not kept any more."""

    size_bytes: int
    data: bytes | None = None
    viewers: int = 0


class HotSegments:
    """Keeps the last segments that were asked for, within a number of bytes. Only the event loop uses it.

    What is being sent may take as much again: viewers with slow lines hold what they are sent for long.
    """

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
        self._lent: dict[Hashable, _Loan] = {}
        self.lent_bytes = 0

    @property
    def held_bytes(self) -> int:
        """What is in memory: kept for the next viewer, or being sent."""
        kept = {key: len(data) for key, data in self._kept.items()}
        lent = {key: loan.size_bytes for key, loan in self._lent.items()}
        return sum((kept | lent).values())

    @asynccontextmanager
    async def lent(
        self, key: Hashable, size_bytes: int, read: Callable[[], Awaitable[bytes]]
    ) -> AsyncIterator[bytes | None]:
        """Give a segment for as long as it takes to send it; None when there is no room, and nothing is read.

        Who asks while it is being read waits for the same read.

        Args:
            key: Names the file, and which version of it.
            size_bytes: How large it is.
            read: Reads it.

        Raises:
            OSError: It cannot be read.
        """
        if key not in self._lent and self.lent_bytes + size_bytes > self.limit_bytes:
            self._asked.labels("full").inc()
            yield None
            return
        loan = self._lent.setdefault(key, _Loan(size_bytes))
        self.lent_bytes += size_bytes if not loan.viewers else 0
        loan.viewers += 1
        try:
            if loan.data is None:
                loan.data = await self._get(key, read)
            else:
                self._asked.labels("hit").inc()
            yield loan.data
        finally:
            loan.viewers -= 1
            if not loan.viewers:
                del self._lent[key]
                self.lent_bytes -= size_bytes

    async def _get(self, key: Hashable, read: Callable[[], Awaitable[bytes]]) -> bytes:
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
