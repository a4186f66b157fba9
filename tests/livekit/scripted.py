"""A LiveKit and a time that do nothing by themselves: the test decides each answer and each wait."""

from __future__ import annotations

import asyncio
from datetime import UTC, datetime, timedelta

from replay_operator.domain.egress import Egress, EgressState, Participant, StartRequest

START_OF_TIME = datetime(2026, 11, 22, 12, tzinfo=UTC)


def an_egress(egress_id: str, state: EgressState = EgressState.ACTIVE) -> Egress:
    return Egress(id=egress_id, room="standup", state=state, filename_prefix=f"/out/ns/uid/{egress_id}/seg")


class ScriptedLiveKit:
    """Answers a list call when the test says what. The port's other methods are not for pollers."""

    def __init__(self) -> None:
        self.calls = 0
        self.calls_at_once = 0
        self.most_calls_at_once = 0
        self._asked = asyncio.Semaphore(0)
        self._answers: asyncio.Queue[tuple[Egress, ...] | Exception] = asyncio.Queue()

    async def list_active(self) -> tuple[Egress, ...]:
        self.calls += 1
        self.calls_at_once += 1
        self.most_calls_at_once = max(self.most_calls_at_once, self.calls_at_once)
        self._asked.release()
        try:
            answer = await self._answers.get()
        finally:
            self.calls_at_once -= 1
        if isinstance(answer, Exception):
            raise answer
        return answer

    async def until_asked(self) -> None:
        await self._asked.acquire()

    def answer(self, *egresses: Egress) -> None:
        self._answers.put_nowait(egresses)

    def fail(self, error: Exception) -> None:
        self._answers.put_nowait(error)

    async def get_egress(self, egress_id: str) -> Egress | None:
        raise NotImplementedError

    async def list_room(self, room: str) -> tuple[Egress, ...]:
        raise NotImplementedError

    async def start(self, request: StartRequest) -> Egress:
        raise NotImplementedError

    async def stop(self, egress_id: str) -> None:
        raise NotImplementedError

    async def participants(self, room: str) -> tuple[Participant, ...] | None:
        raise NotImplementedError

    async def aclose(self) -> None:
        raise NotImplementedError


class HandTime:
    """A clock, a sleep and a wait that pass only when the test lets them."""

    def __init__(self) -> None:
        self.now = START_OF_TIME
        self._begun: asyncio.Queue[tuple[float, asyncio.Event]] = asyncio.Queue()

    def clock(self) -> datetime:
        return self.now

    def go_on(self, seconds: float) -> datetime:
        self.now += timedelta(seconds=seconds)
        return self.now

    async def sleep(self, seconds: float) -> None:
        over = asyncio.Event()
        self._begun.put_nowait((seconds, over))
        await over.wait()

    async def wait(self, event: asyncio.Event, seconds: float) -> None:
        if event.is_set():
            return
        over = asyncio.Event()
        self._begun.put_nowait((seconds, over))
        waits = [asyncio.ensure_future(over.wait()), asyncio.ensure_future(event.wait())]
        try:
            await asyncio.wait(waits, return_when=asyncio.FIRST_COMPLETED)
        finally:
            for wait in waits:
                wait.cancel()

    async def until_waiting(self) -> float:
        """Wait for the next wait to begin, leave it to others to end it, and give its length."""
        seconds, _ = await self._begun.get()
        return seconds

    async def let_pass(self) -> float:
        """Wait for the next wait to begin, let all its time pass, and give its length in seconds."""
        seconds, over = await self._begun.get()
        self.go_on(seconds)
        over.set()
        return seconds
