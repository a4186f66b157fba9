"""The same answers in two ways, timed."""

from __future__ import annotations

import random
import statistics
import time
from collections.abc import Awaitable, Callable
from dataclasses import dataclass

from pydantic import SecretStr
from sqlalchemy import select
from sqlmodel import col

from replay_operator.catalogue.clips import Clips
from replay_operator.catalogue.database import Database
from replay_operator.catalogue.guarded_cache import GuardedCache
from replay_operator.catalogue.listing import Chosen, Place, newest_first
from replay_operator.catalogue.owners import Owners
from replay_operator.catalogue.quota_cache import CachedOwners, OwnerBook, scope_of
from replay_operator.catalogue.tables import ClipFile, ReplayClip
from tests.catalogue.bulk import HEAVY_OWNER

_MINE = Chosen(owner=HEAVY_OWNER)


@dataclass(frozen=True)
class Timed:
    """How long something took, in milliseconds."""

    what: str
    samples: tuple[float, ...]

    @property
    def p95_ms(self) -> float:
        return statistics.quantiles(self.samples, n=20)[-1]

    def __str__(self) -> str:
        middle = statistics.median(self.samples)
        return f"{self.what}: median {middle:.2f} ms, p95 {self.p95_ms:.2f} ms ({len(self.samples)} samples)"


async def timed(what: str, works: list[Callable[[], Awaitable[object]]]) -> Timed:
    samples = []
    for work in works:
        begun = time.perf_counter()
        await work()
        samples.append((time.perf_counter() - begun) * 1000)
    return Timed(what, tuple(samples))


async def places(database: Database) -> list[Place]:
    """Where the pages of the heavy owner may begin."""
    async with database.reading() as connection:
        found = await connection.execute(
            select(col(ReplayClip.created_at), col(ReplayClip.uid)).where(
                col(ReplayClip.owner) == HEAVY_OWNER
            )
        )
        return [Place(row.created_at, row.uid) for row in found]


async def n_plus_one(database: Database, limit: int, after: Place | None) -> int:
    """The way that many would write it: all columns of the page, then the files of each clip."""
    async with database.reading() as connection:
        columns = [col(getattr(ReplayClip, name)) for name in ReplayClip.model_fields]
        clips = (await connection.execute(newest_first(ReplayClip, columns, _MINE, limit, after))).all()
        files = 0
        for clip in clips:
            of_clip = select(ClipFile).where(col(ClipFile.clip_uid) == clip.uid)
            files += len((await connection.execute(of_clip)).all())
        return files


async def pages(database: Database, chance: random.Random, samples: int, limit: int) -> tuple[Timed, Timed]:
    """Pages of the heavy owner at random places, in one statement and in N+1."""
    clips = Clips(database)
    begins: list[Place | None] = [None, *chance.choices(await places(database), k=samples - 1)]
    for place in begins[:10]:  # connections and caches are warm for both
        await clips.page(_MINE, limit=limit, after=place)
        await n_plus_one(database, limit, place)
    one = await timed(
        f"a page of {limit} clips with files, one statement",
        [lambda at=place: clips.page(_MINE, limit=limit, after=at) for place in begins],
    )
    many = await timed(
        f"a page of {limit} clips with files, N+1 statements",
        [lambda at=place: n_plus_one(database, limit, at) for place in begins],
    )
    return one, many


async def quota_checks(database: Database, redis: SecretStr | None, samples: int) -> list[Timed]:
    """What an owner uses and may have: from the database, remembered in memory, remembered in Redis."""
    owners = Owners(database)
    kinds: list[tuple[str, SecretStr | None]] = [("memory", None)]
    if redis is not None:
        kinds.append(("Redis", redis))

    async def check(book: OwnerBook) -> None:
        await book.archive_use(HEAVY_OWNER)
        await book.own_limits(HEAVY_OWNER)

    found = [await timed("quota check, no cache", [lambda: check(owners)] * samples)]
    for name, url in kinds:
        cache = GuardedCache(url, scope=scope_of(database))
        book = CachedOwners(owners, cache)
        await check(book)
        found.append(await timed(f"quota check, cached in {name}", [lambda b=book: check(b)] * samples))
        await cache.close()
    return found
