"""What the kubelet hears of an operator: alive is what a new process would not mend."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from dataclasses import dataclass, field
from types import SimpleNamespace
from typing import Any, cast

import aiohttp
import pytest

from replay_operator.api.replaybuffer import ReplayBuffer
from replay_operator.api.replaycapture import ReplayCapture
from replay_operator.controller import process_health
from replay_operator.controller.health import serve_health
from replay_operator.controller.operator import Operator
from replay_operator.controller.process_health import ProcessHealth
from replay_operator.controller.store import ObjectStore
from replay_operator.domain.fleet import FleetMap
from tests.builders import buffer_body


@dataclass
class Leader:
    """The parts of an operator that its health is read from."""

    now: float = 100.0
    still_seconds: float = 0.0
    is_whole: bool = False
    leads: bool = True
    running: int = 0
    buffers: ObjectStore[ReplayBuffer] = field(init=False)

    def __post_init__(self) -> None:
        self.buffers = ObjectStore(ReplayBuffer, self.seconds)

    def seconds(self) -> float:
        return self.now

    def waiting(self) -> tuple[int, float]:
        return 0, 0.0

    def operator(self) -> Operator:
        parts = SimpleNamespace(
            inbox=SimpleNamespace(buffers=self.buffers, captures=ObjectStore(ReplayCapture, self.seconds)),
            queue=self,
            install=self,
            may_act=lambda: self.leads,
            poller=SimpleNamespace(silent_seconds=0.0),
            coverage=SimpleNamespace(silent_seconds=0.0),
            fleet=SimpleNamespace(fleet=FleetMap()),
            settings=SimpleNamespace(buffers_per_worker=4),
        )
        return cast("Operator", parts)


@pytest.fixture
def leader() -> Leader:
    return Leader()


@pytest.fixture
def health(leader: Leader) -> ProcessHealth:
    return ProcessHealth(leader.seconds)


@pytest.fixture
async def url(health: ProcessHealth) -> AsyncIterator[str]:
    server = await serve_health(
        bind_address="127.0.0.1",
        port=0,
        metrics=health.metrics,
        why_dead=health.why_dead,
        is_ready=health.is_ready,
    )
    yield f"http://127.0.0.1:{server.addresses[0][1]}"
    await server.cleanup()


async def get(url: str) -> tuple[int, str]:
    async with aiohttp.ClientSession() as session, session.get(url) as answer:
        return answer.status, await answer.text()


async def metric(url: str, line: str) -> float:
    page = (await get(f"{url}/metrics"))[1]
    return next(float(found.split()[-1]) for found in page.splitlines() if found.startswith(line + " "))


async def test_a_candidate_that_waits_its_turn_is_ready_and_alive_and_no_leader(
    health: ProcessHealth, url: str
) -> None:
    assert (await get(f"{url}/readyz"))[0] == 503, "it cannot even reach the Lease yet"
    health.is_waiting = True
    assert (await get(f"{url}/readyz"))[0] == 200
    assert (await get(f"{url}/healthz"))[0] == 200
    assert await metric(url, "replay_operator_leader") == 0


async def test_a_leader_is_ready_when_it_has_listed_everything(
    health: ProcessHealth, leader: Leader, url: str
) -> None:
    health.is_waiting = True
    health.works_with(leader.operator())
    assert (await get(f"{url}/readyz"))[0] == 503
    leader.is_whole = True
    assert (await get(f"{url}/readyz"))[0] == 200
    assert await metric(url, "replay_operator_leader") == 1
    leader.leads = False
    assert await metric(url, "replay_operator_leader") == 0


async def test_an_event_loop_that_stood_still_is_told(
    health: ProcessHealth, leader: Leader, url: str
) -> None:
    leader.now += process_health.ALIVE_WITHIN_SECONDS + 1
    assert await get(f"{url}/healthz") == (503, "the event loop stood still")
    beating = asyncio.ensure_future(health.beat())
    await asyncio.sleep(0)
    assert (await get(f"{url}/healthz"))[0] == 200
    beating.cancel()


async def test_a_queue_whose_workers_all_hang_is_told(
    health: ProcessHealth, leader: Leader, url: str
) -> None:
    health.works_with(leader.operator())
    leader.still_seconds = process_health.QUEUE_WITHIN_SECONDS
    assert (await get(f"{url}/healthz"))[0] == 200
    leader.still_seconds += 1
    status, said = await get(f"{url}/healthz")
    assert (status, "queue" in said) == (503, True)
    assert await metric(url, "replay_operator_queue_still_seconds") == leader.still_seconds


async def test_a_watch_that_owes_for_long_what_is_known_from_elsewhere_is_told(
    health: ProcessHealth, leader: Leader, url: str
) -> None:
    health.works_with(leader.operator())
    body: dict[str, Any] = buffer_body()
    leader.buffers.put(body)
    health._beat = leader.now = leader.now + process_health.WATCH_WITHIN_SECONDS + 1
    status, said = await get(f"{url}/healthz")
    assert (status, "watch" in said) == (503, True)
    late = 'replay_operator_watch_late_seconds{kind="ReplayBuffer"}'
    assert await metric(url, late) == process_health.WATCH_WITHIN_SECONDS + 1
    leader.buffers.heard(body)
    assert (await get(f"{url}/healthz"))[0] == 200
    assert await metric(url, late) == 0


async def test_what_cannot_be_read_is_counted(health: ProcessHealth, leader: Leader, url: str) -> None:
    health.works_with(leader.operator())
    unreadable = 'replay_operator_unreadable_objects{kind="ReplayBuffer"}'
    assert await metric(url, unreadable) == 0
    leader.buffers.heard(buffer_body(windowSeconds="long"))
    assert await metric(url, unreadable) == 1
