"""Quotas are remembered for a while, in memory or in a real Redis; a Redis that is away costs time alone."""

import asyncio
import json
import logging
from collections.abc import AsyncIterator, Callable, Iterator
from pathlib import Path

import pytest
from pydantic import SecretStr

from replay_operator.catalogue.clips import Clips
from replay_operator.catalogue.database import Database, open_database
from replay_operator.catalogue.errors import CatalogueAwayError, UnsupportedCacheError
from replay_operator.catalogue.guarded_cache import LEFT_ALONE_SECONDS, TTL_SECONDS, GuardedCache
from replay_operator.catalogue.owners import ArchiveUse, Owners
from replay_operator.catalogue.quota_cache import (
    CachedOwners,
    ForgettingCloser,
    ForgettingWriter,
    scope_of,
)
from replay_operator.catalogue.tables import ClipStatus
from replay_operator.catalogue.writing import EntryWriter
from replay_operator.domain.quotas import QuotaLimits
from tests.builders import NAMESPACE, NOW
from tests.catalogue import redis_server
from tests.catalogue.entries import clip, session
from tests.catalogue.statements import recorded

OWNER = "user-42"


class Clock:
    """Seconds that pass when the test says so."""

    def __init__(self) -> None:
        self.seconds = 1000.0

    def __call__(self) -> float:
        return self.seconds


class Process:
    """What one process has: its own cache object, and the writers that tell it."""

    def __init__(
        self, database: Database, url: str | None, *, clock: Callable[[], float], ttl: float = TTL_SECONDS
    ) -> None:
        self.cache = GuardedCache(
            SecretStr(url) if url else None, scope=scope_of(database), ttl_seconds=ttl, monotonic=clock
        )
        self.database = database
        self.owners = CachedOwners(Owners(database), self.cache)
        self.writer = ForgettingWriter(EntryWriter(database), self.cache)

    async def archived(self) -> int:
        return (await self.owners.archive_use(OWNER)).archived_bytes

    async def statements(self) -> int:
        with recorded(self.database) as statements:
            await self.owners.archive_use(OWNER)
        return len(statements)


def put_away(file: Path) -> None:
    file.rename(file.with_suffix(".gone"))
    file.mkdir()


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
def redis_(tmp_path: Path) -> Iterator[redis_server.RedisServer]:
    found = redis_server.program()
    if found is None:
        pytest.skip("there is no redis-server: install Debian's package redis-server")
    with redis_server.running(found, tmp_path) as server:
        yield server


@pytest.fixture(params=["memory", "redis"])
async def process(request: pytest.FixtureRequest, sqlite: Database, clock: Clock) -> AsyncIterator[Process]:
    url = None if request.param == "memory" else request.getfixturevalue("redis_").url
    made = Process(sqlite, url, clock=clock)
    yield made
    await made.cache.close()


@pytest.fixture
async def processes(
    sqlite: Database, redis_: redis_server.RedisServer, clock: Clock
) -> AsyncIterator[tuple[Process, Process]]:
    """Two that share one Redis."""
    pair = Process(sqlite, redis_.url, clock=clock), Process(sqlite, redis_.url, clock=clock)
    yield pair
    for one in pair:
        await one.cache.close()


async def test_a_quota_that_was_asked_for_is_not_asked_of_the_database_again(process: Process) -> None:
    await process.writer.write([clip("a", quota_bytes=7)])
    assert await process.statements() == 2
    assert await process.statements() == 0
    assert await process.owners.archive_use(OWNER) == ArchiveUse(7, 0)
    assert await process.owners.own_limits(OWNER) == QuotaLimits()


async def test_what_this_process_writes_is_seen_at_once(process: Process) -> None:
    for number in range(5):
        await process.writer.write([clip(f"c{number}", quota_bytes=10)])
        assert await process.archived() == 10 * (number + 1)
    await process.owners.set_own_limits(OWNER, QuotaLimits(buffers=2), NOW)
    assert await process.owners.own_limits(OWNER) == QuotaLimits(buffers=2)
    assert await process.owners.own_numbers_of_buffers() == {OWNER: 2}
    await process.owners.set_own_limits(OWNER, QuotaLimits(), NOW)
    assert await process.owners.own_limits(OWNER) == QuotaLimits()
    assert await process.owners.own_numbers_of_buffers() == {}


