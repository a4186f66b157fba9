"""Questions about clips. A page of them comes with its files in one statement."""

from __future__ import annotations

from collections.abc import Collection, Iterable
from dataclasses import dataclass
from datetime import datetime
from itertools import groupby

from sqlalchemy import RowMapping, Select, delete, select, update
from sqlmodel import col

from replay_operator.api.replaycapture import DeletionPolicy
from replay_operator.catalogue.chunks import chunks
from replay_operator.catalogue.database import Database
from replay_operator.catalogue.entries import DELETED
from replay_operator.catalogue.listing import Chosen, Place, newest_first
from replay_operator.catalogue.tables import ClipFile, ClipStatus, FileKind, ReplayClip


@dataclass(frozen=True, slots=True)
class ListedFile:
    """A file of a listed clip."""

    kind: FileKind
    path: str
    bytes: int | None
    url: str | None = None


@dataclass(frozen=True, slots=True)
class ListedClip:
    """A clip as a list shows it."""

    uid: str
    namespace: str
    name: str
    owner: str | None
    room: str | None
    title: str | None
    status: ClipStatus
    reason: str
    milliseconds: int | None
    clip_start: datetime | None
    created_at: datetime
    files: tuple[ListedFile, ...]


@dataclass(frozen=True, slots=True)
class ClipPage:
    """A part of a list. `next` is where the next one goes on; None: this is the last."""

    clips: tuple[ListedClip, ...]
    next: Place | None


_LISTED = (
    col(ReplayClip.uid),
    col(ReplayClip.namespace),
    col(ReplayClip.name),
    col(ReplayClip.owner),
    col(ReplayClip.room),
    col(ReplayClip.title),
    col(ReplayClip.status),
    col(ReplayClip.reason),
    col(ReplayClip.milliseconds),
    col(ReplayClip.clip_start),
    col(ReplayClip.created_at),
)


def page_of_clips(chosen: Chosen, limit: int, after: Place | None) -> Select[*tuple[object, ...]]:
    """Ask for clips, newest first, each once for every file that it has.

    The page is cut before the files are joined: a limit on the joined rows would cut through a clip.

    Args:
        chosen: Which.
        limit: At most so many clips.
        after: Only what comes after this place; None: from the newest on.
    """
    page = newest_first(ReplayClip, _LISTED, chosen, limit, after).subquery("page")
    return (
        select(
            page,
            col(ClipFile.kind).label("file_kind"),
            col(ClipFile.path).label("file_path"),
            col(ClipFile.bytes).label("file_bytes"),
            col(ClipFile.url).label("file_url"),
        )
        .select_from(page.outerjoin(ClipFile, col(ClipFile.clip_uid) == page.c.uid))
        .order_by(page.c.created_at.desc(), page.c.uid.desc(), col(ClipFile.kind).desc())
    )


def tied_to_resources(namespace: str) -> Select[str]:
    """Ask for the clips of a namespace that cannot be without their ReplayCapture.

    One that is being made will not be finished, and one with `deletionPolicy: Delete` goes with it.
    """
    status = col(ReplayClip.status)
    goes_along = (status == ClipStatus.READY) & (col(ReplayClip.deletion_policy) == DeletionPolicy.DELETE)
    return select(col(ReplayClip.uid)).where(
        (status == ClipStatus.PENDING) | goes_along, col(ReplayClip.namespace) == namespace
    )


@dataclass(frozen=True, slots=True)
class Clips:
    """The clips in the catalogue."""

    database: Database

    async def page(self, chosen: Chosen, *, limit: int, after: Place | None = None) -> ClipPage:
        """List clips, newest first.

        Args:
            chosen: Which. Those of an owner or of a room are found by an index whatever else is asked.
            limit: Clips on a page, at least one.
            after: `next` of the page before.
        """
        # One more than asked tells whether there is a next page.
        async with self.database.reading() as connection:
            rows = (await connection.execute(page_of_clips(chosen, limit + 1, after))).mappings().all()
        clips = tuple(_clip(list(group)) for _, group in groupby(rows, key=lambda row: row["uid"]))
        if len(clips) <= limit:
            return ClipPage(clips, None)
        last = clips[limit - 1]
        return ClipPage(clips[:limit], Place(last.created_at, last.uid))

    async def of_owner(self, owner: str, *, limit: int, after: Place | None = None) -> ClipPage:
        """List a person's clips, newest first.

        Args:
            owner: As `spec.owner` of the buffer named the person.
            limit: Clips on a page, at least one.
            after: `next` of the page before.
        """
        return await self.page(Chosen(owner=owner), limit=limit, after=after)

    async def close_missing(self, namespace: str, live: Collection[str], now: datetime) -> int:
        """Close the clips whose ReplayCapture went while nobody looked, where that matters to the clip.

        Args:
            namespace: Of the install.
            live: Uids of all ReplayCaptures in it: from a complete list, or clips would be given up.
            now: When it was noticed.

        Returns:
            How many were closed.
        """
        async with self.database.reading() as connection:
            tied = set((await connection.execute(tied_to_resources(namespace))).scalars())
        missing = tied - set(live)
        if not missing:
            return 0
        status, uid = col(ReplayClip.status), col(ReplayClip.uid)
        gone: dict[str, object] = {"reason": DELETED, "quota_bytes": 0}
        async with self.database.writing() as connection:
            for chunk in chunks(missing):
                await connection.execute(delete(ClipFile).where(col(ClipFile.clip_uid).in_(chunk)))
                await connection.execute(
                    update(ReplayClip)
                    .where(uid.in_(chunk), status == ClipStatus.READY)
                    .values(status=ClipStatus.DELETED, **gone)
                )
                await connection.execute(
                    update(ReplayClip)
                    .where(uid.in_(chunk), status == ClipStatus.PENDING)
                    .values(status=ClipStatus.FAILED, finished_at=now, **gone)
                )
        return len(missing)


def _clip(rows: list[RowMapping]) -> ListedClip:
    listed = {name: value for name, value in rows[0].items() if not name.startswith("file_")}
    return ListedClip(**listed, files=tuple(_files(rows)))


def _files(rows: Iterable[RowMapping]) -> Iterable[ListedFile]:
    for row in rows:
        if row["file_kind"] is not None:
            yield ListedFile(row["file_kind"], row["file_path"], row["file_bytes"], row["file_url"])
