"""Rows follow the entries: written when they differ, all of a batch or none."""

from pathlib import Path

import pytest
from pydantic import SecretStr
from sqlalchemy import select, text

from replay_operator.catalogue.database import Database, open_database
from replay_operator.catalogue.errors import CatalogueAwayError, RowsRefusedError
from replay_operator.catalogue.sessions import Sessions
from replay_operator.catalogue.tables import BufferSession, FileRecord, SessionStatus
from replay_operator.catalogue.writing import EntryWriter
from tests.builders import NOW
from tests.catalogue.entries import clip, session

WRITTEN = {
    "sqlite": "SELECT total_changes()",  # of the one connection that the pool gives out
    "postgresql": "SELECT sum(xmin::text::bigint) FROM (SELECT xmin FROM buffer_session "
    "UNION ALL SELECT xmin FROM replay_clip UNION ALL SELECT xmin FROM clip_file) AS versions",
}


async def written(database: Database) -> int:
    """A number that changes when a row is written."""
    async with database.reading() as connection:
        return int((await connection.execute(text(WRITTEN[connection.dialect.name]))).scalar_one())


async def test_a_row_is_brought_to_what_its_entry_says(database: Database) -> None:
    await EntryWriter(database).write([session("a")])
    await EntryWriter(database).write([session("a", status=SessionStatus.ENDED, ended_at=NOW)])
    async with database.reading() as connection:
        row = (await connection.execute(select(BufferSession.status, BufferSession.ended_at))).one()
    assert tuple(row) == (SessionStatus.ENDED, NOW)


async def test_the_same_entries_again_change_no_row(database: Database) -> None:
    entries = [session("a", owner=None), clip("c"), clip("d", title=None)]
    await EntryWriter(database).write(entries)
    before = await written(database)
    await EntryWriter(database).write(entries)
    assert await written(database) == before


async def test_one_row_that_is_refused_keeps_the_others_out(database: Database) -> None:
    broken = clip("c", kinds=())
    orphan = FileRecord(clip_uid="nobody", kind="Video", path="p", bytes=1, sha256=None)
    with pytest.raises(RowsRefusedError, match=r"(?i)foreign key"):
        await EntryWriter(database).write([session("a"), type(broken)(broken.clip, (orphan,))])
    assert await Sessions(database).active_of_owner("user-42") == ()


async def test_while_another_process_writes_the_database_is_away(sqlite: Database) -> None:
    async with sqlite.writing():
        async with sqlite.reading() as other:
            await other.exec_driver_sql("PRAGMA busy_timeout=1")  # the pool gives this one out again
        with pytest.raises(CatalogueAwayError, match="locked"):
            await EntryWriter(sqlite).write([session("a")])


async def test_no_thread_outlives_the_close_though_the_file_could_not_be_opened(tmp_path: Path) -> None:
    database = open_database(SecretStr(f"sqlite:///{tmp_path}/nowhere/catalogue.db"))
    with pytest.raises(CatalogueAwayError):
        await EntryWriter(database).write([session("a")])
    await database.close()
    assert database.threads
    assert not [thread for thread in database.threads if thread.is_alive()]
