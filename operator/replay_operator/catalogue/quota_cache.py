"""The owners' quotas without asking the database each time.

What is remembered was true within the last 300 s. This process is never given what is older than its own last
change: whoever writes clips or limits goes through the writers of this module. Another process, such as
`replay-operator catalogue quota set`, is believed at once where both use one Redis, else after that time.

A sum that is remembered is right for `domain.quotas.read_anew` when the recorder's unwritten uids were noted
before it was asked for: a row is declared stale before the recorder calls it written.
"""

from __future__ import annotations

import hashlib
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Protocol

from pydantic import TypeAdapter

from replay_operator.catalogue.database import Database
from replay_operator.catalogue.entries import ClipEntry
from replay_operator.catalogue.guarded_cache import GuardedCache
from replay_operator.catalogue.owners import ArchiveUse
from replay_operator.catalogue.recorder import Closer, Writer
from replay_operator.catalogue.writing import Entry
from replay_operator.domain.quotas import QuotaLimits

_BUFFERS = "buffers"

_NUMBERS = TypeAdapter(Mapping[str, int])


@dataclass(frozen=True, slots=True)
class _Reading:
    use: ArchiveUse
    limits: QuotaLimits


_READING = TypeAdapter(_Reading)


class OwnerBook(Protocol):
    """What is asked and set about owners: `Owners`, and `CachedOwners` in its place."""

    async def archive_use(self, owner: str) -> ArchiveUse:
        """Give what a person's clips take of the archive."""

    async def own_limits(self, owner: str) -> QuotaLimits:
        """Give what a person may have instead of the defaults."""

    async def set_own_limits(self, owner: str, limits: QuotaLimits, now: datetime) -> None:
        """Set what a person may have instead of the defaults."""

    async def own_numbers_of_buffers(self) -> Mapping[str, int]:
        """Give the owners who may have another number of buffers than the default."""


def scope_of(database: Database) -> str:
    """Give the scope of a catalogue's cache: two catalogues may share one Redis.

    A SQLite file is known by its path alone. Two installs with the same path need a Redis database each.

    Args:
        database: The catalogue.
    """
    url = database.engine.url
    place = f"{url.get_backend_name()}|{url.host}|{url.port}|{url.database}"
    return f"quota:{hashlib.sha256(place.encode()).hexdigest()[:16]}"


@dataclass(frozen=True, slots=True)
class CachedOwners:
    """The owners in the catalogue, remembered."""

    owners: OwnerBook
    cache: GuardedCache

    async def archive_use(self, owner: str) -> ArchiveUse:
        """Give what a person's clips take of the archive.

        Args:
            owner: The person.

        Raises:
            CatalogueAwayError: It is not remembered, and the database does not answer.
        """
        return (await self._reading(owner)).use

    async def own_limits(self, owner: str) -> QuotaLimits:
        """Give what a person may have instead of the defaults.

        Args:
            owner: The person.

        Raises:
            CatalogueAwayError: It is not remembered, and the database does not answer.
        """
        return (await self._reading(owner)).limits

    async def set_own_limits(self, owner: str, limits: QuotaLimits, now: datetime) -> None:
        """Set what a person may have instead of the defaults.

        Args:
            owner: The person.
            limits: None: the default.
            now: The time.

        Raises:
            CatalogueAwayError: The database does not answer.
        """
        try:
            await self.owners.set_own_limits(owner, limits, now)
        finally:
            # Whatever came of it: a commit may have arrived though its answer did not.
            await self.cache.forget([_subject(owner), _BUFFERS])

    async def own_numbers_of_buffers(self) -> Mapping[str, int]:
        """Give the owners who may have another number of buffers than the default.

        Raises:
            CatalogueAwayError: It is not remembered, and the database does not answer.
        """
        return await self.cache.remembered(_BUFFERS, _NUMBERS, self.owners.own_numbers_of_buffers)

    async def forget(self, owner: str) -> None:
        """Read a person's use anew next time: its clips were changed past the writers.

        Args:
            owner: The person.
        """
        await self.cache.forget([_subject(owner)])

    async def _reading(self, owner: str) -> _Reading:
        async def read() -> _Reading:
            return _Reading(await self.owners.archive_use(owner), await self.owners.own_limits(owner))

        return await self.cache.remembered(_subject(owner), _READING, read)


@dataclass(frozen=True, slots=True)
class ForgettingWriter:
    """Writes entries, and declares stale what was remembered of the clips' owners before it says so."""

    writer: Writer
    cache: GuardedCache

    async def write(self, entries: Sequence[Entry]) -> None:
        """Write all of them or none.

        Args:
            entries: At most one of each uid.

        Raises:
            CatalogueAwayError: The database does not answer.
            RowsRefusedError: It does not take one of them.
        """
        owners = {entry.clip.owner for entry in entries if isinstance(entry, ClipEntry)}
        try:
            await self.writer.write(entries)
        finally:
            await self.cache.forget([_subject(owner) for owner in owners if owner is not None])


@dataclass(frozen=True, slots=True)
class ForgettingCloser:
    """Closes what went unseen, and declares everything stale when there was any."""

    closer: Closer
    cache: GuardedCache

    async def close_missing(self, namespace: str, live: Collection[str], now: datetime) -> int:
        """Close what belongs to no resource any more.

        Args:
            namespace: Of the install.
            live: Uids of all resources in it.
            now: The time.

        Returns:
            How many were closed.
        """
        closed: int | None = None
        try:
            closed = await self.closer.close_missing(namespace, live, now)
        finally:
            if closed != 0:
                await self.cache.forget_everything()
        return closed


def _subject(owner: str) -> str:
    return f"owner:{owner}"
