"""The read API: what a back end is told of a person's clips, sessions and quota, over real HTTP."""

import asyncio
import json
import logging
import re
import socket
import sys
from collections.abc import AsyncIterator, Callable
from contextlib import AsyncExitStack
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any
from urllib.parse import quote

import aiohttp
import pytest
from openapi_spec_validator import validate
from pydantic import SecretStr

from replay_operator.catalogue.database import Database
from replay_operator.catalogue.migrate import bring_up_to_date
from replay_operator.catalogue.owners import Owners
from replay_operator.catalogue.tables import ClipStatus, SessionStatus
from replay_operator.catalogue.writing import EntryWriter
from replay_operator.controller.catalogue_api.serve import catalogue_api
from replay_operator.domain.quotas import QuotaLimits
from replay_operator.settings import OperatorSettings
from tests.builders import NOW, at
from tests.catalogue.entries import clip, session
from tests.catalogue.revision import set_revision

TOKEN = "a-good-token"
PAGE = Path(__file__).parents[2] / "docs" / "catalogue-api.md"


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


class Api:
    """A client of the API."""

    def __init__(self, session: aiohttp.ClientSession, port: int, tokens: Path) -> None:
        self._session = session
        self.url = f"http://127.0.0.1:{port}"
        self.tokens = tokens

    async def get(self, path: str, *, token: str | None = TOKEN, status: int = 200) -> Any:
        headers = {"Authorization": f"Bearer {token}"} if token else {}
        async with self._session.get(self.url + path, headers=headers) as answer:
            assert answer.status == status, await answer.text()
            if status != 200:
                assert answer.content_type == "application/problem+json"
            return await answer.json(content_type=answer.content_type)

    async def raw(self, method: str, path: str) -> aiohttp.ClientResponse:
        headers = {"Authorization": f"Bearer {TOKEN}"}
        async with self._session.request(method, self.url + path, headers=headers) as answer:
            await answer.read()
            return answer


def settings_for(url: str, port: int | None, tokens: Path) -> OperatorSettings:
    return OperatorSettings(
        POD_NAMESPACE="team",
        capture_image="image",
        catalogue_url=SecretStr(url),
        catalogue_api_port=port,
        catalogue_api_token_directory=tokens,
        max_buffers_per_owner=2,
    )


@pytest.fixture
def tokens(tmp_path: Path) -> Path:
    directory = tmp_path / "tokens"
    directory.mkdir()
    (directory / "token").write_text(f"{TOKEN}\n")
    return directory


async def started(
    stack: AsyncExitStack, database: Database, tokens: Path, clock: Callable[[], datetime] = lambda: NOW
) -> Api:
    url, port = database.engine.url.render_as_string(hide_password=False), free_port()
    await stack.enter_async_context(catalogue_api(settings_for(url, port, tokens), clock))
    return Api(await stack.enter_async_context(aiohttp.ClientSession()), port, tokens)


@pytest.fixture
async def api(database: Database, tokens: Path) -> AsyncIterator[Api]:
    async with AsyncExitStack() as stack:
        yield await started(stack, database, tokens)


@pytest.fixture
async def sqlite_api(sqlite: Database, tokens: Path) -> AsyncIterator[Api]:
    async with AsyncExitStack() as stack:
        yield await started(stack, sqlite, tokens)


async def test_a_persons_clips_are_listed_page_by_page_with_their_files(database: Database, api: Api) -> None:
    await EntryWriter(database).write(
        [
            *(clip(f"c{n}", created_at=at(-n)) for n in range(3)),
            clip("failed", created_at=at(-5), status=ClipStatus.FAILED, kinds=()),
            clip("theirs", owner="user-7"),
        ]
    )
    first = await api.get("/v1/clips?owner=user-42&status=Ready&status=Pending&limit=2")
    second = await api.get(
        f"/v1/clips?owner=user-42&status=Ready&status=Pending&limit=2&cursor={first['next']}"
    )
    assert [found["uid"] for found in first["clips"] + second["clips"]] == ["c0", "c1", "c2"]
    assert "next" not in second
    assert first["clips"][0] == {
        "uid": "c0",
        "namespace": "team",
        "name": "clip-c0",
        "owner": "user-42",
        "room": "standup",
        "title": "Goal!",
        "status": "Ready",
        "reason": "ClipReady",
        "milliseconds": 60000,
        "clipStart": "2026-11-23T12:00:00Z",
        "createdAt": "2026-11-23T12:00:00Z",
        "files": [
            {"kind": "Video", "path": "c0/Video", "bytes": 1000},
            {"kind": "Thumbnail", "path": "c0/Thumbnail", "bytes": 1000},
        ],
    }


