"""Whatever is posted where LiveKit's webhooks arrive: it is answered, and breaks nothing."""

from __future__ import annotations

import json
from collections.abc import AsyncIterator
from typing import Any

import pytest
from aiohttp import web
from aiohttp.test_utils import TestServer
from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st

from replay_operator.controller.webhook_server import WEBHOOK_PATH, add_webhook_route
from replay_operator.livekit.webhooks import Hint, WebhookVerifier
from tests.livekit.server import API_KEY, API_SECRET
from tests.livekit.signed_webhooks import BODY, RECORDED, WRONG_SECRET, token_for
from tests.odd_values import anything
from tests.raw_http import ask

one_route = settings(max_examples=80, suppress_health_check=[HealthCheck.function_scoped_fixture])


class Route:
    """The route, and what it has passed on."""

    def __init__(self) -> None:
        self.heard: list[Hint] = []
        app = web.Application()
        add_webhook_route(app, WebhookVerifier(API_KEY, API_SECRET), self.heard.append)
        self.server = TestServer(app, host="127.0.0.1")

    async def post(self, body: bytes, authorization: bytes, **headers: bytes) -> int:
        fields = {b"Authorization": authorization} | {
            name.replace("_", "-").encode(): value for name, value in headers.items()
        }
        status, _ = await ask(self.server, WEBHOOK_PATH.encode(), method=b"POST", headers=fields, body=body)
        return status


@pytest.fixture
async def route() -> AsyncIterator[Route]:
    made = Route()
    await made.server.start_server()
    yield made
    await made.server.close()


CONTROL_BYTES = bytes([*range(9), *range(10, 32), 127])
header_bytes = st.binary(max_size=80).map(lambda raw: raw.translate(None, CONTROL_BYTES))
tokens = st.one_of(
    header_bytes,
    st.just(token_for(BODY, secret=WRONG_SECRET).encode()),
    st.sampled_from([b"..", b"a.b.c", b"eyJhbGciOiJub25lIn0.e30.", b"Bearer \xff"]),
    st.integers(0, 400).map(lambda cut: token_for(BODY).encode()[:-1][:cut]),
)


@one_route
@example(body=BODY, token=b"\xff\xfe")
@example(body=b"\xff", token=b"")
@example(body=b"[" * 2000, token=b"eyJhbGciOiJub25lIn0.e30.")
@given(body=st.binary(max_size=80) | st.just(BODY), token=tokens)
async def test_what_is_not_signed_wakes_nobody(route: Route, body: bytes, token: bytes) -> None:
    assert await route.post(body, token) in (400, 401)
    assert route.heard == []


# Signed, and yet not what LiveKit sends: another version of it, or somebody who has the key.
events = st.sampled_from([json.loads(record["raw_body"]) for record in RECORDED])


def changed(event: dict[str, Any], name: str, value: Any) -> bytes:
    return json.dumps({**event, name: value}).encode()


@one_route
@example(body=b"[" * 2000)
@example(body=b'{"event": "\\ud800"}')
@example(body=b'{"createdAt": "1e400"}')
@example(body=b"\xef\xbb\xbf{}")
@given(
    body=st.one_of(
        st.binary(max_size=60),
        anything.map(lambda value: json.dumps(value).encode()),
        st.builds(
            changed, events, st.sampled_from(["event", "room", "egressInfo", "participant", "x"]), anything
        ),
        st.builds(lambda event, cut: json.dumps(event).encode()[:cut], events, st.integers(0, 400)),
    )
)
async def test_what_is_signed_and_no_webhook_is_refused_or_taken(route: Route, body: bytes) -> None:
    assert await route.post(body, token_for(body).encode()) in (200, 400)


@one_route
@example(encoding=b"br")
@example(encoding=b"gzip, gzip")
@given(encoding=st.sampled_from([b"gzip", b"deflate", b"br", b"zstd", b"identity"]) | header_bytes)
async def test_a_body_in_any_encoding_is_answered(route: Route, encoding: bytes) -> None:
    assert 200 <= await route.post(BODY, token_for(BODY).encode(), Content_Encoding=encoding) < 500
