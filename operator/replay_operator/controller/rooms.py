"""Who is in which room, asked for once for all buffers that want to know."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from datetime import datetime, timedelta

from replay_operator.domain.egress import Participant
from replay_operator.livekit.port import LiveKit

FRESH = timedelta(seconds=1)
"""Several buffers of one room that look at the same time share one call."""

TOLD_KEPT = timedelta(minutes=10)


class RoomLookup:
    """Looks rooms up, each at most once a second however many buffers ask."""

    def __init__(self, livekit: LiveKit, clock: Callable[[], datetime]) -> None:
        self._livekit = livekit
        self._clock = clock
        self._known: dict[str, tuple[datetime, tuple[Participant, ...] | None]] = {}
        self._locks: dict[str, asyncio.Lock] = {}
        self._told: dict[str, datetime] = {}

    async def participants(self, room: str) -> tuple[Participant, ...] | None:
        """List who is in a room; None when it does not exist.

        Raises:
            LiveKitError: LiveKit gave no answer.
        """
        async with self._locks.setdefault(room, asyncio.Lock()):
            known = self._known.get(room)
            if known is not None and self._clock() - known[0] < FRESH:
                return known[1]
            self._forget_old()  # closed rooms must not be remembered for ever
            found = await self._livekit.participants(room)
            self._known[room] = (self._clock(), found)
            return found

    def forget(self, room: str) -> None:
        """Ask LiveKit anew next time: somebody says that the room has changed."""
        self._known.pop(room, None)
        self._told[room] = self._clock()

    def was_told_since(self, room: str, moment: datetime) -> bool:
        """Tell whether somebody has said since a time that the room has changed."""
        told = self._told.get(room)
        return told is not None and told >= moment

    def _forget_old(self) -> None:
        limit = self._clock() - FRESH
        self._told = {room: at for room, at in self._told.items() if at >= self._clock() - TOLD_KEPT}
        for room in [room for room, (at, _) in self._known.items() if at < limit]:
            del self._known[room]
            if not self._locks[room].locked():
                del self._locks[room]
