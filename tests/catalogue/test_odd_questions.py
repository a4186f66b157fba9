"""Whatever is asked of the read API: it is answered, and no fault of ours."""

from __future__ import annotations

import base64
import json
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack
from pathlib import Path
from urllib.parse import quote, urlencode

import pytest
from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st

from replay_operator.catalogue.database import Database
from replay_operator.catalogue.writing import EntryWriter
from tests.builders import NOW
from tests.catalogue.entries import clip, session
from tests.catalogue.test_read_api import Api, started, tokens
from tests.odd_values import anything, moments, numbers, path_parts
from tests.raw_http import ask_at

__all__ = ["tokens"]

one_database = settings(max_examples=60, suppress_health_check=[HealthCheck.function_scoped_fixture])


@pytest.fixture
async def asked(database: Database, tokens: Path) -> AsyncIterator[Api]:
    await EntryWriter(database).write([clip("c1"), session("s1")])
    async with AsyncExitStack() as stack:
        yield await started(stack, database, tokens)


async def answered(api: Api, target: str) -> int:
    host, _, port = api.url.removeprefix("http://").partition(":")
    status, answer = await ask_at(
        host, int(port), target.encode(), headers={b"Authorization": b"Bearer a-good-token"}
    )
    assert status in (200, 400, 404), (status, answer)
    return status


def cursor_of(content: object) -> str:
    return base64.urlsafe_b64encode(json.dumps(content).encode()).decode().rstrip("=")


words = st.text(max_size=20)
values = st.one_of(
    words,
    numbers.map(str),
    moments,
    st.sampled_from(["Ready", "\0", "a\0b", "\N{GOAL NET}" * 300, "user-42", "", "%", "_", "'; --"]),
    anything.map(cursor_of),
)


@one_database
@example(kind="clips", query=[("room", "a\0b")])
@example(kind="sessions", query=[("room", "\0")])
@example(kind="clips", query=[("since", "0001-01-01T00:00:00+23:59")])
@example(kind="clips", query=[("since", "9999-12-31T23:59:59-23:59")])
@example(kind="clips", query=[("cursor", cursor_of([NOW.isoformat(), "\0"]))])
@example(kind="clips", query=[("cursor", cursor_of(["9999-12-31T23:59:59-23:59", "c1"]))])
@example(kind="clips", query=[("cursor", cursor_of([10**40, "c1"]))])
@example(kind="clips", query=[("limit", str(10**40))])
@given(
    kind=st.sampled_from(["clips", "sessions"]),
    query=st.lists(
        st.tuples(st.sampled_from(["owner", "room", "since", "status", "limit", "cursor", "x"]), values),
        max_size=3,
    ),
)
async def test_no_question_breaks_the_list(asked: Api, kind: str, query: list[tuple[str, str]]) -> None:
    await answered(asked, f"/v1/{kind}?{urlencode(query, errors='replace')}")


@one_database
@example(owner="%00")
@example(owner="..%2f..")
@given(owner=path_parts | words.map(lambda text: quote(text.encode(errors="replace"), safe="")))
async def test_no_owner_breaks_the_quota(asked: Api, owner: str) -> None:
    await answered(asked, f"/v1/quota/{owner}")
