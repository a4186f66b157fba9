"""Writing entries: a row that is there is brought to what the entry says, and left alone when it says so."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Any

from sqlalchemy import delete
from sqlalchemy.ext.asyncio import AsyncConnection
from sqlmodel import SQLModel, col

from replay_operator.catalogue.database import Database
from replay_operator.catalogue.entries import ClipEntry, SessionEntry
from replay_operator.catalogue.tables import BufferSession, ClipFile, FileKind, ReplayClip
from replay_operator.catalogue.upsert import upsert

Entry = SessionEntry | ClipEntry


@dataclass(frozen=True, slots=True)
class EntryWriter:
    """Writes entries to the catalogue, all of them or none."""

    database: Database

    async def write(self, entries: Sequence[Entry]) -> None:
        """Bring the rows of these entries up to date, in one transaction.

        Args:
            entries: At most one of each uid.

        Raises:
            CatalogueAwayError: The database does not answer; nothing was written.
            RowsRefusedError: It does not take one of them; nothing was written.
        """
        clips = [entry for entry in entries if isinstance(entry, ClipEntry)]
        sessions = [entry.session for entry in entries if isinstance(entry, SessionEntry)]
        async with self.database.writing() as connection:
            await _upsert(connection, BufferSession, sessions)
            await _upsert(connection, ReplayClip, [entry.clip for entry in clips])
            await _upsert(connection, ClipFile, [file for entry in clips for file in entry.files])
            await _remove_other_files(connection, clips)


async def _upsert(connection: AsyncConnection, table: type[SQLModel], records: Iterable[SQLModel]) -> None:
    values: list[dict[str, Any]] = [record.model_dump() for record in records]
    if values:
        await connection.execute(upsert(table, connection.dialect), values)


async def _remove_other_files(connection: AsyncConnection, clips: Iterable[ClipEntry]) -> None:
    """Take away what is no file of a clip any more: one statement for a kind, not for a clip."""
    for kind in FileKind:
        without = [entry.uid for entry in clips if kind not in {file.kind for file in entry.files}]
        if without:
            gone = col(ClipFile.clip_uid).in_(without), col(ClipFile.kind) == kind
            await connection.execute(delete(ClipFile).where(*gone))
