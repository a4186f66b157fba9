"""Asking workers what they hold, over real HTTP, and watching the fleet."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass
from pathlib import Path

import aiohttp
import pytest
from aiohttp import web
from livekit.api import LiveKitAPI

from replay_operator.domain.fleet import WorkerView
from replay_operator.livekit.workers import MAX_ANSWER_BYTES, FleetWatch, WorkerProbe, view_from_health
from tests.fleet_pods import fleet_pod, pod_body
from tests.livekit_double.fixtures import DoubleInProcess
from tests.livekit_double.tests.requests import request_for
from tests.livekit_double.tests.waiting import until
from tests.livekit_double.worker.config import WorkerConfig
from tests.livekit_double.worker.worker import Worker
from tests.testbed.ports import free_ports

pytestmark = pytest.mark.timeout(120)

LOCAL = "127.0.0.1"
DELETED_AT = "2026-11-22T13:41:07Z"
POD = fleet_pod("worker-a", ip=LOCAL)


@pytest.fixture
async def session() -> AsyncIterator[aiohttp.ClientSession]:
    async with aiohttp.ClientSession() as session:
        yield session


# The answer


def test_the_answer_that_was_measured_is_read() -> None:
    view = view_from_health(POD, b'{"CpuLoad":1.658,"EG_ERxjFpuwJdUy":{"TrackComposite":{"room_name":"r"}}}')
    assert view == WorkerView(POD, frozenset({"EG_ERxjFpuwJdUy"}), 1.658)


def test_an_idle_worker_holds_nothing() -> None:
    assert view_from_health(POD, b'{"CpuLoad":2}') == WorkerView(POD, frozenset(), 2.0)


@pytest.mark.parametrize(
    "body",
    [b"", b"ok", b"{}", b"[]", b"null", b'{"CpuLoad":"2"}', b'{"status":"up"}', b"\xff\xfe", b"[" * 100_000],
)
def test_what_is_no_egress_worker_says_nothing(body: bytes) -> None:
    assert view_from_health(POD, body) is None


# The question


@asynccontextmanager
async def health_page(handler: Callable[[web.Request], Awaitable[web.StreamResponse]]) -> AsyncIterator[int]:
    """Serve any path on a free port of the loopback; gives the port."""
    app = web.Application()
    app.router.add_get("/{path:.*}", handler)
    runner = web.AppRunner(app, shutdown_timeout=0.1)
    await runner.setup()
    await web.TCPSite(runner, LOCAL, 0).start()
    try:
        yield runner.addresses[0][1]
    finally:
        await runner.cleanup()


async def test_a_worker_that_is_away_is_unknown(session: aiohttp.ClientSession) -> None:
    probe = WorkerProbe(session, free_ports(1)[0])
    assert await probe.ask(POD) is None


async def test_a_pod_without_an_address_is_unknown(session: aiohttp.ClientSession) -> None:
    assert await WorkerProbe(session).ask(fleet_pod("worker-a", ip=None)) is None


@pytest.mark.parametrize("ip", ["not an address", "::1%", "127.0.0.1:1/x"])
async def test_an_address_that_makes_no_sense_is_unknown(session: aiohttp.ClientSession, ip: str) -> None:
    assert await WorkerProbe(session, free_ports(1)[0]).ask(fleet_pod("worker-a", ip=ip)) is None


async def test_a_worker_that_hangs_is_unknown_after_the_time_out(session: aiohttp.ClientSession) -> None:
    released = asyncio.Event()

    async def hang(_: web.Request) -> web.Response:
        await released.wait()
        return web.Response()

    async with health_page(hang) as port:
        view = await WorkerProbe(session, port, timeout_seconds=0.05).ask(POD)
        released.set()
    assert view is None


async def test_an_error_page_is_unknown(session: aiohttp.ClientSession) -> None:
    async def fail(_: web.Request) -> web.Response:
        return web.json_response({"CpuLoad": 2}, status=503)

    async with health_page(fail) as port:
        assert await WorkerProbe(session, port).ask(POD) is None


async def test_an_answer_that_is_too_long_is_unknown(session: aiohttp.ClientSession) -> None:
    length = MAX_ANSWER_BYTES

    async def ramble(_: web.Request) -> web.Response:
        return web.Response(body=b'{"CpuLoad":2}'.ljust(length))

    async with health_page(ramble) as port:
        probe = WorkerProbe(session, port, timeout_seconds=20)
        assert await probe.ask(POD) is not None
        length += 1
        assert await probe.ask(POD) is None


async def test_a_redirect_is_not_followed(session: aiohttp.ClientSession) -> None:
    paths: list[str] = []

    async def lead_away(request: web.Request) -> web.Response:
        paths.append(request.path)
        if request.path == "/":
            raise web.HTTPFound("/elsewhere")
        return web.json_response({"CpuLoad": 2})

    async with health_page(lead_away) as port:
        assert await WorkerProbe(session, port).ask(POD) is None
    assert paths == ["/"]


async def test_only_so_many_are_asked_at_once(session: aiohttp.ClientSession) -> None:
    inside, most = 0, 0
    released = asyncio.Event()

    async def count(_: web.Request) -> web.Response:
        nonlocal inside, most
        inside += 1
        most = max(most, inside)
        await released.wait()
        inside -= 1
        return web.json_response({"CpuLoad": 2})

    async with health_page(count) as port:
        probe = WorkerProbe(session, port, timeout_seconds=20, at_once=2)
        asked = [asyncio.create_task(probe.ask(fleet_pod(f"worker-{i}", ip=LOCAL))) for i in range(5)]
        await until(lambda: inside == 2, "two are asked")
        released.set()
        views = await asyncio.gather(*asked)
    assert most == 2
    assert all(views)


# Real workers of the double


@dataclass
class Fleet:
    """Workers of the double that listen on the same port of different addresses, as pods do."""

    double: DoubleInProcess
    health_port: int

    async def add(self, name: str, ip: str) -> Worker:
        config = WorkerConfig(
            api_key=self.double.api_key,
            api_secret=self.double.api_secret,
            ws_url=self.double.url,
            worker_id=name,
            pod=name,
            health_port=self.health_port,
            prometheus_port=0,
            address=ip,
            capacity=1,
            temporary_directory=self.double.temporary_directory / name,
            timing=self.double.server.timing,
        )
        worker = await Worker(config).start()
        self.double.workers.append(worker)
        await worker.connected()
        return worker

    async def record(self, directory: Path) -> str:
        async with LiveKitAPI(
            self.double.url, self.double.api_key, self.double.api_secret, failover=False
        ) as api:
            started = await api.egress.start_track_composite_egress(request_for(self.double, directory))
        return started.egress_id


@pytest.fixture
async def fleet(livekit_double: DoubleInProcess) -> Fleet:
    for worker in livekit_double.workers:
        await worker.die()
    livekit_double.workers.clear()
    return Fleet(livekit_double, free_ports(1)[0])


async def test_a_worker_names_its_egress_on_its_health_port(
    fleet: Fleet, session: aiohttp.ClientSession, tmp_path: Path
) -> None:
    await fleet.add("worker-a", "127.0.0.2")
    probe = WorkerProbe(session, fleet.health_port)
    pod = fleet_pod("worker-a", ip="127.0.0.2")
    idle = await probe.ask(pod)
    assert idle is not None
    assert idle.egress_ids == frozenset()
    egress_id = await fleet.record(tmp_path / "run")
    busy = await probe.ask(pod)
    assert busy is not None
    assert busy.egress_ids == {egress_id}
    assert busy.available_cores >= 0


async def test_the_watch_finds_the_worker_and_loses_the_egress_only_with_the_pod(
    fleet: Fleet, session: aiohttp.ClientSession, tmp_path: Path
) -> None:
    """A drain: the egress is doomed, its worker dies without a word, then its pod goes."""
    workers = {name: await fleet.add(name, ip) for name, ip in (("a", "127.0.0.2"), ("b", "127.0.0.3"))}
    changes: list[frozenset[str]] = []
    probe = WorkerProbe(session, fleet.health_port, timeout_seconds=20)
    watch = FleetWatch(probe.ask, changes.append, interval_seconds=0.1, gap_seconds=0.02)
    watch.pod(None, pod_body("a", ip="127.0.0.2"))
    watch.pod(None, pod_body("b", ip="127.0.0.3"))
    running = asyncio.create_task(watch.run())
    first, second = await fleet.record(tmp_path / "run-1"), await fleet.record(tmp_path / "run-2")
    await until(lambda: watch.worker_of(first) is not None, "the first egress has a worker")
    await until(lambda: watch.worker_of(second) is not None, "the second egress has a worker")
    held_by = {watch.worker_of(first): first, watch.worker_of(second): second}
    assert held_by.keys() == {"a", "b"}

    going = pod_body("a", version=1001, ip="127.0.0.2", deleted_at=DELETED_AT)
    watch.pod("MODIFIED", going)
    assert watch.is_doomed(held_by["a"])
    await workers["a"].die()
    await until(lambda: going["metadata"]["uid"] not in watch.fleet.views, "the watch has asked in vain")
    assert not watch.is_lost(held_by["a"])
    assert watch.worker_of(held_by["a"]) == "a"

    watch.pod("DELETED", going)
    assert watch.is_lost(held_by["a"])
    assert not watch.is_lost(held_by["b"])
    assert watch.worker_of(held_by["b"]) == "b"
    assert changes[-1] == {held_by["a"]}
    running.cancel()
    with suppress(asyncio.CancelledError):
        await running
