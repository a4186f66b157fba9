"""The operator's process with a catalogue, on a real API server: Postgres dies and returns, quotas refuse."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator, Iterator
from pathlib import Path
from typing import Any

import pytest
from pydantic import SecretStr

from replay_operator.catalogue.clips import Clips
from replay_operator.catalogue.database import Database, open_database
from replay_operator.catalogue.migrate import bring_up_to_date
from replay_operator.catalogue.owners import Owners
from replay_operator.catalogue.schema import REVISIONS
from replay_operator.catalogue.sessions import Sessions
from replay_operator.domain.quotas import QuotaLimits
from tests.builders import NOW
from tests.catalogue import postgres
from tests.catalogue.revision import set_revision
from tests.cluster.small_install import SmallInstall, figure
from tests.waiting import until

pytestmark = [pytest.mark.cluster, pytest.mark.usefixtures("crds")]

OWNER = "user-42"


@pytest.fixture
def server() -> Iterator[postgres.Postgres]:
    """One that the test may stop and start."""
    found = postgres.programs()
    if found is None:
        pytest.skip("there is no Postgres: install Debian's package postgresql")
    with postgres.running(found) as running:
        yield running


@pytest.fixture
async def sqlite(tmp_path: Path) -> AsyncIterator[Database]:
    database = open_database(SecretStr(sqlite_url(tmp_path)))
    yield database
    await database.close()


def sqlite_url(folder: Path) -> str:
    return f"sqlite:///{folder}/catalogue.db"


async def sessions(database: Database) -> list[str]:
    return [session.name for session in await Sessions(database).active_of_owner(OWNER)]


def capture(install: SmallInstall, name: str) -> None:
    body = {
        "apiVersion": "replaybuffer.dev/v1alpha1",
        "kind": "ReplayCapture",
        "metadata": {"name": name, "namespace": install.namespace},
        "spec": {"bufferRef": {"name": "alice"}, "range": {"last": {"seconds": 10}}},
    }
    install.plane.kubectl("apply", "-f", "-", input=json.dumps(body))


async def refusal(install: SmallInstall, name: str) -> dict[str, Any] | None:
    """Give the condition by which a capture is refused, if it is."""
    conditions = (await install.read("rcap", name)).get("status", {}).get("conditions", [])
    return next((c for c in conditions if (c["type"], c["status"]) == ("Stalled", "True")), None)


async def test_a_postgres_that_dies_delays_rows_and_nothing_else(
    install: SmallInstall, server: postgres.Postgres
) -> None:
    url = server.new_database()
    install.start_agent()
    operator = await install.leading_operator(REPLAY_CATALOGUE_URL=url)
    await install.recording_buffer("alice", owner=OWNER)
    database = open_database(SecretStr(url))
    await until("a row", lambda: sessions(database))
    await database.close()

    server.stop()
    await install.recording_buffer("bob", owner=OWNER)
    install.plane.kubectl("-n", install.namespace, "delete", "rb", "alice")
    await until("rows that wait", lambda: figure(operator, "replay_catalogue_waiting_objects"))
    await until("a catalogue that is down", lambda: is_up(operator, 0))
    segments = install.segments()
    await until("a further segment", lambda: install.segments() > segments)

    server.start()
    database = open_database(SecretStr(url))
    await until("complete rows", lambda: are(database, ["bob"]))
    await until("a catalogue that is up", lambda: is_up(operator, 1))
    assert await figure(operator, "replay_catalogue_waiting_objects") == 0
    await database.close()


async def test_what_was_deleted_while_operator_and_database_were_away_is_closed(
    install: SmallInstall, server: postgres.Postgres
) -> None:
    url = server.new_database()
    install.start_agent()
    operator = await install.leading_operator(REPLAY_CATALOGUE_URL=url)
    await install.recording_buffer("alice", owner=OWNER)
    database = open_database(SecretStr(url))
    await until("a row", lambda: sessions(database))
    await database.close()

    server.stop()
    operator.process.kill()
    await operator.exit_code()
    install.plane.kubectl("-n", install.namespace, "delete", "rb", "alice")
    await install.leading_operator(REPLAY_CATALOGUE_URL=url)
    server.start()
    database = open_database(SecretStr(url))
    await until("a session that is closed", lambda: are(database, []))
    await database.close()


async def test_of_two_captures_at_once_one_is_refused_with_a_condition_and_one_event(
    install: SmallInstall, sqlite: Database, tmp_path: Path
) -> None:
    await bring_up_to_date(sqlite)
    await Owners(sqlite).set_own_limits(OWNER, QuotaLimits(captures_per_minute=1), NOW)
    install.start_agent()
    operator = await install.leading_operator(REPLAY_CATALOGUE_URL=sqlite_url(tmp_path))
    await install.recording_buffer("alice", owner=OWNER)
    await asyncio.gather(*(asyncio.to_thread(capture, install, name) for name in ("one", "two")))

    async def outcomes() -> list[str] | None:
        found = {name: (await install.read("rcap", name)).get("status", {}) for name in ("one", "two")}
        looked_at = [name for name, status in found.items() if status.get("conditions")]
        return looked_at if len(looked_at) == len(found) else None

    await until("an answer to both", outcomes)
    refused = {name: await refusal(install, name) for name in ("one", "two")}
    (loser,) = [name for name, condition in refused.items() if condition is not None]
    condition = refused[loser] or {}
    assert condition["reason"] == "QuotaExceeded"
    assert "1 a minute are allowed. Try again at " in condition["message"]
    events = json.loads(
        install.plane.kubectl(
            *("-n", install.namespace, "get", "events", "-o", "json"),
            *("--field-selector", f"involvedObject.name={loser},reason=QuotaExceeded"),
        )
    )["items"]
    assert [(event["type"], event.get("count", 1)) for event in events] == [("Warning", 1)]
    (row,) = [clip for clip in (await Clips(sqlite).of_owner(OWNER, limit=5)).clips if clip.name == loser]
    assert (row.status, row.reason) == ("Failed", "QuotaExceeded")
    operator.process.terminate()
    assert await operator.exit_code() == 0
    assert "Traceback" not in operator.said(), operator.said()


async def test_a_newer_schema_is_left_alone_with_what_to_do_and_recording_begins(
    install: SmallInstall, sqlite: Database, tmp_path: Path
) -> None:
    await bring_up_to_date(sqlite)
    await set_revision(sqlite, "9999")
    install.start_agent()
    operator = await install.leading_operator(REPLAY_CATALOGUE_URL=sqlite_url(tmp_path))
    await install.recording_buffer("alice", owner=OWNER)
    assert "the catalogue's schema is at revision 9999" in operator.said()
    assert await is_up(operator, 0)
    assert await sessions(sqlite) == []

    await set_revision(sqlite, REVISIONS[-1])
    await until("a row", lambda: are(sqlite, ["alice"]))
    await until("a catalogue that is up", lambda: is_up(operator, 1))


async def is_up(operator: Any, up: int) -> bool:
    return await figure(operator, "replay_catalogue_up") == up


async def are(database: Database, names: list[str]) -> bool:
    return await sessions(database) == names
