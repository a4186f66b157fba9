"""The recorder: rows follow the resources, late where the database is away, and nobody waits for it."""

import asyncio
import logging
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager

import pytest

from replay_operator.catalogue.clips import Clips
from replay_operator.catalogue.database import Database
from replay_operator.catalogue.errors import CatalogueAwayError, RowsRefusedError
from replay_operator.catalogue.recorder import BATCH, Recorder, pause_seconds
from replay_operator.catalogue.sessions import Sessions
from replay_operator.catalogue.tables import ClipStatus, SessionStatus
from replay_operator.catalogue.writing import Entry, EntryWriter
from tests.builders import NAMESPACE, NOW, at
from tests.catalogue.entries import clip, session


class Faults:
    """The real writer, which can be told to fail."""

    def __init__(self, database: Database) -> None:
        self._real = EntryWriter(database)
        self.away = False
        self.refused: set[str] = set()
        self.tries = asyncio.Semaphore(0)
        self.batches: list[list[str]] = []

    async def write(self, entries: Sequence[Entry]) -> None:
        self.tries.release()
        if self.away:
            raise CatalogueAwayError("the catalogue (here) does not answer: pulled out")
        if self.refused & {entry.uid for entry in entries}:
            raise RowsRefusedError("the catalogue (here) refuses: too odd")
        await self._real.write(entries)
        self.batches.append([entry.uid for entry in entries])


@pytest.fixture
def writer(database: Database) -> Faults:
    return Faults(database)


@pytest.fixture
async def recorder(database: Database, writer: Faults) -> AsyncIterator[Recorder]:
    recorder = Recorder(writer, [Sessions(database), Clips(database)], pause=lambda _: 0.0)
    async with running(recorder):
        yield recorder


@asynccontextmanager
async def running(recorder: Recorder) -> AsyncIterator[None]:
    task = asyncio.create_task(recorder.run())
    yield
    assert not task.done()
    task.cancel()


async def active(database: Database) -> list[str]:
    return sorted(found.uid for found in await Sessions(database).active_of_owner("user-42"))


async def test_what_is_kept_is_in_the_catalogue_a_moment_later(
    database: Database, recorder: Recorder
) -> None:
    recorder.keep(session("a"))
    recorder.keep(clip("c"))
    await recorder.caught_up()
    assert await active(database) == ["a"]
    assert len((await Clips(database).of_owner("user-42", limit=10)).clips) == 1


async def test_an_unchanged_object_is_not_written_again(recorder: Recorder, writer: Faults) -> None:
    for _ in range(3):
        recorder.keep(session("a"))
        await recorder.caught_up()
    assert writer.batches == [["a"]]


async def test_what_happened_while_the_database_was_away_is_there_after_its_return(
    database: Database, recorder: Recorder, writer: Faults, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.INFO)
    writer.away = True
    recorder.keep(session("came"))
    recorder.keep(session("came and went"))
    recorder.gone(session("came and went"), at(5))
    recorder.keep(clip("c", status=ClipStatus.PENDING, kinds=()))
    recorder.keep(clip("c"))
    for _ in range(5):
        await writer.tries.acquire()
    assert recorder.waiting == 3
    writer.away = False
    await recorder.caught_up()
    assert await active(database) == ["came"]
    (ended,) = await Sessions(database).ended_before(at(6), limit=10)
    assert (ended.uid, ended.ended_at) == ("came and went", at(5))
    (found,) = (await Clips(database).of_owner("user-42", limit=10)).clips
    assert (found.status, len(found.files)) == (ClipStatus.READY, 2)
    assert [record.levelname for record in caplog.records] == ["WARNING", "INFO"]


async def test_one_row_that_is_refused_holds_no_other_up(
    database: Database, recorder: Recorder, writer: Faults, caplog: pytest.LogCaptureFixture
) -> None:
    writer.refused = {"odd"}
    for uid in ("a", "odd", "b"):
        recorder.keep(session(uid))
    await recorder.caught_up()
    assert await active(database) == ["a", "b"]
    assert "ReplayBuffer team/buffer-odd" in caplog.text


async def test_many_are_written_in_batches(database: Database, recorder: Recorder, writer: Faults) -> None:
    for number in range(BATCH + 1):
        recorder.keep(session(f"s{number}"))
    await recorder.caught_up()
    assert [len(batch) for batch in writer.batches] == [BATCH, 1]


async def test_what_was_deleted_while_the_operator_was_away_is_closed_by_a_complete_look(
    database: Database, recorder: Recorder
) -> None:
    await EntryWriter(database).write(
        [session("gone"), session("there"), clip("c", status=ClipStatus.PENDING)]
    )
    recorder.resync(NAMESPACE, [session("there")], at(7))
    await recorder.caught_up()
    assert await active(database) == ["there"]
    (ended,) = await Sessions(database).ended_before(at(8), limit=10)
    assert ended.uid == "gone"
    (given_up,) = (await Clips(database).of_owner("user-42", limit=10)).clips
    assert given_up.status is ClipStatus.FAILED


async def test_what_came_after_the_complete_look_is_not_closed_by_it(
    database: Database, recorder: Recorder, writer: Faults
) -> None:
    writer.away = True
    recorder.resync(NAMESPACE, [session("there")], at(7))
    recorder.keep(session("new"))
    await writer.tries.acquire()
    writer.away = False
    await recorder.caught_up()
    assert await active(database) == ["new", "there"]


async def test_a_complete_look_mends_what_somebody_else_wrote(database: Database, recorder: Recorder) -> None:
    recorder.keep(session("a"))
    await recorder.caught_up()
    await EntryWriter(database).write([session("a", status=SessionStatus.ENDED, ended_at=NOW)])
    recorder.resync(NAMESPACE, [session("a")], NOW)
    await recorder.caught_up()
    assert await active(database) == ["a"]


async def test_a_fault_that_nobody_foresaw_does_not_end_the_recording(
    database: Database, recorder: Recorder, writer: Faults, monkeypatch: pytest.MonkeyPatch
) -> None:
    real = writer.write

    async def once(entries: Sequence[Entry]) -> None:
        monkeypatch.setattr(writer, "write", real)
        raise RuntimeError("never thought of that")

    monkeypatch.setattr(writer, "write", once)
    recorder.keep(session("a"))
    await recorder.caught_up()
    assert await active(database) == ["a"]


@pytest.mark.parametrize(("failures", "seconds"), [(1, 0.5), (2, 1.0), (5, 8.0), (7, 30.0), (10_000, 30.0)])
def test_pauses_grow_to_half_a_minute(failures: int, seconds: float) -> None:
    assert pause_seconds(failures) == seconds