async def test_a_rooms_sessions_are_listed_since_a_time(database: Database, api: Api) -> None:
    await EntryWriter(database).write(
        [
            session("a", room="the room & more"),
            session("old", room="the room & more", created_at=at(-60)),
            session("e", room="the room & more", status=SessionStatus.ENDED, ended_at=NOW),
            session("elsewhere"),
        ]
    )
    room, since = quote("the room & more"), "2026-11-23T12:00:00Z"
    found = await api.get(f"/v1/sessions?room={room}&since={since}&status=Active")
    assert [(one["uid"], one["windowSeconds"]) for one in found["sessions"]] == [("a", 600)]


async def test_a_quota_says_what_is_used_and_whose_limit_it_is(database: Database, api: Api) -> None:
    await EntryWriter(database).write([session("a"), clip("c", quota_bytes=7, created_at=at(-30))])
    await Owners(database).set_own_limits("user-42", QuotaLimits(archive_bytes=100), NOW)
    assert await api.get("/v1/quota/user-42") == {
        "owner": "user-42",
        "archiveBytes": {"used": 7, "limit": 100, "own": True},
        "reservedBytes": 0,
        "buffers": {"used": 1, "limit": 2, "own": False},
        "capturesPerMinute": {"used": 1, "own": False},
        "capturesPerHour": {"used": 1, "own": False},
    }
    assert (await api.get("/v1/quota/nobody"))["archiveBytes"]["used"] == 0


@pytest.mark.parametrize("path", ["/v1/clips?owner=a", "/v1/sessions?owner=a", "/v1/quota/a", "/v1/nothing"])
async def test_without_a_good_token_nothing_is_told(sqlite_api: Api, path: str) -> None:
    for token in (None, "another", "", "ü"):
        told = await sqlite_api.get(path, token=token and quote(token), status=401)
        assert "bearer token" in told["detail"]


async def test_tokens_are_changed_without_a_restart_and_without_a_gap(sqlite_api: Api) -> None:
    (sqlite_api.tokens / "previous-token").write_text(TOKEN)
    (sqlite_api.tokens / "token").write_text("the-next-token")
    for token in (TOKEN, "the-next-token"):
        await sqlite_api.get("/v1/clips?owner=a", token=token)
    (sqlite_api.tokens / "previous-token").unlink()
    await sqlite_api.get("/v1/clips?owner=a", token=TOKEN, status=401)


@pytest.mark.parametrize(
    ("query", "says"),
    [
        ("", "give owner or room"),
        ("status=Ready", "give owner or room"),
        ("owner=a&limit=0", "limit: "),
        ("owner=a&limit=201", "less than or equal to 200"),
        ("owner=a&limit=many", "limit: "),
        ("owner=a&status=Lost", "status.0: "),
        ("owner=a&since=yesterday", "since: "),
        ("owner=a&since=2026-11-23T12:00:00", "since: "),
        ("owner=a&cursor=x", "the cursor is none"),
        ("owner=a&owner=b", "owner: "),
        ("owner=a%20b", "owner: "),
        ("owner=a&rooom=x", "rooom: Extra"),
        ("room=" + "x" * 257, "room: "),
    ],
)
async def test_a_question_that_makes_no_sense_is_answered_with_a_sentence(
    sqlite_api: Api, query: str, says: str
) -> None:
    told = await sqlite_api.get(f"/v1/clips?{query}", status=400)
    assert says in told["detail"]
    assert told["status"] == 400
    assert told["title"] == "Bad Request"


