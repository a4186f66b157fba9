"""A catalogue in a file, with the schema of this version."""

from collections.abc import AsyncIterator
from pathlib import Path

import pytest
from pydantic import SecretStr

from replay_operator.catalogue.database import Database, open_database
from replay_operator.catalogue.migrate import bring_up_to_date


@pytest.fixture
async def empty_database(tmp_path: Path) -> AsyncIterator[Database]:
    """A file that nobody has written to."""
    database = open_database(SecretStr(f"sqlite:///{tmp_path}/catalogue.db"))
    yield database
    await database.close()


@pytest.fixture
async def database(empty_database: Database) -> Database:
    await bring_up_to_date(empty_database)
    return empty_database
