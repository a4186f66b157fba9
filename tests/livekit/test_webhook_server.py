"""The route for webhooks: what it refuses, whom it wakes how often, and real senders."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any
from uuid import uuid4

import aiohttp
import pytest
from aiohttp import web
from livekit.api import LiveKitAPI
from livekit.protocol.room import CreateRoomRequest, DeleteRoomRequest

from replay_operator.controller.webhook_server import (
    MAX_BODY_BYTES,
    WEBHOOK_PATH,
    WakeUps,
    add_webhook_route,
    serve_webhooks,
)
from replay_operator.livekit.webhooks import Hint, WebhookVerifier
from tests.livekit.server import API_KEY, API_SECRET, URL, LiveKitServer
from tests.livekit.signed_webhooks import BODY, ROOM_STARTED, WRONG_SECRET, token_for
from tests.livekit_double.fixtures import API_KEY as DOUBLE_KEY
from tests.livekit_double.fixtures import API_SECRET as DOUBLE_SECRET
from tests.livekit_double.fixtures import QUICK, start_double
from tests.livekit_double.tests.requests import request_for
from tests.livekit_double.tests.waiting import until

pytestmark = pytest.mark.timeout(60)

ROOM = Hint(rooms=frozenset({"standup"}))
EGRESS = Hint(egress_ids=frozenset({"EG_1"}))


# Waking up


@dataclass
class HandTimer:
    """A timer that ends when the test says so."""

    seconds: float
    function: Callable[[], None]
    cancelled: bool = False

    def cancel(self) -> None:
        self.cancelled = True


@dataclass
class Stage:
    """Wake-ups whose gaps the test ends."""

    heard: list[Hint] = field(default_factory=list)
    timers: list[HandTimer] = field(default_factory=list)

    def __post_init__(self) -> None:
        self.wake_ups = WakeUps(self.heard.append, gap_seconds=0.5, later=self._later)

    def _later(self, seconds: float, function: Callable[[], None]) -> HandTimer:
        self.timers.append(HandTimer(seconds, function))
        return self.timers[-1]

    def end_gap(self) -> None:
        self.timers.pop(0).function()


def test_the_first_hint_wakes_at_once() -> None:
    stage = Stage()
    stage.wake_ups.add(ROOM)
    assert stage.heard == [ROOM]
    assert [timer.seconds for timer in stage.timers] == [0.5]


def test_hints_that_follow_wake_once_when_the_gap_is_over() -> None:
    stage = Stage()
    for _ in range(10):
        stage.wake_ups.add(ROOM)
    assert stage.heard == [ROOM]
    stage.end_gap()
    assert stage.heard == [ROOM, ROOM]


def test_a_late_hint_opens_a_gap_of_its_own() -> None:
    stage = Stage()
    stage.wake_ups.add(ROOM)
    stage.wake_ups.add(ROOM)
    stage.end_gap()
    stage.wake_ups.add(ROOM)
    assert len(stage.heard) == 2
    stage.end_gap()
    assert len(stage.heard) == 3


def test_a_single_hint_wakes_once() -> None:
    stage = Stage()
    stage.wake_ups.add(ROOM)
    stage.end_gap()
    assert stage.heard == [ROOM]
    assert stage.timers == []


def test_rooms_and_egresses_do_not_wait_for_each_other() -> None:
    stage = Stage()
    another = Hint(rooms=frozenset({"another"}))
    for hint in (ROOM, EGRESS, another):
        stage.wake_ups.add(hint)
    assert stage.heard == [ROOM, EGRESS, another]


def test_a_suspicion_survives_the_hints_that_follow_it() -> None:
    stage = Stage()
    suspicion = Hint(egress_ids=EGRESS.egress_ids, worker_suspected_dead=True)
    for hint in (EGRESS, suspicion, EGRESS):
        stage.wake_ups.add(hint)
    stage.end_gap()
    assert stage.heard == [EGRESS, suspicion]


def test_an_empty_hint_wakes_nobody() -> None:
    stage = Stage()
    stage.wake_ups.add(Hint())
    assert (stage.heard, stage.timers) == ([], [])


def test_nothing_wakes_after_the_end() -> None:
    stage = Stage()
    stage.wake_ups.add(ROOM)
    stage.wake_ups.add(ROOM)
    stage.wake_ups.close()
    assert [timer.cancelled for timer in stage.timers] == [True]
    assert stage.heard == [ROOM]


# The route


@dataclass
class Route:
    """The route on a free port, and what it woke."""

    url: str
    heard: list[Hint]
    session: aiohttp.ClientSession

    async def post(self, body: Any, authorization: str | None = None, **headers: str) -> int:
        if authorization is not None:
            headers["Authorization"] = authorization
        async with self.session.post(self.url, data=body, headers=headers) as response:
            return response.status


@asynccontextmanager
async def serving(api_key: str = API_KEY, api_secret: str = API_SECRET) -> AsyncIterator[Route]:
    heard: list[Hint] = []
    verifier = WebhookVerifier(api_key, api_secret)
    runner = await serve_webhooks(bind_address="127.0.0.1", port=0, verifier=verifier, on_hint=heard.append)
    try:
        async with aiohttp.ClientSession() as session:
            yield Route(f"http://127.0.0.1:{runner.addresses[0][1]}{WEBHOOK_PATH}", heard, session)
    finally:
        await runner.cleanup()


@pytest.fixture
async def route() -> AsyncIterator[Route]:
    async with serving() as route:
        yield route


async def test_a_genuine_webhook_is_taken_and_wakes(route: Route) -> None:
    content_type = ROOM_STARTED["content_type"]
    assert await route.post(BODY, token_for(BODY), **{"Content-Type": content_type}) == 200
    assert route.heard == [Hint(rooms=frozenset({"room1"}))]


async def test_a_forged_webhook_is_refused_and_wakes_nobody(route: Route) -> None:
    assert await route.post(BODY) == 401
    assert await route.post(BODY, token_for(BODY, secret=WRONG_SECRET)) == 401
    assert await route.post(BODY.replace(b"room1", b"room9"), token_for(BODY)) == 401
    assert route.heard == []


async def test_a_webhook_that_is_sent_again_and_again_does_not_wake_each_time(route: Route) -> None:
    token = token_for(BODY)
    answers = await asyncio.gather(*(route.post(BODY, token) for _ in range(50)))
    assert answers == [200] * 50
    assert 1 <= len(route.heard) < 50


async def test_signed_garbage_is_a_bad_request(route: Route) -> None:
    assert await route.post(b"hello", token_for(b"hello")) == 400
    assert await route.post(b"\xff", token_for(b"\xff")) == 400
    assert route.heard == []


async def test_a_body_that_cannot_be_unpacked_is_a_bad_request(route: Route) -> None:
    async with route.session.post(
        route.url, data=b"not gzip", headers={"Content-Encoding": "gzip"}, compress=False
    ) as response:
        assert response.status == 400


async def test_a_body_that_is_too_large_is_refused_before_it_is_verified(route: Route) -> None:
    large = b" " * (MAX_BODY_BYTES + 1)
    assert await route.post(large, token_for(large)) == 413


async def test_a_body_that_does_not_tell_its_length_is_bounded_too(route: Route) -> None:
    async def chunks() -> AsyncIterator[bytes]:
        for _ in range(MAX_BODY_BYTES // 1024 + 1):
            yield b" " * 1024

    assert await route.post(chunks(), "token") == 413


async def test_the_largest_body_is_still_read(route: Route) -> None:
    body = BODY + b" " * (MAX_BODY_BYTES - len(BODY))
    assert await route.post(body, token_for(body)) == 200


async def test_a_sender_that_does_not_come_to_an_end_is_sent_away() -> None:
    app = web.Application()
    add_webhook_route(app, WebhookVerifier(API_KEY, API_SECRET), lambda _: None, read_seconds=0.05)
    runner = web.AppRunner(app)
    await runner.setup()
    await web.TCPSite(runner, "127.0.0.1", 0).start()
    try:
        reader, writer = await asyncio.open_connection("127.0.0.1", runner.addresses[0][1])
        head = f"POST {WEBHOOK_PATH} HTTP/1.1\r\nHost: operator\r\nContent-Length: 100\r\n\r\n"
        writer.write(head.encode() + b"{")
        assert (await reader.readline()).startswith(b"HTTP/1.1 408 ")
        writer.close()
    finally:
        await runner.cleanup()


async def test_other_methods_and_paths_are_not_there(route: Route) -> None:
    async with route.session.get(route.url) as response:
        assert response.status == 405
    async with route.session.post(route.url + "/more") as response:
        assert response.status == 404


# Real senders


@pytest.mark.livekit_server
async def test_the_real_server_wakes_the_room_and_its_changed_webhooks_do_not(
    livekit_server: LiveKitServer, route: Route
) -> None:
    name = f"room-{uuid4().hex[:8]}"
    async with led_to(route, livekit_server) as sent, livekit_server.session() as session:
        api = LiveKitAPI(URL, API_KEY, API_SECRET, session=session)
        await api.room.create_room(CreateRoomRequest(name=name))
        await until(lambda: Hint(rooms=frozenset({name})) in route.heard, "the room's start is heard")
        await api.room.delete_room(DeleteRoomRequest(room=name))
        await until(lambda: len(of_room(sent, name)) >= 2, "the room's end was sent")
    assert [status for _, _, status in of_room(sent, name)] == [200, 200]
    body, token, _ = of_room(sent, name)[0]
    assert await route.post(body.replace(name.encode(), b"another-room"), token) == 401
    assert all("another-room" not in hint.rooms for hint in route.heard)


Sent = tuple[bytes, str, int]


def of_room(sent: list[Sent], name: str) -> list[Sent]:
    return [each for each in sent if name.encode() in each[0]]


@asynccontextmanager
async def led_to(route: Route, server: LiveKitServer) -> AsyncIterator[list[Sent]]:
    """Hand each webhook of the server on to the route, byte for byte; gives them with the answers."""
    sent: list[Sent] = []

    async def relay(request: web.Request) -> web.Response:
        body, token = await request.read(), request.headers["Authorization"]
        status = await route.post(body, token, **{"Content-Type": request.headers["Content-Type"]})
        sent.append((body, token, status))
        return web.Response(status=status)

    app = web.Application()
    app.router.add_post("/", relay)
    runner = web.AppRunner(app)
    await runner.setup()
    await web.UnixSite(runner, str(server.webhook_socket)).start()
    try:
        yield sent
    finally:
        await runner.cleanup()
        server.webhook_socket.unlink(missing_ok=True)


async def test_the_death_of_a_worker_of_the_double_is_suspected(tmp_path: Path) -> None:
    async with serving(DOUBLE_KEY, DOUBLE_SECRET) as route:
        double = await start_double(tmp_path / "tmp", QUICK, webhook_urls=(route.url,))
        try:
            worker = await double.add_worker()
            async with LiveKitAPI(double.url, DOUBLE_KEY, DOUBLE_SECRET, failover=False) as api:
                started = await api.egress.start_track_composite_egress(request_for(double, tmp_path))
            ids = frozenset({started.egress_id})
            await until(lambda: Hint(egress_ids=ids) in route.heard, "the start is heard")
            assert not any(hint.worker_suspected_dead for hint in route.heard)
            await worker.die()
            suspicion = Hint(egress_ids=ids, worker_suspected_dead=True)
            await until(lambda: suspicion in route.heard, "the worker is suspected dead")
        finally:
            await double.stop()
    assert Hint(rooms=frozenset({"standup"})) in route.heard
