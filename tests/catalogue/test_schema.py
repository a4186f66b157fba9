"""The schema at start: made, changed, left alone or refused."""

import asyncio
import subprocess
import sys
from pathlib import Path

import pytest
from alembic import command
from alembic.autogenerate import compare_metadata
from alembic.runtime.migration import MigrationContext
from alembic.script import ScriptDirectory
from pydantic import SecretStr
from sqlalchemy import Connection, inspect, text

from replay_operator.catalogue.database import Database, open_database
from replay_operator.catalogue.errors import CatalogueAwayError, SchemaRefusedError, UnsupportedDatabaseError
from replay_operator.catalogue.migrate import bring_up_to_date
from replay_operator.catalogue.schema import REVISIONS, SchemaStep, schema_step
from replay_operator.catalogue.tables import BufferSession
from replay_operator.catalogue.upgrade import alembic_config
from replay_operator.catalogue.writing import EntryWriter
from tests.catalogue import postgres
from tests.catalogue.entries import session
from tests.catalogue.revision import set_revision


def test_no_schema_is_made() -> None:
    assert schema_step(None, ["0001", "0002"]) is SchemaStep.UPGRADE


def test_an_older_schema_is_brought_up_to_date() -> None:
    assert schema_step("0001", ["0001", "0002"]) is SchemaStep.UPGRADE


def test_the_newest_schema_is_left_alone() -> None:
    assert schema_step("0002", ["0001", "0002"]) is SchemaStep.NOTHING


def test_a_schema_of_a_newer_version_is_refused_with_both_revisions_and_what_to_do() -> None:
    with pytest.raises(SchemaRefusedError, match=r"0003.*none after 0002.*run the version"):
        schema_step("0003", ["0001", "0002"])


async def test_the_migrations_make_what_the_tables_say(database: Database) -> None:
    def differences(connection: Connection) -> list[object]:
        context = MigrationContext.configure(connection, opts={"compare_type": True})
        return list(compare_metadata(context, BufferSession.metadata))

    async with database.reading() as connection:
        assert await connection.run_sync(differences) == []


async def test_a_second_start_writes_nothing(sqlite: Database, tmp_path: Path) -> None:
    wal = tmp_path / "catalogue.db-wal"
    written = wal.read_bytes()
    assert written
    assert await bring_up_to_date(sqlite) is SchemaStep.NOTHING
    assert wal.read_bytes() == written


async def test_two_that_start_at_once_make_the_schema_once(empty_database: Database) -> None:
    steps = await asyncio.gather(bring_up_to_date(empty_database), bring_up_to_date(empty_database))
    assert sorted(steps) == [SchemaStep.NOTHING, SchemaStep.UPGRADE]


async def test_a_database_of_a_newer_version_is_left_as_it_is(database: Database) -> None:
    await set_revision(database, "9999")
    with pytest.raises(SchemaRefusedError, match="9999"):
        await bring_up_to_date(database)


async def test_going_back_is_refused_and_changes_nothing(database: Database) -> None:
    with pytest.raises(SchemaRefusedError, match="not taken back"):
        async with database.writing() as connection:
            await connection.run_sync(lambda sync: command.downgrade(alembic_config(sync), "base"))
    assert await bring_up_to_date(database) is SchemaStep.NOTHING


async def test_a_migration_that_fails_leaves_nothing_behind(
    empty_database: Database, monkeypatch: pytest.MonkeyPatch
) -> None:
    def break_off(connection: Connection) -> None:
        command.upgrade(alembic_config(connection), "head")
        raise RuntimeError("the power went")

    monkeypatch.setattr("replay_operator.catalogue.migrate._upgrade", break_off)
    with pytest.raises(RuntimeError, match="power"):
        await bring_up_to_date(empty_database)
    async with empty_database.reading() as connection:
        assert await connection.run_sync(lambda sync: inspect(sync).get_table_names()) == []


def test_the_revisions_are_those_of_the_migrations_oldest_first() -> None:
    scripts = ScriptDirectory.from_config(alembic_config()).walk_revisions()
    assert [script.revision for script in scripts] == [*reversed(REVISIONS)]


UP_TO_DATE = """
import asyncio, sys
from pydantic import SecretStr
from replay_operator.catalogue.database import open_database
from replay_operator.catalogue.migrate import bring_up_to_date

print(asyncio.run(bring_up_to_date(open_database(SecretStr(sys.argv[1])))), "alembic" in sys.modules)
"""


def test_alembic_is_loaded_for_a_change_of_the_schema_alone(tmp_path: Path) -> None:
    # It takes 8 MiB for as long as the process lives.
    command = [sys.executable, "-c", UP_TO_DATE, f"sqlite:///{tmp_path}/catalogue.db"]
    starts = [subprocess.run(command, capture_output=True, text=True, check=True) for _ in range(2)]
    assert [start.stdout for start in starts] == ["Upgrade True\n", "Nothing False\n"]


@pytest.mark.parametrize("url", ["mysql://u:geheim@h/d", "sqlite:///relative.db", "sqlite://", "geheim"])
def test_another_database_is_refused_without_repeating_the_url(url: str) -> None:
    with pytest.raises(UnsupportedDatabaseError, match="sqlite:////") as refused:
        open_database(SecretStr(url))
    assert "geheim" not in str(refused.value)


async def test_a_file_that_cannot_be_opened_is_a_database_that_is_away(tmp_path: Path) -> None:
    database = open_database(SecretStr(f"sqlite:///{tmp_path}/missing/catalogue.db"))
    with pytest.raises(CatalogueAwayError, match=r"missing/catalogue\.db.*unable to open"):
        await bring_up_to_date(database)
    await database.close()


async def test_a_right_that_is_missing_is_no_fault_of_a_row_and_may_be_given_later(
    postgres_server: postgres.Postgres,
) -> None:
    url = postgres_server.new_database()
    owner = open_database(SecretStr(url))
    await bring_up_to_date(owner)
    async with owner.writing() as connection:
        await connection.execute(text("CREATE ROLE stranger LOGIN"))
    stranger = open_database(SecretStr(url.replace(f"//{postgres.USER}@", "//stranger@")))
    with pytest.raises(CatalogueAwayError, match="permission denied"):
        await bring_up_to_date(stranger)
    with pytest.raises(CatalogueAwayError, match="permission denied"):
        await EntryWriter(stranger).write([session("a")])
    for database in (owner, stranger):
        await database.close()


async def test_a_postgres_that_is_away_is_named_without_its_password() -> None:
    database = open_database(SecretStr("postgresql://operator:geheim@127.0.0.1:1/catalogue"))
    with pytest.raises(CatalogueAwayError, match=r"127\.0\.0\.1/catalogue") as away:
        await bring_up_to_date(database)
    assert "geheim" not in str(away.value)
    await database.close()
