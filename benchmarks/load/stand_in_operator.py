"""The operator's part: its own client asks the real agent as the operator does, and times the answers."""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator, Mapping, Sequence
from contextlib import asynccontextmanager
from datetime import datetime
from http import HTTPStatus
from pathlib import Path

import aiohttp

from benchmarks.load.journal import Journal, Measure
from benchmarks.load.pacing import SEGMENT_SECONDS, Recorded
from replay_operator.api.agent import BufferPolicy, Coverage, Pin, Policy, RunCoverage, RunFile
from replay_operator.controller.agent_client import AgentClient, AgentUnavailable
from replay_operator.controller.policy import HEARTBEAT

_POLL_SECONDS = 1.0
_READINESS_SECONDS = 1.0
_MADE_AT_ONCE = 4


class StandInOperator:
    """Has the runs made, sends policies with pins, and asks for coverage and readiness all the time."""

    def __init__(self, url: str, token_file: Path, session: aiohttp.ClientSession, journal: Journal) -> None:
        """Take what is needed; `asking` begins to ask.

        Args:
            url: The agent's address.
            token_file: Holds its token.
            session: For the requests.
            journal: Where times are noted.
        """
        self._url = url
        self._session = session
        self._journal = journal
        self._client = AgentClient(url, token_file, session)
        self._seq = 0
        self._buffers: list[Recorded] = []
        self._pins: dict[str, tuple[str, Pin]] = {}
        self._highest: dict[str, int] = {}
        self._mark: str | None = None
        self._looked_at: float | None = None
        self._putting = asyncio.Lock()

    async def record(self, buffers: Sequence[Recorded]) -> None:
        """Have the runs of buffers made, and keep their windows from now on.

        Args:
            buffers: Further ones.

        Raises:
            AgentUnavailable: The agent does not.
        """
        places = asyncio.Semaphore(_MADE_AT_ONCE)

        async def make(buffer: Recorded) -> None:
            facts = RunFile(
                room="load",
                buffer=buffer.path.buffer_uid,
                segment_seconds=SEGMENT_SECONDS,
                media_started_at_ns=buffer.media_started_at_ns,
                video_track="TR_VC",
                audio_track="TR_AM",
            )
            async with places:
                await self._client.put_run(buffer.path, facts)

        await asyncio.gather(*(make(buffer) for buffer in buffers))
        self._buffers += buffers
        await self._put_policy()

    async def pin(self, uid: str, buffer: Recorded, start: datetime, end: datetime) -> None:
        """Pin a range before its capture begins.

        Args:
            uid: Of the capture.
            buffer: Whose range.
            start: Its begin.
            end: Its end.

        Raises:
            AgentUnavailable: The agent does not acknowledge it.
        """
        self._pins[uid] = (buffer.path.buffer, Pin(capture_uid=uid, start=start, end=end))
        await self._put_policy()

    async def unpin(self, uid: str) -> None:
        """Let go what a capture has pinned.

        Args:
            uid: Of the capture.
        """
        self._pins.pop(uid, None)
        await self._put_policy()

    @asynccontextmanager
    async def asking(self) -> AsyncIterator[None]:
        """Ask, and give signs of life, until the end of the context."""
        tasks = [asyncio.create_task(each) for each in (self._ask(), self._live(), self._probe())]
        try:
            yield
        finally:
            for task in tasks:
                task.cancel()
            await asyncio.gather(*tasks, return_exceptions=True)

    async def page(self) -> str:
        """Give the agent's page of metrics.

        Raises:
            AgentUnavailable: It does not answer.
        """
        try:
            async with self._session.get(f"{self._url}/metrics") as answer:
                return await answer.text()
        except (aiohttp.ClientError, TimeoutError) as error:
            raise AgentUnavailable(f"the agent shows no metrics any more: {error}") from error

    async def is_ready(self) -> bool:
        """Say whether the agent says that it is ready."""
        try:
            async with self._session.get(f"{self._url}/readyz") as answer:
                return answer.status == HTTPStatus.OK
        except (aiohttp.ClientError, TimeoutError):
            return False

    async def _put_policy(self) -> None:
        async with self._putting:
            self._seq += 1
            pins: dict[str, list[Pin]] = {}
            for path, pin in self._pins.values():
                pins.setdefault(path, []).append(pin)
            lines = tuple(
                BufferPolicy(
                    path=buffer.path.buffer,
                    window_seconds=buffer.window_seconds,
                    slack_seconds=0,
                    segment_seconds=SEGMENT_SECONDS,
                    pins=tuple(pins.get(buffer.path.buffer, ())),
                )
                for buffer in self._buffers
            )
            policy = Policy(
                epoch=1, seq=self._seq, complete=True, buffers=lines, live_captures=tuple(self._pins)
            )
            began = time.time()
            try:
                await self._client.put_policy(policy)
            except AgentUnavailable:
                self._journal.note(Measure.UNANSWERED, began)
                raise
            self._journal.note(Measure.POLICY_TOOK, began, time.time() - began)

    async def _ask(self) -> None:
        """Ask each second, also when an answer takes long; the operator then asks less often."""
        while True:
            began = time.time()
            try:
                word = await self._client.coverage(self._mark)
            except AgentUnavailable:
                self._journal.note(Measure.UNANSWERED, began)
            else:
                self._journal.note(Measure.WORD_TOOK, began, time.time() - began)
                self._take(word)
            await asyncio.sleep(_POLL_SECONDS)

    async def _live(self) -> None:
        while True:
            await asyncio.sleep(HEARTBEAT.total_seconds())
            try:
                await self._put_policy()
            except AgentUnavailable:
                continue  # it is noted, and the next sign of life comes soon enough

    async def _probe(self) -> None:
        while True:
            began = time.time()
            if not await self.is_ready():
                self._journal.note(Measure.NOT_READY, began)
            self._journal.note(Measure.READINESS_TOOK, began, time.time() - began)
            await asyncio.sleep(_READINESS_SECONDS)

    def _take(self, word: Coverage) -> None:
        now, looked_at = time.time(), word.as_of.timestamp()
        self._journal.note(Measure.WORD_AGE, now, now - looked_at)
        told = {buffer.path: run for buffer in word.buffers for run in buffer.runs}
        if self._looked_at is not None:
            unknown = unknown_seconds(told, self._highest, self._looked_at)
            self._journal.note_all(Measure.UNKNOWN, now, unknown)
        self._highest |= {path: run.last_index for path, run in told.items()}
        self._mark, self._looked_at = word.mark, looked_at


def unknown_seconds(
    told: Mapping[str, RunCoverage], highest: Mapping[str, int], looked_at: float
) -> list[float]:
    """Give how long newest segments had lain there at the earlier look that did not know them.

    A buffer that nobody had told of may bring a history, and counts only from the next word on.

    Args:
        told: What is told of each buffer that has changed.
        highest: The highest index of each buffer in the words before.
        looked_at: Of the word before this one: when the agent had looked.
    """
    return [
        max(0.0, looked_at - run.arrived_at.timestamp())
        for path, run in told.items()
        if run.last_index > highest.get(path, run.last_index)
    ]
