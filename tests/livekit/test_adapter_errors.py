"""What the adapter makes of answers that are no success: recorded ones, and those of strangers."""

from __future__ import annotations

import asyncio
import json
import socket
import traceback
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from pathlib import Path

import aiohttp
import pytest
from aiohttp import web
from aiohttp.test_utils import TestServer

from replay_operator.api.replaybuffer import Encoding, EncodingPreset
from replay_operator.domain.egress import RecordedPair, StartRequest
from replay_operator.livekit.adapter import LiveKitAdapter
from replay_operator.livekit.errors import (
    BadEgressRequest,
    EgressWorkerSilent,
    LiveKitError,
    LiveKitFailed,
    LiveKitRefused,
    LiveKitUnreachable,
    NoEgressCapacity,
    RoomNotFound,
)

RECORDED = Path(__file__).parents[1] / "data" / "livekit" / "adapter" / "errors.jsonl"
SECRET = "a-secret-of-at-least-thirty-two-characters"
START = StartRequest(
    room="standup",
    tracks=RecordedPair(video="TR_V", audio=None),
    filename_prefix="/out/ns/uid/run/seg",
    segment_seconds=4,
    encoding=Encoding(preset=EncodingPreset.H264_720P_30),
)

Handler = Callable[[web.Request], Awaitable[web.StreamResponse]]


def recorded(call: str, status: int) -> dict[str, str]:
    rows = [json.loads(line) for line in RECORDED.read_text().splitlines()]
    return next(row for row in rows if (row["call"], row["status"]) == (call, status))


def adapter_at(url: str, *, timeout_seconds: float = 10) -> LiveKitAdapter:
    return LiveKitAdapter(
        aiohttp.ClientSession(),
        url=url,
        api_key="APItest",
        api_secret=SECRET,
        start_timeout_seconds=timeout_seconds,
        answer_timeout_seconds=timeout_seconds,
    )


@asynccontextmanager
async def adapter_to(handler: Handler, *, timeout_seconds: float = 10) -> AsyncIterator[LiveKitAdapter]:
    app = web.Application()
    app.router.add_route("*", "/{anything:.*}", handler)
    async with TestServer(app) as server:
        adapter = adapter_at(str(server.make_url("/")), timeout_seconds=timeout_seconds)
        try:
            yield adapter
        finally:
            await adapter.aclose()


def answering(status: int, *, code: str | None = None, message: str = "", body: str = "") -> Handler:
    async def answer(request: web.Request) -> web.Response:
        if code is None:
            return web.Response(status=status, text=body, content_type="text/html")
        return web.json_response({"code": code, "msg": message}, status=status)

    return answer


def answering_as_recorded(call: str, status: int) -> Handler:
    row = recorded(call, status)
    return answering(status, code=row["code"], message=row["message"])


@pytest.mark.parametrize(
    ("status", "error", "outcome_unknown"),
    [
        (503, NoEgressCapacity, True),
        (404, RoomNotFound, False),
        (400, BadEgressRequest, False),
    ],
)
async def test_a_recorded_refusal_of_a_start_has_its_own_error(
    status: int, error: type[LiveKitError], *, outcome_unknown: bool
) -> None:
    async with adapter_to(answering_as_recorded("StartTrackComposite", status)) as adapter:
        with pytest.raises(error) as raised:
            await adapter.start(START)
    assert type(raised.value) is error
    assert raised.value.outcome_unknown is outcome_unknown
    assert raised.value.reason == error.__name__


async def test_livekits_words_are_given_without_its_prefix() -> None:
    async with adapter_to(answering_as_recorded("StartTrackComposite", 404)) as adapter:
        with pytest.raises(RoomNotFound) as raised:
            await adapter.start(START)
    assert "'standup'" in str(raised.value)
    assert "'requested room does not exist'" in str(raised.value)


@pytest.mark.parametrize("status", [404, 412])
async def test_stopping_what_is_over_or_unknown_is_no_error(status: int) -> None:
    async with adapter_to(answering_as_recorded("StopEgress", status)) as adapter:
        await adapter.stop("EG_1")


async def test_stopping_an_egress_whose_worker_is_dead_says_so() -> None:
    async with adapter_to(answering_as_recorded("StopEgress", 408)) as adapter:
        with pytest.raises(EgressWorkerSilent, match=r"EG_1.*probably dead"):
            await adapter.stop("EG_1")


