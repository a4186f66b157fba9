"""Questions about sessions. Each is one statement, reads the columns of its answer, and has an index."""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import dataclass
from datetime import datetime

from sqlalchemy import ColumnElement, RowMapping, Select, delete, select, update
from sqlmodel import col

from replay_operator.catalogue.chunks import chunks
from replay_operator.catalogue.database import Database
from replay_operator.catalogue.entries import DELETED
from replay_operator.catalogue.listing import Chosen, Place, newest_first
from replay_operator.catalogue.tables import BufferSession, SessionStatus


@dataclass(frozen=True, slots=True)
class ActiveSession:
    """A session that records, or tries to."""

    uid: str
    namespace: str
    name: str
    owner: str | None
    room: str
    participant: str | None
    reason: str
    recording_since: datetime | None


@dataclass(frozen=True, slots=True)
class EndedSession:
    """A session of which nothing more will come."""

    uid: str
    namespace: str
    name: str
    ended_at: datetime


@dataclass(frozen=True, slots=True)
class ListedSession:
    """A session as a list shows it."""

    uid: str
    namespace: str
    name: str
    owner: str | None
    room: str
    participant: str | None
    status: SessionStatus
    reason: str
    window_seconds: int
    created_at: datetime
    recording_since: datetime | None
    ended_at: datetime | None


@dataclass(frozen=True, slots=True)
class SessionPage:
    """A part of a list. `next` is where the next one goes on; None: this is the last."""

    sessions: tuple[ListedSession, ...]
    next: Place | None


_LISTED = (
    col(BufferSession.uid),
    col(BufferSession.namespace),
    col(BufferSession.name),
    col(BufferSession.owner),
    col(BufferSession.room),
    col(BufferSession.participant),
    col(BufferSession.status),
    col(BufferSession.reason),
    col(BufferSession.window_seconds),
    col(BufferSession.created_at),
    col(BufferSession.recording_since),
    col(BufferSession.ended_at),
)

_ACTIVE = (
    col(BufferSession.uid),
    col(BufferSession.namespace),
    col(BufferSession.name),
    col(BufferSession.owner),
    col(BufferSession.room),
    col(BufferSession.participant),
    col(BufferSession.reason),
    col(BufferSession.recording_since),
)


def active_of_owner(owner: str) -> Select[*tuple[object, ...]]:
    """Ask for what records for a person."""
    return _active(col(BufferSession.owner) == owner)


def active_of_room(room: str) -> Select[*tuple[object, ...]]:
    """Ask for what records in a room."""
    return _active(col(BufferSession.room) == room)


def _active(of: ColumnElement[bool]) -> Select[*tuple[object, ...]]:
    return select(*_ACTIVE).where(of, col(BufferSession.status) == SessionStatus.ACTIVE)


def page_of_sessions(chosen: Chosen, limit: int, after: Place | None) -> Select[*tuple[object, ...]]:
    """Ask for sessions, newest first.

    Args:
        chosen: Which.
        limit: At most so many.
        after: Only what comes after this place; None: from the newest on.
    """
    return newest_first(BufferSession, _LISTED, chosen, limit, after)


def ended_before(moment: datetime, limit: int) -> Select[*tuple[object, ...]]:
    """Ask for sessions that ended before a moment, oldest end first."""
    ended_at = col(BufferSession.ended_at)
    return (
        select(col(BufferSession.uid), col(BufferSession.namespace), col(BufferSession.name), ended_at)
        .where(col(BufferSession.status) == SessionStatus.ENDED, ended_at < moment)
        .order_by(ended_at)
        .limit(limit)
    )


def open_in(namespace: str) -> Select[str]:
    """Ask for the sessions of a namespace that have not ended."""
    return select(col(BufferSession.uid)).where(
        col(BufferSession.status).in_((SessionStatus.ACTIVE, SessionStatus.PAUSED)),
        col(BufferSession.namespace) == namespace,
    )


@dataclass(frozen=True, slots=True)
class Sessions:
    """The sessions in the catalogue."""

    database: Database

    async def page(self, chosen: Chosen, *, limit: int, after: Place | None = None) -> SessionPage:
        """List sessions, newest first.

        Args:
            chosen: Which. Those of an owner or of a room are found by an index whatever else is asked.
            limit: Sessions on a page, at least one.
            after: `next` of the page before.
        """
        # One more than asked tells whether there is a next page.
        rows = await self._rows(page_of_sessions(chosen, limit + 1, after))
        sessions = tuple(ListedSession(**row) for row in rows[:limit])
        last = sessions[-1] if len(rows) > limit else None
        return SessionPage(sessions, None if last is None else Place(last.created_at, last.uid))

    async def active_of_owner(self, owner: str) -> tuple[ActiveSession, ...]:
        """List what records for a person.

        Args:
            owner: As `spec.owner` names the person.
        """
        return tuple(ActiveSession(**row) for row in await self._rows(active_of_owner(owner)))

    async def active_of_room(self, room: str) -> tuple[ActiveSession, ...]:
        """List what records in a room.

        Args:
            room: Name of the LiveKit room.
        """
        return tuple(ActiveSession(**row) for row in await self._rows(active_of_room(room)))

    async def ended_before(self, moment: datetime, *, limit: int) -> tuple[EndedSession, ...]:
        """List sessions that may be forgotten, oldest end first.

        Args:
            moment: They ended before it.
            limit: At most so many.
        """
        return tuple(EndedSession(**row) for row in await self._rows(ended_before(moment, limit)))

    async def forget(self, uids: Collection[str]) -> None:
        """Remove sessions. Their clips stay.

        Args:
            uids: Which; those that are not there are no error.
        """
        async with self.database.writing() as connection:
            for chunk in chunks(uids):
                await connection.execute(delete(BufferSession).where(col(BufferSession.uid).in_(chunk)))

    async def close_missing(self, namespace: str, live: Collection[str], now: datetime) -> int:
        """Close the sessions whose ReplayBuffer went while nobody looked.

        Args:
            namespace: Of the install.
            live: Uids of all ReplayBuffers in it: from a complete list, or recordings would be closed.
            now: When it was noticed; nobody knows better.

        Returns:
            How many were closed.
        """
        missing = {row["uid"] for row in await self._rows(open_in(namespace))} - set(live)
        if not missing:
            return 0
        async with self.database.writing() as connection:
            for chunk in chunks(missing):
                await connection.execute(
                    update(BufferSession)
                    .where(col(BufferSession.uid).in_(chunk))
                    .values(
                        status=SessionStatus.ENDED,
                        reason=DELETED,
                        egress_id=None,
                        recording_since=None,
                        ended_at=now,
                    )
                )
        return len(missing)

    async def _rows(self, query: Select[*tuple[object, ...]]) -> list[RowMapping]:
        async with self.database.reading() as connection:
            return list((await connection.execute(query)).mappings())
