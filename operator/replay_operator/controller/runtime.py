"""The operator process: connects, runs every loop, and ends when any of them does."""

from __future__ import annotations

import asyncio
import signal
import time
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager
from typing import Any, cast

import aiohttp
import kopf

from replay_operator.cluster.gateway import KubernetesGateway
from replay_operator.cluster.resources import BUFFERS, CAPTURES
from replay_operator.controller.agent_client import AgentClient
from replay_operator.controller.assembly import Operator, build_operator
from replay_operator.controller.handlers import build_registry, kopf_settings
from replay_operator.controller.health import serve_health
from replay_operator.livekit.adapter import LiveKitAdapter
from replay_operator.settings import LiveKitSettings, OperatorSettings

HEARTBEAT_SECONDS = 5.0
ALIVE_WITHIN_SECONDS = 60.0


class NotInstalled(Exception):
    """Something that an install needs is not there; the message says what to do."""


async def run_operator(settings: OperatorSettings, livekit_settings: LiveKitSettings) -> None:
    """Run until SIGTERM or SIGINT.

    Raises:
        NotInstalled: The resource definitions are missing.
    """
    async with _connections(settings, livekit_settings) as (gateway, livekit, agent):
        for type_ in (BUFFERS, CAPTURES):
            # kopf would be blind to kinds that appear later, because it does not scan (DESIGN §5).
            if not await gateway.exists(type_, settings.namespace):
                raise NotInstalled(
                    f"the API server does not know {type_.kind} ({type_.api_version}): apply crds/ first"
                )
        operator = build_operator(settings, gateway=gateway, livekit=livekit, agent=agent)
        await _run(operator)


@asynccontextmanager
async def _connections(
    settings: OperatorSettings, livekit_settings: LiveKitSettings
) -> AsyncIterator[tuple[KubernetesGateway, LiveKitAdapter, AgentClient]]:
    async with AsyncExitStack() as stack:
        gateway = await KubernetesGateway.connect(settings.kubeconfig)
        stack.push_async_callback(gateway.close)
        livekit = LiveKitAdapter(
            aiohttp.ClientSession(),
            url=livekit_settings.url,
            api_key=livekit_settings.api_key,
            api_secret=livekit_settings.api_secret.get_secret_value(),
        )
        stack.push_async_callback(livekit.aclose)
        session = await stack.enter_async_context(aiohttp.ClientSession())
        agent = AgentClient(settings.agent_url, settings.agent_token_directory / "token", session)
        yield gateway, livekit, agent


async def _run(operator: Operator) -> None:
    stop = asyncio.Event()
    loop = asyncio.get_running_loop()
    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, stop.set)
    pulse = _Pulse()
    server = await serve_health(
        bind_address=operator.settings.bind_address,
        port=operator.settings.port,
        metrics=operator.metrics,
        is_alive=pulse.is_alive,
        is_ready=lambda: operator.install.is_whole,
    )
    try:
        await _until(stop, operator, pulse)
    finally:
        await server.cleanup()


async def _until(stop: asyncio.Event, operator: Operator, pulse: _Pulse) -> None:
    """Run every loop until `stop` is set; the end of any of them ends the process."""
    loops = [
        operator.queue.run(operator.reconcile, workers=operator.settings.workers),
        operator.poller.run(),
        operator.coverage.run(),
        operator.policy.run(),
        operator.install.run(),
        pulse.run(),
        kopf.operator(
            registry=build_registry(operator.inbox),
            settings=kopf_settings(),
            namespaces=[operator.settings.namespace],
            # Else kopf looks the user up, whom no image knows when the cluster assigned the number.
            identity=cast("Any", operator.settings.pod_name),
            stop_flag=stop,
        ),
        stop.wait(),
    ]
    tasks = [asyncio.ensure_future(loop) for loop in loops]
    done, pending = await asyncio.wait(tasks, return_when=asyncio.FIRST_COMPLETED)
    for task in pending:
        task.cancel()
    await asyncio.gather(*pending, return_exceptions=True)
    for task in done:
        task.result()
    if not stop.is_set():
        raise RuntimeError("a loop of the operator ended by itself: see the log above; the pod starts again")


class _Pulse:
    """Shows that the event loop turns: a blocked loop cannot beat."""

    def __init__(self) -> None:
        self._beat = time.monotonic()

    async def run(self) -> None:
        while True:
            self._beat = time.monotonic()
            await asyncio.sleep(HEARTBEAT_SECONDS)

    def is_alive(self) -> bool:
        return time.monotonic() - self._beat < ALIVE_WITHIN_SECONDS
