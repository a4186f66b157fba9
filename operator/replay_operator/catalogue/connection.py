"""The catalogue as a process uses it: its database, and what is remembered of it."""

from __future__ import annotations

from dataclasses import dataclass

from pydantic import SecretStr

from replay_operator.catalogue.database import Database, open_database
from replay_operator.catalogue.guarded_cache import GuardedCache
from replay_operator.catalogue.quota_cache import scope_of


@dataclass(frozen=True, slots=True)
class Catalogue:
    """A database, and the cache of the quotas in it."""

    database: Database
    cache: GuardedCache

    async def close(self) -> None:
        """Close every connection."""
        await self.cache.close()
        await self.database.close()


def open_catalogue(url: SecretStr, cache_url: SecretStr | None) -> Catalogue:
    """Prepare the way to a catalogue. Nothing is opened yet.

    Args:
        url: As `open_database` takes it.
        cache_url: Of a Redis; None: quotas are remembered in this process.

    Raises:
        UnsupportedDatabaseError: The URL names no database that can be used.
        UnsupportedCacheError: The cache's names no Redis.
    """
    database = open_database(url)
    return Catalogue(database, GuardedCache(cache_url, scope=scope_of(database)))
