"""An API server that holds one Lease, and a network that delays and loses requests, in virtual time."""

from __future__ import annotations

import asyncio
import selectors
from collections.abc import Callable, Coroutine
from dataclasses import dataclass, field, replace
from typing import Any, TypeVar

from replay_operator.cluster.gateway import ClusterUnreachable, Conflict
from replay_operator.domain.leadership import LeaseRecord

T = TypeVar("T")

TOO_LONG_SECONDS = 3600.0


class VirtualTime(asyncio.SelectorEventLoop):
    """Time passes when nothing is left to do: minutes of waiting take no time, and always go the same way."""

    def __init__(self) -> None:
        self.now = 0.0
        self.watch: Callable[[], None] = lambda: None
        super().__init__(_Skip(self))

    def time(self) -> float:
        return self.now


class _Skip(selectors.SelectSelector):
    def __init__(self, loop: VirtualTime) -> None:
        super().__init__()
        self._loop = loop

    def select(self, timeout: float | None = None) -> Any:
        assert timeout is not None, "everybody waits for somebody else"
        assert self._loop.now < TOO_LONG_SECONDS, "this never ends"
        self._loop.watch()
        self._loop.now += max(timeout, 0.0)
        return super().select(0)


@dataclass(frozen=True)
class Fate:
    """What becomes of one request: how long it takes there and back, and where it gets lost."""

    there_seconds: float = 0.01
    back_seconds: float = 0.01
    lost: str = ""  # "request", "answer", or "refused" with a 500


CLEAR = Fate()


@dataclass
class StoredLease:
    """A Lease as the API server keeps it."""

    record: LeaseRecord | None = None
    version: int = 0

    def store(self, record: LeaseRecord) -> LeaseRecord:
        if (self.record.version if self.record else "") != record.version:
            raise Conflict(409, "the lease has been modified")
        self.version += 1
        self.record = replace(record, version=str(self.version))
        return self.record


@dataclass
class Line:
    """One machine's way to the Lease. A request that its caller gave up on still arrives."""

    lease: StoredLease
    fate: Callable[[], Fate] = lambda: CLEAR
    tasks: set[asyncio.Task[Any]] = field(default_factory=set)

    def __str__(self) -> str:
        return "the simulated lease"

    async def read(self) -> LeaseRecord | None:
        return await self._call(lambda: self.lease.record)

    async def write(self, record: LeaseRecord) -> LeaseRecord:
        return await self._call(lambda: self.lease.store(record))

    async def _call(self, answer: Callable[[], T]) -> T:
        task = asyncio.create_task(self._serve(self.fate(), answer))
        self.tasks.add(task)
        # A failure that no caller waits for any more is none.
        task.add_done_callback(lambda done: done.cancelled() or done.exception())
        return await asyncio.shield(task)

    async def _serve(self, fate: Fate, answer: Callable[[], T]) -> T:
        await asyncio.sleep(fate.there_seconds)
        if fate.lost == "refused":
            raise ClusterUnreachable(500, "etcd is away")
        if fate.lost != "request":
            try:
                result: T | Conflict = answer()
            except Conflict as conflict:
                result = conflict
        if fate.lost:
            await asyncio.sleep(3600.0)
            raise ClusterUnreachable(0, "no answer")
        await asyncio.sleep(fate.back_seconds)
        if isinstance(result, Conflict):
            raise result
        return result


def finished(loop: VirtualTime, work: Coroutine[Any, Any, T]) -> T:
    """What the work gives; then everything that it left under way is ended."""

    async def do() -> T:
        try:
            return await work
        finally:
            others = asyncio.all_tasks() - {asyncio.current_task()}
            for task in others:
                task.cancel()
            await asyncio.gather(*others, return_exceptions=True)

    return loop.run_until_complete(do())