async def test_values_that_no_database_takes_are_the_callers_fault(database: Database, api: Api) -> None:
    if database.engine.dialect.name == "postgresql":
        told = await api.get("/v1/clips?room=%00", status=400)
        assert "cannot look for" in told["detail"]
    far = quote("0001-01-01T00:00:00+14:00")
    await api.get(f"/v1/clips?owner=a&since={far}", status=400)


async def test_what_is_not_there_and_what_is_not_allowed_are_problems_too(sqlite_api: Api) -> None:
    assert "openapi.json" in (await sqlite_api.get("/v1/films", status=404))["detail"]
    refused = await sqlite_api.raw("POST", "/v1/clips?owner=a")
    assert refused.status == 405
    assert refused.content_type == "application/problem+json"


async def test_a_database_that_is_away_is_503_and_names_no_host(
    tokens: Path, caplog: pytest.LogCaptureFixture
) -> None:
    url, port = "postgresql://me:geheim@127.0.0.1:1/catalogue", free_port()
    async with (
        catalogue_api(settings_for(url, port, tokens), lambda: NOW),
        aiohttp.ClientSession() as session_,
    ):
        api = Api(session_, port, tokens)
        told = await api.get("/v1/clips?owner=a", status=503)
        assert "does not answer" in told["detail"]
        assert "127.0.0.1" not in told["detail"]
        answer = await api.raw("GET", "/v1/quota/a")
        assert answer.headers["Retry-After"] == "5"
    assert "geheim" not in caplog.text


async def test_it_answers_as_soon_as_the_schema_is_there(empty_database: Database, tokens: Path) -> None:
    async with AsyncExitStack() as stack:
        api = await started(stack, empty_database, tokens)
        await api.get("/v1/clips?owner=a", status=503)
        await bring_up_to_date(empty_database)
        assert await api.get("/v1/clips?owner=a") == {"clips": []}


async def test_a_schema_that_becomes_a_newer_versions_is_noticed_within_a_minute(
    sqlite: Database, tokens: Path
) -> None:
    moments = [NOW]
    async with AsyncExitStack() as stack:
        api = await started(stack, sqlite, tokens, lambda: moments[-1])
        await api.get("/v1/clips?owner=a")
        await set_revision(sqlite, "9999")
        moments.append(NOW + timedelta(minutes=1))
        await api.get("/v1/clips?owner=a", status=503)


@pytest.mark.parametrize("missing", ["port", "token", "catalogue"])
async def test_without_a_port_a_token_or_a_catalogue_nothing_listens(
    sqlite_url: str, tokens: Path, missing: str, caplog: pytest.LogCaptureFixture
) -> None:
    port = free_port()
    if missing == "token":
        (tokens / "token").write_text(" \n")
    settings = settings_for(
        "" if missing == "catalogue" else sqlite_url, None if missing == "port" else port, tokens
    )
    async with catalogue_api(settings, lambda: NOW):
        with pytest.raises(ConnectionRefusedError):
            await asyncio.open_connection("127.0.0.1", port)
    said = [record for record in caplog.records if record.levelno == logging.ERROR]
    assert len(said) == (0 if missing == "port" else 1)


async def test_the_description_is_valid_openapi_and_its_answers_keep_to_it(
    sqlite: Database, sqlite_api: Api
) -> None:
    document = await sqlite_api.get("/openapi.json", token=None)
    validate(document)
    assert document["openapi"].startswith("3.1")
    assert set(document["paths"]) == {"/v1/clips", "/v1/sessions", "/v1/quota/{owner}"}
    names = {given["name"] for given in document["paths"]["/v1/clips"]["get"]["parameters"]}
    assert names == {"owner", "room", "since", "limit", "cursor", "status"}
    await EntryWriter(sqlite).write([clip("c")])
    (told,) = (await sqlite_api.get("/v1/clips?owner=user-42"))["clips"]
    described = document["components"]["schemas"]["ClipAnswer"]
    assert set(described["required"]) <= set(told) <= set(described["properties"])


