"""A process that is killed while it writes leaves what it had committed, and no half of anything."""

import subprocess
import sys

import pytest
from pydantic import SecretStr
from sqlalchemy import func, select

from replay_operator.catalogue.database import open_database
from replay_operator.catalogue.migrate import bring_up_to_date
from replay_operator.catalogue.schema import SchemaStep
from replay_operator.catalogue.tables import ClipFile, FileKind, ReplayClip
from tests.catalogue.killed_writer import CLIPS_IN_A_BATCH


def kill_after(url: str, batches: int) -> int:
    """Let a process write, kill it, and say how many batches it had committed by its own words."""
    argv = [sys.executable, "-m", "tests.catalogue.killed_writer", url]
    with subprocess.Popen(argv, stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None
        said = [process.stdout.readline() for _ in range(batches)]
        process.kill()
        return len(said) + len(process.stdout.readlines())


@pytest.mark.parametrize("batches", [1, 30])
@pytest.mark.parametrize("engine", ["sqlite", "postgres"])
async def test_a_kill_loses_nothing_that_was_committed_and_leaves_no_half_clip(
    request: pytest.FixtureRequest, sqlite_url: str, engine: str, batches: int
) -> None:
    url = sqlite_url
    if engine == "postgres":
        url = request.getfixturevalue("postgres_server").new_database()
    committed = kill_after(url, batches)
    database = open_database(SecretStr(url))
    assert await bring_up_to_date(database) is SchemaStep.NOTHING
    async with database.reading() as connection:
        clips = await connection.scalar(select(func.count()).select_from(ReplayClip))
        files = await connection.scalar(select(func.count()).select_from(ClipFile))
        if engine == "sqlite":
            (check,) = (await connection.exec_driver_sql("PRAGMA integrity_check")).scalars().all()
            assert check == "ok"
    await database.close()
    assert clips is not None
    assert clips % CLIPS_IN_A_BATCH == 0
    assert clips >= committed * CLIPS_IN_A_BATCH
    assert files == clips * len(FileKind)
