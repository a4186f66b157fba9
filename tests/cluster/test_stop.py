"""How an operator ends: by a signal it is clean and quick, whatever else goes on, and recording goes on."""

from __future__ import annotations

import asyncio
import signal
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import pytest
from livekit.protocol import egress

from replay_operator.controller.webhook_server import WEBHOOK_PATH
from tests.cluster.small_install import (
    OperatorProcess,
    SmallInstall,
    figure,
    is_alive,
    is_ready,
)
from tests.testbed.api_faults import ApiFault, Reaction
from tests.testbed.api_front import serving
from tests.testbed.controlplane import ControlPlane
from tests.waiting import until

pytestmark = [pytest.mark.cluster, pytest.mark.usefixtures("crds")]

KOPF_WAITS_SECONDS = 5.0
"""What kopf alone waits for tasks that are not its own: a stop that lasts so long was not ours."""

BOTH = pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT], ids=lambda s: s.name)


async def stop(operator: OperatorProcess, number: signal.Signals) -> None:
    """Send one signal, and expect a clean end."""
    begun = time.monotonic()
    operator.process.send_signal(number)
    assert await operator.exit_code() == 0, operator.said()
    took_seconds = time.monotonic() - begun
    print(f"{number.name}: ended after {took_seconds:.2f} s")
    assert took_seconds < KOPF_WAITS_SECONDS
    expect_calm_log(operator)


def expect_calm_log(operator: OperatorProcess) -> None:
    for sign in ("Traceback", "ERROR", "Unclosed", "never awaited", "exception"):
        assert sign not in operator.said(), operator.said()


@BOTH
async def test_a_leader_that_is_told_to_stop_gives_the_lease_up_and_leaves_its_egress_recording(
    install: SmallInstall, number: signal.Signals
) -> None:
    install.start_agent()
    leader = await install.leading_operator()
    egress_id = await install.recording_buffer()

    await stop(leader, number)

    assert await install.lease_holder() == ""
    assert install.livekit.server.records.get(egress_id).status == egress.EgressStatus.EGRESS_ACTIVE
    before = install.segments()
    await until("a further segment", lambda: install.segments() > before)
    heir = await install.leading_operator()
    assert await install.is_recording()
    assert [info.egress_id for info in install.livekit.server.records.select()] == [egress_id]
    await stop(heir, number)


@BOTH
async def test_a_candidate_that_is_told_to_stop_leaves_the_lease_to_the_leader(
    install: SmallInstall, number: signal.Signals
) -> None:
    await install.leading_operator()
    holder = await install.lease_holder()
    candidate = await install.waiting_operator()

    await stop(candidate, number)

    assert await install.lease_holder() == holder


async def test_a_leader_and_a_candidate_are_both_ready_and_alive_and_only_one_says_that_it_leads(
    install: SmallInstall,
) -> None:
    install.start_agent()
    leader = await install.leading_operator()
    candidate = await install.waiting_operator()
    await install.recording_buffer()
    await until("a candidate that is ready", lambda: is_ready(candidate))
    assert await is_ready(leader)
    assert await is_alive(leader)
    assert await is_alive(candidate)
    assert await figure(leader, "replay_operator_leader") == 1
    assert await figure(candidate, "replay_operator_leader") == 0

    async def watch_has_told_everything() -> bool:
        late = 'replay_operator_watch_late_seconds{kind="ReplayBuffer"}'
        return await figure(leader, late) == 0

    await until("a watch that has brought the operator's own writes back", watch_has_told_everything)


async def test_any_number_of_signals_is_one_clean_stop(install: SmallInstall) -> None:
    leader = await install.leading_operator()

    async def again_and_again() -> None:
        while True:
            for number in (signal.SIGTERM, signal.SIGINT):
                leader.process.send_signal(number)
            await asyncio.sleep(0.005)

    storm = asyncio.ensure_future(again_and_again())
    try:
        assert await leader.exit_code() == 0, leader.said()
    finally:
        storm.cancel()
        await asyncio.wait([storm])
    assert await install.lease_holder() == ""
    expect_calm_log(leader)


async def test_callers_that_never_finish_do_not_hold_a_stop_up(install: SmallInstall) -> None:
    leader = await install.leading_operator()
    half = f"POST {WEBHOOK_PATH} HTTP/1.1\r\nHost: x\r\nContent-Length: 100\r\n\r\n"
    idle = "GET /metrics HTTP/1.1\r\nHost: x\r\n\r\n"
    async with connection(leader.webhook_port, half), connection(leader.port, idle) as (reader, _):
        await reader.readline()  # served, and kept open
        await stop(leader, signal.SIGTERM)
    assert await install.lease_holder() == ""


async def test_a_candidate_whose_api_server_hangs_stops_at_once(
    install: SmallInstall, control_plane: ControlPlane, tmp_path: Path
) -> None:
    hangs = ApiFault(Reaction.HANG)
    async with serving(control_plane, as_administrator=True) as front:
        front.faults = (hangs,)
        candidate = install.start_operator(kubeconfig=front.write_kubeconfig(tmp_path / "kubeconfig"))
        await until("a request that hangs", lambda: front.met[hangs] > 0)
        await stop(candidate, signal.SIGTERM)


@asynccontextmanager
async def connection(
    port: int, said: str
) -> AsyncIterator[tuple[asyncio.StreamReader, asyncio.StreamWriter]]:
    reader, writer = await asyncio.open_connection("127.0.0.1", port)
    try:
        writer.write(said.encode())
        await writer.drain()
        yield reader, writer
    finally:
        writer.close()