async def test_the_page_for_people_needs_no_token_and_runs_nothing(sqlite_api: Api) -> None:
    async with aiohttp.ClientSession() as session_, session_.get(f"{sqlite_api.url}/") as answer:
        text = await answer.text()
        assert answer.headers["Content-Security-Policy"].startswith("default-src 'none'")
    assert "GET /v1/quota/{owner}" in text
    assert "Pending or Ready or Failed or Deleted" in text
    assert "<script" not in text


async def test_the_example_of_the_page_lists_every_clip(
    sqlite: Database, sqlite_api: Api, tmp_path: Path
) -> None:
    await EntryWriter(sqlite).write([clip(f"c{n:03}", created_at=at(-n)) for n in range(201)])
    (example,) = re.findall(r"^```python\n(.*?)^```", PAGE.read_text(), flags=re.DOTALL | re.MULTILINE)
    process = await asyncio.create_subprocess_exec(
        sys.executable,
        "-c",
        example,
        sqlite_api.url,
        "user-42",
        env={"REPLAY_CATALOGUE_TOKEN": TOKEN},
        stdout=asyncio.subprocess.PIPE,
    )
    told, _ = await process.communicate()
    assert process.returncode == 0
    assert [line.split()[1] for line in told.decode().splitlines()] == [f"c{n:03}/Video" for n in range(201)]


async def test_the_operators_process_serves_it_while_it_waits_to_lead(
    sqlite: Database, sqlite_url: str, tokens: Path, tmp_path: Path
) -> None:
    await EntryWriter(sqlite).write([clip("c")])
    port = free_port()
    nowhere = {"clusters": [{"name": "a", "cluster": {"server": "http://127.0.0.1:1"}}]}
    user = {"users": [{"name": "a", "user": {"token": "x"}}], "current-context": "a"}
    context = {"contexts": [{"name": "a", "context": {"cluster": "a", "user": "a"}}]}
    kubeconfig = tmp_path / "kubeconfig"
    kubeconfig.write_text(json.dumps({"apiVersion": "v1", "kind": "Config", **nowhere, **user, **context}))
    environment = {
        "POD_NAMESPACE": "team",
        "LIVEKIT_URL": "http://127.0.0.1:1",
        "LIVEKIT_API_KEY": "key",
        "LIVEKIT_API_SECRET": "secret",
        "REPLAY_CAPTURE_IMAGE": "image",
        "REPLAY_KUBECONFIG": str(kubeconfig),
        "REPLAY_PORT": "0",
        "REPLAY_CATALOGUE_URL": sqlite_url,
        "REPLAY_CATALOGUE_API_PORT": str(port),
        "REPLAY_CATALOGUE_API_TOKEN_DIRECTORY": str(tokens),
    }
    process = await asyncio.create_subprocess_exec(
        sys.executable, "-m", "replay_operator", "run", env=environment, stderr=asyncio.subprocess.PIPE
    )
    try:
        assert process.stderr is not None
        async with asyncio.timeout(60):
            while b"the read API of the catalogue listens" not in (line := await process.stderr.readline()):
                assert line, "it ended"
        async with aiohttp.ClientSession() as session_:
            told = await Api(session_, port, tokens).get("/v1/clips?owner=user-42")
        assert [found["uid"] for found in told["clips"]] == ["c"]
    finally:
        process.terminate()
        await process.communicate()
    assert process.returncode == 0


async def test_answers_are_kept_by_nobody(sqlite_api: Api) -> None:
    for path in ("/v1/clips?owner=a", "/v1/quota/a", "/v1/clips"):
        assert (await sqlite_api.raw("GET", path)).headers["Cache-Control"] == "no-store"


async def test_a_period_counts_back_from_now(database: Database, api: Api) -> None:
    await EntryWriter(database).write(
        [clip(f"c{n}", created_at=NOW - timedelta(minutes=25 * n + 0.5)) for n in range(4)]
    )
    told = await api.get("/v1/quota/user-42")
    assert (told["capturesPerMinute"]["used"], told["capturesPerHour"]["used"]) == (1, 3)
