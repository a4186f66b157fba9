"""One queue for all reconciles: each key once, never twice at the same time, later when asked so."""

from __future__ import annotations

import asyncio
import heapq
import logging
import math
from collections.abc import Awaitable, Callable, Hashable
from typing import Generic, TypeVar

K = TypeVar("K", bound=Hashable)

MAX_BACKOFF_SECONDS = 60.0

GRAIN_SECONDS = 0.25
PATIENT_SECONDS = 5.0
"""A re-check that is so far away may come a grain later. Waking up once for seventy costs a fraction of
waking up for each: with 5000 buffers there are 280 a second."""
URGENT = 0.0
"""When an urgent key is due: before all others."""

HEARTBEAT_SECONDS = 5.0
"""How often an idle queue turns, to show that it does."""

log = logging.getLogger(__name__)


class KeyedQueue(Generic[K]):
    """Deduplicates keys, runs one reconcile per key at a time, and keeps delayed re-queues.

    A key that is added while it runs runs once more afterwards. A key that is added again runs at the earlier
    of the two times. No exception leaves the loop: it becomes a re-queue with a growing delay.

    Args:
        heartbeat_seconds: How often it turns though nothing is due, in seconds.
    """

    def __init__(self, heartbeat_seconds: float = HEARTBEAT_SECONDS) -> None:
        self._heartbeat_seconds = heartbeat_seconds
        self._due: dict[K, float] = {}
        self._heap: list[tuple[float, int, K]] = []
        self._rechecks: set[K] = set()  # waiting only because their last reconcile asked for another
        self._running: dict[K, float | None] = {}  # when a running key shall run once more
        self._failures: dict[K, int] = {}
        self._order = 0
        self._changed = asyncio.Event()
        self._turned_at: float | None = None

    @property
    def still_seconds(self) -> float:
        """Seconds since the queue last turned with a free worker; grows when all of them hang."""
        return 0.0 if self._turned_at is None else asyncio.get_running_loop().time() - self._turned_at

    def __len__(self) -> int:
        return len(self._due) + len(self._running)

    @property
    def running(self) -> int:
        """How many keys are being reconciled."""
        return len(self._running)

    def waiting(self) -> tuple[int, float]:
        """Give how many keys are due and wait for a worker, and since how many seconds the first of them."""
        now = asyncio.get_running_loop().time()
        due = [at for at in self._due.values() if at <= now]
        ages = [now - at for at in due if at != URGENT]  # an urgent one does not say since when
        return len(due), max(ages, default=0.0)

    def add(self, key: K, *, delay: float = 0.0, urgent: bool = False) -> None:
        """Ask for a reconcile of `key`.

        Args:
            key: What to reconcile.
            delay: Seconds from now.
            urgent: Before everything else that is due, such as a deletion.
        """
        self._rechecks.discard(key)
        due = URGENT if urgent else asyncio.get_running_loop().time() + delay
        if key in self._running:
            before = self._running[key]
            self._running[key] = due if before is None else min(before, due)
        else:
            self._schedule(key, due)

    def _schedule(self, key: K, due: float) -> bool:
        """Note when a key is due; tell whether that is news, because it was not due earlier already."""
        if self._due.get(key, float("inf")) <= due:
            return False
        self._due[key] = due
        self._order += 1
        heapq.heappush(self._heap, (due, self._order, key))
        self._changed.set()
        return True

    def _schedule_recheck(self, key: K, delay: float) -> None:
        due = asyncio.get_running_loop().time() + delay
        if delay >= PATIENT_SECONDS:
            due = math.ceil(due / GRAIN_SECONDS) * GRAIN_SECONDS
        if self._schedule(key, due):
            self._rechecks.add(key)

    async def run(
        self,
        reconcile: Callable[[K], Awaitable[float | None]],
        *,
        workers: int,
        postponed: Callable[[K], float | None] = lambda _: None,
    ) -> None:
        """Reconcile for ever.

        Args:
            reconcile: Does one key; gives the seconds after which it wants to be called again, or None.
            workers: How many at once.
            postponed: Asked when such a call is due and nobody has added the key since: the seconds by which
                it has become too early, or None. It must be quick and must not raise.
        """
        slots = asyncio.Semaphore(workers)
        async with asyncio.TaskGroup() as group:
            while True:
                await slots.acquire()
                key = await self._next(postponed)
                self._running[key] = None
                task = group.create_task(self._one(key, reconcile))
                task.add_done_callback(lambda _: slots.release())

    async def _next(self, postponed: Callable[[K], float | None]) -> K:
        while True:
            self._changed.clear()
            self._turned_at = now = asyncio.get_running_loop().time()
            while self._heap and self._heap[0][0] <= now:
                due, _, key = heapq.heappop(self._heap)
                if self._due.get(key) != due:
                    continue  # it was asked for again at an earlier time, and is done
                del self._due[key]
                later = postponed(key) if key in self._rechecks else None
                self._rechecks.discard(key)
                if later is None:
                    return key
                self._schedule_recheck(key, later)
            due_in = self._heap[0][0] - now if self._heap else self._heartbeat_seconds
            timeout = min(due_in, self._heartbeat_seconds)
            try:
                await asyncio.wait_for(self._changed.wait(), timeout)
            except TimeoutError:
                continue

    async def _one(self, key: K, reconcile: Callable[[K], Awaitable[float | None]]) -> None:
        try:
            delay = await reconcile(key)
        except Exception:
            failures = self._failures.get(key, 0) + 1
            self._failures[key] = failures
            delay = min(MAX_BACKOFF_SECONDS, 0.5 * 2 ** min(failures, 10))
            log.exception("reconcile of %s failed %d times; next try in %.1f s", key, failures, delay)
        else:
            self._failures.pop(key, None)
        again = self._running[key]
        del self._running[key]
        if again is not None:
            self._schedule(key, again)
        if delay is not None:
            self._schedule_recheck(key, delay)