async def test_what_is_written_of_one_owner_leaves_what_is_known_of_the_others(process: Process) -> None:
    await process.archived()
    await process.writer.write([clip("theirs", owner="user-7"), session("s"), clip("nobodys", owner=None)])
    assert await process.statements() == 0


async def test_clips_that_are_closed_unseen_give_their_bytes_back_at_once(process: Process) -> None:
    await process.writer.write([clip("a", status=ClipStatus.PENDING, quota_bytes=7)])
    closer = ForgettingCloser(Clips(process.database), process.cache)
    assert await process.owners.archive_use(OWNER) == ArchiveUse(0, 7)
    assert await closer.close_missing(NAMESPACE, ["a"], NOW) == 0
    assert await process.statements() == 0
    assert await closer.close_missing(NAMESPACE, [], NOW) == 1
    assert await process.owners.archive_use(OWNER) == ArchiveUse(0, 0)


async def test_a_reading_that_a_write_overtakes_is_not_remembered(process: Process) -> None:
    read, go_on = asyncio.Event(), asyncio.Event()

    class SlowOwners(Owners):
        async def archive_use(self, owner: str) -> ArchiveUse:
            use = await super().archive_use(owner)
            read.set()
            await go_on.wait()
            return use

    slow = CachedOwners(SlowOwners(process.database), process.cache)
    asking = asyncio.create_task(slow.archive_use(OWNER))
    await read.wait()
    await process.writer.write([clip("a", quota_bytes=7)])
    go_on.set()
    assert (await asking).archived_bytes == 0
    assert await process.archived() == 7


async def test_a_reading_that_took_longer_than_it_may_be_remembered_is_not(
    process: Process, clock: Clock
) -> None:
    class StalledOwners(Owners):
        async def archive_use(self, owner: str) -> ArchiveUse:
            clock.seconds += TTL_SECONDS
            return await super().archive_use(owner)

    await CachedOwners(StalledOwners(process.database), process.cache).archive_use(OWNER)
    assert await process.statements() == 2


async def test_a_write_whose_answer_was_lost_counts_as_one(process: Process) -> None:
    class AnswerLost(EntryWriter):
        async def write(self, entries: object) -> None:
            await super().write(entries)  # type: ignore[arg-type]  # handed on as it came
            raise CatalogueAwayError("the connection broke after the commit")

    assert await process.archived() == 0
    with pytest.raises(CatalogueAwayError):
        await ForgettingWriter(AnswerLost(process.database), process.cache).write([clip("a", quota_bytes=7)])
    assert await process.archived() == 7


async def test_what_is_remembered_serves_while_the_database_is_away(
    process: Process, sqlite_url: str
) -> None:
    await process.archived()
    await process.database.close()
    put_away(Path(sqlite_url.removeprefix("sqlite:///")))
    assert await process.archived() == 0
    with pytest.raises(CatalogueAwayError):
        await process.owners.archive_use("somebody else")


@pytest.mark.parametrize("shared", [False, True])
async def test_another_process_is_believed_after_the_time_at_the_latest(
    sqlite: Database, shared: bool, request: pytest.FixtureRequest
) -> None:
    url = request.getfixturevalue("redis_").url if shared else None
    clock = asyncio.get_running_loop().time
    reader, other = Process(sqlite, url, clock=clock, ttl=0.2), Process(sqlite, None, clock=clock)
    assert await reader.archived() == 0
    await other.writer.write([clip("a", quota_bytes=7)])
    async with asyncio.timeout(60):
        while await reader.archived() == 0:  # noqa: ASYNC110 - nothing tells: that is what is tested
            await asyncio.sleep(0.01)
    await reader.cache.close()
    await other.cache.close()


async def test_processes_with_one_redis_see_each_other_at_once_and_ask_the_database_once(
    processes: tuple[Process, Process],
) -> None:
    one, other = processes
    assert await one.archived() == 0
    assert await other.statements() == 0
    await one.writer.write([clip("a", quota_bytes=7)])
    assert await other.archived() == 7
    assert await one.statements() == 0
    await other.owners.set_own_limits(OWNER, QuotaLimits(archive_bytes=5), NOW)
    assert await one.owners.own_limits(OWNER) == QuotaLimits(archive_bytes=5)


