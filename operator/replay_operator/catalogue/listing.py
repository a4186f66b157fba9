"""Lists in pages, newest first. A page is found by where the last one ended, not by counting rows."""

from __future__ import annotations

import base64
import binascii
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum
from typing import Any

from sqlalchemy import Select, select, tuple_
from sqlalchemy.orm import Mapped
from sqlmodel import col

from replay_operator.catalogue.errors import BadCursorError
from replay_operator.catalogue.tables import BufferSession, ReplayClip

MOST_ON_A_PAGE = 200


@dataclass(frozen=True, slots=True)
class Place:
    """Where the next page of a list goes on, whatever was added or removed meanwhile."""

    created_at: datetime
    uid: str


@dataclass(frozen=True, slots=True)
class Chosen:
    """Which rows of a list. None and an empty tuple: any.

    Attributes:
        owner: As `spec.owner` of the buffer names the person.
        room: Name of the LiveKit room.
        statuses: One of these.
        since: Created at this moment or later.
    """

    owner: str | None = None
    room: str | None = None
    statuses: tuple[StrEnum, ...] = ()
    since: datetime | None = None


def newest_first(
    table: type[ReplayClip | BufferSession],
    columns: Sequence[Mapped[Any]],
    chosen: Chosen,
    limit: int,
    after: Place | None,
) -> Select[*tuple[object, ...]]:
    """Ask for a part of a table, newest first.

    Args:
        table: Which.
        columns: What the list shows.
        chosen: Which rows.
        limit: At most so many.
        after: Only what comes after this place; None: from the newest on.
    """
    created_at, uid = col(table.created_at), col(table.uid)
    query = select(*columns)
    if chosen.owner is not None:
        query = query.where(col(table.owner) == chosen.owner)
    if chosen.room is not None:
        query = query.where(col(table.room) == chosen.room)
    if chosen.statuses:
        query = query.where(col(table.status).in_(chosen.statuses))
    if chosen.since is not None:
        query = query.where(created_at >= chosen.since)
    if after is not None:
        query = query.where(tuple_(created_at, uid) < tuple_(after.created_at, after.uid))
    return query.order_by(created_at.desc(), uid.desc()).limit(limit)


def write_cursor(place: Place) -> str:
    """Give a place as a word for a URL. Nobody outside is meant to look into it.

    Args:
        place: `next` of a page.
    """
    return base64.urlsafe_b64encode(f"{place.created_at.isoformat()} {place.uid}".encode()).decode()


def read_cursor(cursor: str) -> Place:
    """Give the place that a cursor names.

    Args:
        cursor: From `write_cursor`.

    Raises:
        BadCursorError: It is none.
    """
    try:
        text = base64.b64decode(cursor.encode(), altchars=b"-_", validate=True).decode()
        moment, _, uid = text.partition(" ")
        created_at = datetime.fromisoformat(moment)
    except (binascii.Error, ValueError):
        created_at, uid = None, ""
    if created_at is None or created_at.tzinfo is None or not uid:
        raise BadCursorError("the cursor is none: give the one of the last page as it came")
    return Place(created_at, uid)
