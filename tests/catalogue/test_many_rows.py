"""With many rows each question is answered by the index that is meant for it, on both engines."""

from collections.abc import AsyncIterator

import pytest
from pydantic import SecretStr

from replay_operator.catalogue.clips import Clips
from replay_operator.catalogue.database import Database, open_database
from replay_operator.catalogue.listing import Chosen
from replay_operator.catalogue.migrate import bring_up_to_date
from tests.catalogue.bulk import HEAVY_OWNER, fill
from tests.catalogue.questions import QUESTIONS
from tests.catalogue.statements import plan

ROWS = 100_000
"""`make bench-catalogue` asks the same of 1,000,000."""


@pytest.fixture(params=["sqlite", "postgres"])
async def filled(request: pytest.FixtureRequest) -> AsyncIterator[Database]:
    if request.param == "sqlite":
        url = request.getfixturevalue("sqlite_url")
    else:
        url = request.getfixturevalue("postgres_server").new_database()
    database = open_database(SecretStr(url))
    await bring_up_to_date(database)
    await fill(database, clips=ROWS, sessions=ROWS)
    yield database
    await database.close()


async def test_each_question_is_answered_by_its_index(filled: Database) -> None:
    async with filled.reading() as connection:
        plans = {name: await plan(connection, query) for name, (query, _) in QUESTIONS.items()}
    others = {
        name: steps
        for name, steps in plans.items()
        if not [step for step in steps if QUESTIONS[name][1] in step]
        or [step for step in steps if step.startswith(("->  Seq Scan", "Seq Scan"))]
    }
    assert others == {}, "\n".join(f"{name}: {step}" for name, steps in others.items() for step in steps)
    page = await Clips(filled).page(Chosen(owner=HEAVY_OWNER), limit=50)
    assert len(page.clips) == 50
    assert {len(clip.files) for clip in page.clips} == {2}