async def test_a_redis_that_is_killed_makes_quotas_slower_and_not_wrong(
    processes: tuple[Process, Process],
    redis_: redis_server.RedisServer,
    clock: Clock,
    caplog: pytest.LogCaptureFixture,
) -> None:
    one, other = processes
    assert await one.archived() == 0
    redis_.kill()
    await one.writer.write([clip("a", quota_bytes=7)])
    assert await one.archived() == 7
    assert await other.archived() == 7
    assert await one.statements() == 2
    redis_.start_again()
    clock.seconds += LEFT_ALONE_SECONDS
    assert await one.archived() == 7
    assert await one.statements() == 0
    warnings = [record for record in caplog.records if record.levelno == logging.WARNING]
    assert len(warnings) == 2, "one of each process, and no more"


async def test_a_change_that_redis_was_not_told_is_not_undone_by_what_it_still_knows(
    processes: tuple[Process, Process], redis_: redis_server.RedisServer, clock: Clock
) -> None:
    one, _ = processes
    assert await one.archived() == 0
    with redis_.client() as client:
        client.save()
    redis_.kill()
    await one.writer.write([clip("a", quota_bytes=7)])
    redis_.start_again()
    clock.seconds += LEFT_ALONE_SECONDS
    assert await one.archived() == 7


async def test_a_redis_that_is_back_from_an_old_file_is_not_believed(
    processes: tuple[Process, Process], redis_: redis_server.RedisServer, clock: Clock
) -> None:
    one, _ = processes
    assert await one.archived() == 0
    with redis_.client() as client:
        client.save()
    await one.writer.write([clip("a", quota_bytes=7)])
    assert await one.archived() == 7
    redis_.kill()
    redis_.start_again()
    assert await one.archived() == 7
    clock.seconds += LEFT_ALONE_SECONDS
    assert await one.archived() == 7


async def test_a_redis_that_was_emptied_is_filled_again(
    processes: tuple[Process, Process], redis_: redis_server.RedisServer
) -> None:
    one, other = processes
    await one.writer.write([clip("a", quota_bytes=7)])
    with redis_.client() as client:
        client.flushall()
    assert await one.archived() == 7
    assert await other.statements() == 0


async def test_what_somebody_else_left_under_a_key_is_read_over(
    processes: tuple[Process, Process], redis_: redis_server.RedisServer
) -> None:
    one, _ = processes
    await one.archived()
    with redis_.client() as client:
        (key,) = client.keys("replay:*:value:owner:*")
        good = client.get(key).removeprefix(b"bytes:")
        other_shape = {**json.loads(good), "value": {"from": "another version"}}
        for rubbish in (b"\x80\x04N.", b"bytes:{", b"bytes:" + json.dumps(other_shape).encode()):
            client.set(key, rubbish)
            assert await one.statements() == 2


async def test_what_is_remembered_goes_from_redis_by_itself(
    processes: tuple[Process, Process], redis_: redis_server.RedisServer
) -> None:
    await processes[0].archived()
    with redis_.client() as client:
        (value,) = client.keys("replay:*:value:*")
        assert 0 < client.pttl(value) <= TTL_SECONDS * 1000
        assert all(client.ttl(key) > 0 for key in client.keys("*"))


async def test_two_catalogues_in_one_redis_keep_apart(
    sqlite: Database, redis_: redis_server.RedisServer, clock: Clock, tmp_path: Path
) -> None:
    another = open_database(SecretStr(f"sqlite:///{tmp_path}/another.db"))
    assert scope_of(another) != scope_of(sqlite)
    assert scope_of(another) == scope_of(open_database(SecretStr(f"sqlite:///{tmp_path}/another.db")))


@pytest.mark.parametrize("url", ["memcached://host", "disk://", "mem://", "secret"])
def test_a_cache_that_is_no_redis_is_refused_without_repeating_its_url(url: str) -> None:
    with pytest.raises(UnsupportedCacheError) as refusal:
        GuardedCache(SecretStr(url), scope="quota")
    assert url not in str(refusal.value)