async def test_a_stop_that_was_not_understood_is_not_taken_for_success() -> None:
    async with adapter_to(answering(404, code="bad_route", message="no handler for path")) as adapter:
        with pytest.raises(LiveKitFailed, match="bad_route"):
            await adapter.stop("EG_1")


async def test_an_egress_that_another_service_does_not_find_is_not_taken_for_unknown() -> None:
    async with adapter_to(answering(404, body="<h1>Not Found</h1>")) as adapter:
        with pytest.raises(LiveKitFailed):
            await adapter.get_egress("EG_1")


async def test_an_internal_error_of_a_start_leaves_its_outcome_unknown() -> None:
    async with adapter_to(answering(500, code="internal", message="could not launch")) as adapter:
        with pytest.raises(LiveKitFailed, match="could not launch") as raised:
            await adapter.start(START)
    assert raised.value.outcome_unknown


async def test_a_list_that_is_unavailable_is_no_lack_of_capacity() -> None:
    async with adapter_to(answering(503, code="unavailable", message="redis is away")) as adapter:
        with pytest.raises(LiveKitFailed, match="redis is away"):
            await adapter.list_active()


@pytest.mark.parametrize("status", [401, 403])
async def test_a_refusal_without_a_twirp_code_is_a_refusal(status: int) -> None:
    async with adapter_to(answering(status, body="invalid authorization token")) as adapter:
        with pytest.raises(LiveKitRefused):
            await adapter.list_active()


@pytest.mark.parametrize("status", [502, 503, 504])
async def test_a_gateway_that_finds_no_livekit_is_no_lack_of_capacity(status: int) -> None:
    async with adapter_to(answering(status, body="<h1>no upstream</h1>")) as adapter:
        with pytest.raises(LiveKitUnreachable, match=f"HTTP {status}") as raised:
            await adapter.start(START)
    assert raised.value.outcome_unknown


async def test_a_success_that_is_no_livekit_message_is_not_believed() -> None:
    async with adapter_to(answering(200, body="<h1>Welcome</h1>")) as adapter:
        with pytest.raises(LiveKitUnreachable, match="not LiveKit's"):
            await adapter.list_active()


async def test_no_answer_in_time_leaves_the_outcome_of_a_start_unknown() -> None:
    asked = asyncio.Event()

    async def hold(request: web.Request) -> web.Response:
        asked.set()
        await asyncio.Event().wait()
        return web.Response()

    async with adapter_to(hold, timeout_seconds=0.2) as adapter:
        with pytest.raises(LiveKitUnreachable, match=r"within 0\.2 s") as raised:
            await adapter.start(START)
    assert asked.is_set()
    assert raised.value.outcome_unknown


async def test_a_closed_port_is_unreachable_and_the_message_names_it() -> None:
    with socket.socket() as bound_and_not_listening:
        bound_and_not_listening.bind(("127.0.0.1", 0))
        port = bound_and_not_listening.getsockname()[1]
        adapter = adapter_at(f"ws://127.0.0.1:{port}")
        try:
            with pytest.raises(LiveKitUnreachable, match=f"127.0.0.1:{port}"):
                await adapter.list_active()
        finally:
            await adapter.aclose()


async def test_a_password_in_the_url_is_refused_and_not_repeated() -> None:
    async with aiohttp.ClientSession() as session:
        with pytest.raises(ValueError, match="no user name or password") as raised:
            LiveKitAdapter(session, url="ws://user:hidden@livekit:7880", api_key="APItest", api_secret=SECRET)
    assert "hidden" not in str(raised.value)


async def test_a_start_is_sent_once_and_never_again() -> None:
    asked = 0

    async def fail(request: web.Request) -> web.Response:
        nonlocal asked
        asked += 1
        return web.json_response({"code": "internal", "msg": "no"}, status=500)

    async with adapter_to(fail) as adapter:
        with pytest.raises(LiveKitFailed):
            await adapter.start(START)
    assert asked == 1


async def test_neither_secret_nor_token_is_in_any_text_of_an_error() -> None:
    sent: list[str] = []

    async def send_in_circles(request: web.Request) -> web.Response:
        sent.append(request.headers["Authorization"].removeprefix("Bearer "))
        raise web.HTTPTemporaryRedirect(request.path)

    async with adapter_to(send_in_circles) as adapter:
        with pytest.raises(LiveKitUnreachable) as raised:
            await adapter.list_active()
        everything = f"{adapter!r}{raised.value!r}{''.join(traceback.format_exception(raised.value))}"
    assert sent
    assert SECRET not in everything
    assert not [token for token in sent if token in everything]
