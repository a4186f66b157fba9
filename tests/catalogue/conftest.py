"""A catalogue with the schema of this version, in a SQLite file and in a real Postgres."""

from collections.abc import AsyncIterator, Iterator
from pathlib import Path

import pytest
from pydantic import SecretStr

from replay_operator.catalogue.database import Database, open_database
from replay_operator.catalogue.migrate import bring_up_to_date
from tests.catalogue import postgres


@pytest.fixture(scope="session")
def postgres_server() -> Iterator[postgres.Postgres]:
    found = postgres.programs()
    if found is None:
        pytest.skip("there is no Postgres: install Debian's package postgresql")
    with postgres.running(found) as server:
        yield server


@pytest.fixture
def sqlite_url(tmp_path: Path) -> str:
    return f"sqlite:///{tmp_path}/catalogue.db"


@pytest.fixture(params=["sqlite", "postgres"])
async def empty_database(request: pytest.FixtureRequest) -> AsyncIterator[Database]:
    """Nobody has written to it."""
    if request.param == "sqlite":
        url = request.getfixturevalue("sqlite_url")
    else:
        url = request.getfixturevalue("postgres_server").new_database()
    database = open_database(SecretStr(url))
    yield database
    await database.close()


@pytest.fixture
async def database(empty_database: Database) -> Database:
    """On each engine."""
    await bring_up_to_date(empty_database)
    return empty_database


@pytest.fixture
async def sqlite(sqlite_url: str) -> AsyncIterator[Database]:
    """In a file."""
    database = open_database(SecretStr(sqlite_url))
    await bring_up_to_date(database)
    yield database
    await database.close()
