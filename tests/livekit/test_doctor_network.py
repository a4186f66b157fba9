"""The probes of `replay-operator doctor` against LiveKit's double, and clocks and workers over HTTP."""

from __future__ import annotations

from collections.abc import AsyncIterator, Awaitable, Callable
from datetime import timedelta
from email.utils import format_datetime
from pathlib import Path
from typing import Any

import aiohttp
import pytest
from aiohttp import web
from aiohttp.test_utils import TestServer

from replay_operator.cli.doctor.clock_samples import watch_clock
from replay_operator.cli.doctor.network import NetworkProbes, now
from replay_operator.cli.doctor.settings import given_settings
from replay_operator.controller.agent_client import AgentUnavailable
from replay_operator.livekit.workers import MAX_ANSWER_BYTES
from replay_operator.settings import LiveKitSettings
from tests.livekit_double.fixtures import DoubleInProcess
from tests.testbed.ports import free_ports
from tests.unit.doctor_world import pod

Probes = Callable[..., NetworkProbes]


@pytest.fixture
async def probes(livekit_double: DoubleInProcess) -> AsyncIterator[Probes]:
    """Makes probes of the double, with something changed."""
    async with aiohttp.ClientSession() as session:

        def make(*, url: str = "", secret: str = "", **variables: Any) -> NetworkProbes:
            livekit = LiveKitSettings(
                url=url or livekit_double.url,
                api_key=livekit_double.api_key,
                api_secret=secret or livekit_double.api_secret,
            )
            given = {"POD_NAMESPACE": "replay", "REPLAY_CAPTURE_IMAGE": "x"}
            settings = given_settings(given | {f"REPLAY_{name}": str(v) for name, v in variables.items()})
            return NetworkProbes(session, livekit, settings)

        yield make


@pytest.fixture
async def serve() -> AsyncIterator[Callable[..., Awaitable[TestServer]]]:
    """Starts a server on a free port of the loopback."""
    servers: list[TestServer] = []

    async def start(answer: Callable[[web.Request], Awaitable[web.Response]]) -> TestServer:
        app = web.Application()
        app.router.add_get("/{path:.*}", answer)
        server = TestServer(app, host="127.0.0.1")
        await server.start_server()
        servers.append(server)
        return server

    yield start
    for server in servers:
        await server.close()


async def test_a_key_that_livekit_knows_gets_answers_from_both_services(probes: Probes) -> None:
    facts = await probes().ask_livekit()
    assert (facts.rooms_error, facts.egress_error, facts.active_egresses) == ("", "", 0)


async def test_a_wrong_secret_is_told_for_both_services_and_not_repeated(probes: Probes) -> None:
    facts = await probes(secret="another secret, 32 characters long").ask_livekit()
    assert "refused us" in facts.rooms_error
    assert "refused us" in facts.egress_error
    assert "another secret" not in str(facts)


async def test_a_livekit_that_is_not_there_is_told(probes: Probes) -> None:
    (port,) = free_ports(1)
    facts = await probes(url=f"ws://127.0.0.1:{port}").ask_livekit()
    assert "no connection" in facts.rooms_error


async def test_livekits_clock_is_read_also_from_a_websocket_address(
    probes: Probes, livekit_double: DoubleInProcess
) -> None:
    asked = probes(url=livekit_double.url.replace("http:", "ws:"))
    bounds = await watch_clock("LiveKit", asked.livekit_date)
    assert bounds.low_seconds <= 0 <= bounds.high_seconds


@pytest.mark.parametrize("ahead", [-2.3, 0.8])
async def test_a_clock_that_is_off_is_found_to_be_so_from_whole_seconds(
    probes: Probes, serve: Callable[..., Awaitable[TestServer]], ahead: float
) -> None:
    async def answer(_: web.Request) -> web.Response:
        there = now() + timedelta(seconds=ahead)
        return web.Response(headers={"Date": format_datetime(there, usegmt=True)})

    server = await serve(answer)
    asked = probes(FLEET_HEALTH_PORT=server.port)
    bounds = await watch_clock("w", lambda: asked.worker_date(pod("w", ip="127.0.0.1")))
    assert bounds.low_seconds <= ahead <= bounds.high_seconds
    # A whole second is what one answer leaves open.
    assert bounds.high_seconds - bounds.low_seconds < 1


async def test_a_server_that_tells_no_time_is_an_error() -> None:
    async def nothing() -> str:
        return ""

    with pytest.raises(ValueError, match="no header Date"):
        await watch_clock("x", nothing)


async def test_workers_that_answer_and_those_that_do_not_are_told_apart(
    probes: Probes, serve: Callable[..., Awaitable[TestServer]]
) -> None:
    async def answer(_: web.Request) -> web.Response:
        # Longer than what one packet brings.
        answer = {"CpuLoad": 1.5} | {f"EG_{n}": {"TrackComposite": {"room": "x" * 900}} for n in range(200)}
        return web.json_response(answer)

    server = await serve(answer)
    asked = probes(FLEET_HEALTH_PORT=server.port)
    pods = [
        pod("good", ip="127.0.0.1"),
        pod("silent", ip="127.0.0.3"),
        pod("starting", ip="127.0.0.4", ready=False),
        pod("leaving", ip="127.0.0.4", terminating=True),
    ]

    answers = await asked.ask_workers(pods)

    assert answers["silent"] is None
    assert answers["good"] is not None
    assert len(answers["good"].kinds) == 200
    assert set(answers) == {"good", "silent"}


async def test_something_else_that_answers_in_a_workers_place_is_no_worker(
    probes: Probes, serve: Callable[..., Awaitable[TestServer]]
) -> None:
    async def answer(_: web.Request) -> web.Response:
        return web.Response(text="x" * (MAX_ANSWER_BYTES + 10))

    server = await serve(answer)
    asked = probes(FLEET_HEALTH_PORT=server.port)
    assert await asked.ask_workers([pod("w", ip="127.0.0.1")]) == {"w": None}


async def test_an_agent_without_a_token_file_is_unseen_and_no_crash(probes: Probes, tmp_path: Path) -> None:
    with pytest.raises(AgentUnavailable):
        await probes(AGENT_TOKEN_DIRECTORY=tmp_path).ask_agent()
