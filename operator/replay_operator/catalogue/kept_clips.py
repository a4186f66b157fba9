"""Questions of retention about clips, oldest first, and the note that one is gone."""

from __future__ import annotations

from collections.abc import AsyncIterator
from dataclasses import dataclass
from datetime import datetime

from sqlalchemy import Select, and_, delete, select, tuple_, update
from sqlmodel import col

from replay_operator.catalogue.database import Database
from replay_operator.catalogue.tables import ClipFile, ClipStatus, FileKind, ReplayClip
from replay_operator.domain.clip_retention import KeptClip

PAGE = 200


def finished_before(
    namespace: str, before: datetime, after: KeptClip | None = None
) -> Select[*tuple[object, ...]]:
    """Ask for the clips that were finished before a moment, oldest first.

    Args:
        namespace: Of the install: others have an archive of their own.
        before: The moment.
        after: The last clip of the page before.
    """
    finished_at, uid = col(ReplayClip.finished_at), col(ReplayClip.uid)
    chosen = _ready(namespace).where(finished_at < before).order_by(finished_at, uid)
    return (
        chosen
        if after is None
        else chosen.where(tuple_(finished_at, uid) > tuple_(after.finished_at, after.uid))
    )


def oldest_of_owner(namespace: str, owner: str, after: KeptClip | None = None) -> Select[*tuple[object, ...]]:
    """Ask for a person's clips, oldest first.

    Args:
        namespace: Of the install.
        owner: The person.
        after: The last clip of the page before.
    """
    created_at, uid = col(ReplayClip.created_at), col(ReplayClip.uid)
    chosen = _ready(namespace).where(col(ReplayClip.owner) == owner).order_by(created_at, uid)
    return (
        chosen
        if after is None
        else chosen.where(tuple_(created_at, uid) > tuple_(after.created_at, after.uid))
    )


def _ready(namespace: str) -> Select[*tuple[object, ...]]:
    video = and_(col(ClipFile.clip_uid) == col(ReplayClip.uid), col(ClipFile.kind) == FileKind.VIDEO)
    return (
        select(
            col(ReplayClip.uid),
            col(ReplayClip.owner),
            col(ClipFile.path),
            col(ReplayClip.quota_bytes),
            col(ReplayClip.created_at),
            col(ReplayClip.finished_at),
            col(ClipFile.url),
        )
        .join(ClipFile, video)
        .where(col(ReplayClip.status) == ClipStatus.READY, col(ReplayClip.namespace) == namespace)
        .limit(PAGE)
    )


@dataclass(frozen=True, slots=True)
class KeptClips:
    """The clips that lie on the archive volume of an install."""

    database: Database
    namespace: str

    async def finished_before(self, before: datetime) -> AsyncIterator[KeptClip]:
        """Give the clips that were finished before a moment, oldest first.

        Args:
            before: The moment.

        Raises:
            CatalogueAwayError: The database does not answer.
        """
        page = await self._page(finished_before(self.namespace, before))
        while page:
            for clip in page:
                yield clip
            page = await self._page(finished_before(self.namespace, before, page[-1]))

    async def oldest_of(self, owner: str) -> AsyncIterator[KeptClip]:
        """Give a person's clips, oldest first.

        Args:
            owner: The person.

        Raises:
            CatalogueAwayError: The database does not answer.
        """
        page = await self._page(oldest_of_owner(self.namespace, owner))
        while page:
            for clip in page:
                yield clip
            page = await self._page(oldest_of_owner(self.namespace, owner, page[-1]))

    async def note_deleted(self, uid: str, reason: str) -> None:
        """Note that a clip and its files are gone.

        Args:
            uid: Which.
            reason: Why.

        Raises:
            CatalogueAwayError: The database does not answer.
        """
        async with self.database.writing() as connection:
            await connection.execute(delete(ClipFile).where(col(ClipFile.clip_uid) == uid))
            await connection.execute(
                update(ReplayClip)
                .where(col(ReplayClip.uid) == uid)
                .values(status=ClipStatus.DELETED, reason=reason, quota_bytes=0)
            )

    async def _page(self, query: Select[*tuple[object, ...]]) -> list[KeptClip]:
        async with self.database.reading() as connection:
            return [KeptClip(**row) for row in (await connection.execute(query)).mappings()]
