"""Who is in which room, asked for once for all buffers that want to know."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from zlib import crc32

from replay_operator.domain.egress import Participant
from replay_operator.livekit.port import LiveKit

_EPOCH = datetime.fromtimestamp(0, UTC)

FRESH = timedelta(seconds=1)
"""Several buffers of one room that look at the same time share one call."""

AUDIT = timedelta(minutes=10)
"""How often a room is looked at where nothing seems amiss: for what no webhook has told."""


class RoomLookup:
    """Looks rooms up, each at most once a second however many buffers ask, and once in each audit."""

    def __init__(self, livekit: LiveKit, clock: Callable[[], datetime]) -> None:
        self._livekit = livekit
        self._clock = clock
        self._known: dict[str, tuple[datetime, tuple[Participant, ...] | None]] = {}
        self._locks: dict[str, asyncio.Lock] = {}
        self._told: dict[str, datetime] = {}

    async def participants(self, room: str, *, audit: bool = False) -> tuple[Participant, ...] | None:
        """List who is in a room; None when it does not exist.

        Args:
            room: Its name.
            audit: What another buffer has heard in the same audit will do.

        Raises:
            LiveKitError: LiveKit gave no answer.
        """
        async with self._locks.setdefault(room, asyncio.Lock()):
            known, told = self._known.get(room), self._told.get(room)
            asked_at = self._clock()
            not_before = self._audit_began(room) if audit else asked_at - FRESH
            if known is not None and known[0] >= not_before and (told is None or known[0] > told):
                return known[1]
            self._forget_old()  # closed rooms must not be remembered for ever
            found = await self._livekit.participants(room)
            self._known[room] = (asked_at, found)
            return found

    def note_change(self, room: str) -> None:
        """Ask LiveKit anew next time: somebody says that the room has changed."""
        self._told[room] = self._clock()

    def is_due(self, room: str, looked_up: datetime) -> bool:
        """Tell whether a room must be looked at again though nothing seems amiss.

        Args:
            room: Its name.
            looked_up: When it was looked at for the same purpose.

        Returns:
            Whether another audit of the room has begun since, or somebody has said that it has changed.
        """
        told = self._told.get(room)
        return looked_up < self._audit_began(room) or (told is not None and told >= looked_up)

    def _audit_began(self, room: str) -> datetime:
        """Give when the audit of now began: the same time for all buffers of a room, not for all rooms."""
        now = self._clock()
        spread = AUDIT * (crc32(room.encode()) % 1000 / 1000)
        return now - (now - _EPOCH + spread) % AUDIT

    def _forget_old(self) -> None:
        limit = self._clock() - AUDIT
        self._told = {room: at for room, at in self._told.items() if at >= limit}
        for room in [room for room, (at, _) in self._known.items() if at < limit]:
            del self._known[room]
            if not self._locks[room].locked():
                del self._locks[room]
