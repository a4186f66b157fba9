"""The adapter against the real livekit-server. It has no egress worker, so that nothing gets recorded."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from uuid import uuid4

import pytest
from aiohttp import web
from livekit.api import AccessToken, LiveKitAPI, TokenVerifier, VideoGrants, WebhookReceiver
from livekit.protocol.room import CreateRoomRequest, DeleteRoomRequest

from replay_operator.api.replaybuffer import Encoding, EncodingPreset
from replay_operator.domain.egress import RecordedPair, StartRequest
from replay_operator.livekit.adapter import LiveKitAdapter
from replay_operator.livekit.errors import LiveKitRefused, NoEgressCapacity, RoomNotFound
from tests.livekit.server import API_KEY, API_SECRET, URL, LiveKitServer

pytestmark = pytest.mark.livekit_server

WEBHOOK_SECONDS = 20.0
WRONG_SECRET = "another-secret-of-thirty-two-characters!"


@pytest.fixture
async def adapter(livekit_server: LiveKitServer) -> AsyncIterator[LiveKitAdapter]:
    adapter = livekit_server.adapter()
    yield adapter
    await adapter.aclose()


@pytest.fixture
async def api(livekit_server: LiveKitServer) -> AsyncIterator[LiveKitAPI]:
    async with livekit_server.session() as session:
        yield LiveKitAPI(URL, API_KEY, API_SECRET, session=session)


@pytest.fixture
async def room(api: LiveKitAPI) -> AsyncIterator[str]:
    name = f"room-{uuid4().hex[:8]}"
    await api.room.create_room(CreateRoomRequest(name=name))
    yield name
    await api.room.delete_room(DeleteRoomRequest(room=name))


def a_start(room: str) -> StartRequest:
    return StartRequest(
        room=room,
        tracks=RecordedPair(video="TR_VCabc", audio=None),
        filename_prefix="/out/ns/uid/run/seg",
        segment_seconds=4,
        encoding=Encoding(preset=EncodingPreset.H264_720P_30),
    )


async def test_a_wrong_secret_is_refused_and_told_to_nobody(livekit_server: LiveKitServer) -> None:
    adapter = livekit_server.adapter(api_secret=WRONG_SECRET)
    try:
        with pytest.raises(LiveKitRefused, match="check the API key and secret") as refused:
            await adapter.list_active()
    finally:
        await adapter.aclose()
    told = f"{refused.value!r}{adapter!r}{vars(adapter)!r}"
    assert WRONG_SECRET not in told
    assert "eyJ" not in told  # how every token begins; livekit-server repeats it in its answer


async def test_a_token_without_the_grant_is_refused(adapter: LiveKitAdapter) -> None:
    token = AccessToken(API_KEY, API_SECRET).with_grants(VideoGrants(room_list=True)).to_jwt()
    adapter._api.egress._token = token
    with pytest.raises(LiveKitRefused):
        await adapter.list_active()


async def test_nothing_is_recorded_at_first(adapter: LiveKitAdapter) -> None:
    assert await adapter.list_active() == ()


async def test_a_room_that_exists_and_is_empty_has_no_participants(
    adapter: LiveKitAdapter, room: str
) -> None:
    assert await adapter.participants(room) == ()


async def test_a_room_that_does_not_exist_has_not_even_an_empty_list(adapter: LiveKitAdapter) -> None:
    assert await adapter.participants("nobody-made-this-room") is None


async def test_a_start_in_a_room_that_does_not_exist_says_so_at_once(adapter: LiveKitAdapter) -> None:
    with pytest.raises(RoomNotFound, match="nobody-made-this-room") as refused:
        await adapter.start(a_start("nobody-made-this-room"))
    assert not refused.value.outcome_unknown


async def test_an_unknown_egress_is_none(adapter: LiveKitAdapter) -> None:
    assert await adapter.get_egress("EG_neverStarted") is None


async def test_stopping_an_unknown_egress_is_no_error(adapter: LiveKitAdapter) -> None:
    await adapter.stop("EG_neverStarted")


async def test_a_start_without_any_worker_is_a_lack_of_capacity_and_leaves_no_egress(
    adapter: LiveKitAdapter, room: str
) -> None:
    print("this takes about 22 s: livekit-server asks for a worker three times before it says no")
    with pytest.raises(NoEgressCapacity, match="add egress workers") as refused:
        await adapter.start(a_start(room))
    assert refused.value.outcome_unknown
    assert await adapter.list_active() == ()


async def test_a_webhook_of_the_real_server_can_be_verified_and_a_changed_one_cannot(
    livekit_server: LiveKitServer, api: LiveKitAPI
) -> None:
    receiver = WebhookReceiver(TokenVerifier(API_KEY, API_SECRET))
    name = f"room-{uuid4().hex[:8]}"
    async with webhooks_to(livekit_server) as next_webhook:
        await api.room.create_room(CreateRoomRequest(name=name))
        await api.room.delete_room(DeleteRoomRequest(room=name))
        seen: dict[str, tuple[str, str]] = {}
        async with asyncio.timeout(WEBHOOK_SECONDS):
            while seen.keys() < {"room_started", "room_finished"}:
                body, token = await next_webhook()
                event = receiver.receive(body, token)
                if event.room.name == name:
                    seen[event.event] = (body, token)
    body, token = seen["room_started"]
    with pytest.raises(Exception, match="hash mismatch"):
        receiver.receive(body.replace(name, "another-room"), token)


@asynccontextmanager
async def webhooks_to(
    server: LiveKitServer,
) -> AsyncIterator[Callable[[], Awaitable[tuple[str, str]]]]:
    """Listen where the server's webhooks arrive; each is its raw body and its Authorization header."""
    arrived: asyncio.Queue[tuple[str, str]] = asyncio.Queue()

    async def take(request: web.Request) -> web.Response:
        await arrived.put((await request.text(), request.headers["Authorization"]))
        return web.Response()

    app = web.Application()
    app.router.add_post("/", take)
    runner = web.AppRunner(app)
    await runner.setup()
    await web.UnixSite(runner, str(server.webhook_socket)).start()
    try:
        yield arrived.get
    finally:
        await runner.cleanup()
        server.webhook_socket.unlink(missing_ok=True)
