"""What the Egress service has to know of rooms, from this server's own or from a real one."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Protocol

from tests.livekit_double.server.rooms import Rooms


@dataclass(frozen=True, slots=True)
class RoomFacts:
    """A room at one moment.

    Attributes:
        sid: its `RM_` identifier.
        name: the room.
        publisher: identity of who publishes the track that was asked for; empty if nobody does.
        tracks: every published track, and whether packets flow.
    """

    sid: str
    name: str
    publisher: str
    tracks: Mapping[str, bool]


class RoomSight(Protocol):
    """A look at rooms."""

    media_url: str
    """Where a worker joins the room; empty if there is nothing to join."""

    async def look(self, room: str, track_sid: str) -> RoomFacts | None:
        """Looks at one room.

        Args:
            room: its name.
            track_sid: whose publisher is wanted.

        Returns:
            What there is, or None if the room is not open.
        """


class OwnRooms:
    """The rooms of this server: nobody is really in them."""

    media_url = ""

    def __init__(self, rooms: Rooms) -> None:
        self._rooms = rooms

    async def look(self, room: str, track_sid: str) -> RoomFacts | None:
        """See `RoomSight`."""
        if not self._rooms.exists(room):
            return None
        opened = self._rooms.room(room)
        publisher = self._rooms.publisher_of(room, track_sid)
        return RoomFacts(opened.sid, opened.name, publisher, self._rooms.media_state(room))
