"""The operator process: connects, runs every loop, and ends when any of them does."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import AsyncIterator, Coroutine
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass
from typing import Any

import aiohttp

from replay_operator.catalogue.connection import Catalogue, open_catalogue
from replay_operator.cluster.gateway import KubernetesGateway
from replay_operator.cluster.lease import KubernetesLease
from replay_operator.cluster.resources import BUFFERS, CAPTURES
from replay_operator.controller.agent_client import AgentClient
from replay_operator.controller.assembly import build_operator, utc_now
from replay_operator.controller.catalogue_api.serve import catalogue_api
from replay_operator.controller.health import serve_health
from replay_operator.controller.leader import Elector
from replay_operator.controller.notify import WebhookSender
from replay_operator.controller.operator import Operator
from replay_operator.controller.own_loop import OwnLoop
from replay_operator.controller.preview_api import preview_api
from replay_operator.controller.process_health import ProcessHealth
from replay_operator.controller.stop_signals import StopSignals, stop_signals
from replay_operator.controller.watches import run_watches
from replay_operator.controller.webhook_server import serve_webhooks
from replay_operator.livekit.adapter import LiveKitAdapter
from replay_operator.livekit.webhooks import WebhookVerifier
from replay_operator.livekit.workers import WorkerProbe
from replay_operator.settings import LiveKitSettings, OperatorSettings, UploadSettings

log = logging.getLogger(__name__)


class NotInstalled(Exception):
    """Something that an install needs is not there; the message says what to do."""


@dataclass(frozen=True, slots=True)
class _Connections:
    gateway: KubernetesGateway
    lease_loop: OwnLoop
    elector: Elector
    livekit: LiveKitAdapter
    agent: AgentClient
    probe: WorkerProbe
    sender: WebhookSender | None
    catalogue: Catalogue | None


async def run_operator(settings: OperatorSettings, livekit: LiveKitSettings, uploads: UploadSettings) -> None:
    """Run until SIGTERM or SIGINT: wait to lead, then lead.

    Raises:
        NotInstalled: The resource definitions are missing.
        LeadershipLost: The Lease could not be renewed in time; the pod starts again and waits its turn.
        UnsupportedDatabaseError: The catalogue's URL names no database that can be used.
        UnsupportedCacheError: The quota cache's URL names no Redis.
    """
    process = ProcessHealth()
    async with AsyncExitStack() as stack:
        signals = stack.enter_context(stop_signals())
        server = await serve_health(
            bind_address=settings.bind_address,
            port=settings.port,
            metrics=process.metrics,
            why_dead=process.why_dead,
            is_ready=process.is_ready,
        )
        stack.push_async_callback(server.cleanup)
        await stack.enter_async_context(catalogue_api(settings, utc_now))
        connections = await stack.enter_async_context(_connections(settings, livekit, process))
        await stack.enter_async_context(preview_api(settings, connections.gateway, utc_now, process.metrics))
        stop = signals.received
        await _until_first(
            stop.wait(),
            process.beat(),
            _lead(settings, livekit, connections, process, signals, uploads=uploads),
        )
        if not stop.is_set():
            raise RuntimeError("the operator ended by itself: see the log above; the pod starts again")


@asynccontextmanager
async def _connections(
    settings: OperatorSettings, livekit_settings: LiveKitSettings, process: ProcessHealth
) -> AsyncIterator[_Connections]:
    async with AsyncExitStack() as stack:
        gateway = await KubernetesGateway.connect(settings.kubeconfig, process.metrics.count_api_call)
        stack.push_async_callback(gateway.close)
        # Connections and a loop of its own: a renewal must not queue behind a thousand status writes.
        lease_loop = await stack.enter_async_context(OwnLoop("lease"))
        own = await lease_loop.run(
            KubernetesGateway.connect(settings.kubeconfig, process.metrics.count_api_call)
        )
        stack.push_async_callback(lambda: lease_loop.run(own.close()))
        livekit = LiveKitAdapter(
            aiohttp.ClientSession(),
            url=livekit_settings.url,
            api_key=livekit_settings.api_key,
            api_secret=livekit_settings.api_secret.get_secret_value(),
        )
        stack.push_async_callback(livekit.aclose)
        session = await stack.enter_async_context(aiohttp.ClientSession())
        catalogue = _catalogue(settings)
        if catalogue is not None:
            stack.push_async_callback(catalogue.close)
        yield _Connections(
            gateway=gateway,
            lease_loop=lease_loop,
            elector=Elector(
                KubernetesLease(own, namespace=settings.namespace, name=settings.lease),
                pod_name=settings.pod_name,
                utc_now=utc_now,
                may_renew=process.is_beating,
            ),
            livekit=livekit,
            agent=AgentClient(settings.agent_url, settings.agent_token_directory / "token", session),
            probe=WorkerProbe(session, settings.fleet_health_port),
            sender=_sender(settings, session),
            catalogue=catalogue,
        )


def _catalogue(settings: OperatorSettings) -> Catalogue | None:
    """Give the way to the catalogue, or None for an install without one. Nothing is opened yet."""
    if settings.catalogue_url is None or not settings.catalogue_url.get_secret_value():
        return None
    return open_catalogue(settings.catalogue_url, settings.quota_cache_url)


def _sender(settings: OperatorSettings, session: aiohttp.ClientSession) -> WebhookSender | None:
    if settings.notify_url is None or settings.notify_secret is None:
        return None
    return WebhookSender(settings.notify_url, settings.notify_secret.get_secret_value(), session, utc_now)


async def _lead(
    settings: OperatorSettings,
    livekit: LiveKitSettings,
    connections: _Connections,
    process: ProcessHealth,
    signals: StopSignals,
    *,
    uploads: UploadSettings,
) -> None:
    elector, lease_loop = connections.elector, connections.lease_loop
    try:
        process.is_waiting = True
        epoch = await lease_loop.run(elector.acquire())
        process.is_waiting = False
        log.info("this operator leads now, epoch %d", epoch)
        await _until_first(
            lease_loop.run(elector.hold()),
            _operate(settings, livekit, connections, process, signals, uploads=uploads, epoch=epoch),
        )
    finally:
        await lease_loop.run(elector.release())


async def _operate(
    settings: OperatorSettings,
    livekit: LiveKitSettings,
    connections: _Connections,
    process: ProcessHealth,
    signals: StopSignals,
    *,
    uploads: UploadSettings,
    epoch: int,
) -> None:
    for type_ in (BUFFERS, CAPTURES):
        # kopf would be blind to kinds that appear later, because it does not scan (DESIGN §5).
        if not await connections.gateway.exists(type_, settings.namespace):
            raise NotInstalled(
                f"the API server does not know {type_.kind} ({type_.api_version}): apply crds/ first"
            )
    operator = build_operator(
        settings,
        gateway=connections.gateway,
        livekit=connections.livekit,
        agent=connections.agent,
        ask_worker=connections.probe.ask,
        metrics=process.metrics,
        epoch=epoch,
        may_act=lambda: connections.elector.is_leading,
        send_news=connections.sender.send if connections.sender else None,
        catalogue=connections.catalogue,
        uploads=uploads,
    )
    process.works_with(operator)
    async with _webhooks(settings, livekit, operator):
        await _until_first(
            operator.queue.run(operator.reconcile, workers=settings.workers, postponed=operator.postponed),
            operator.poller.run(),
            operator.coverage.run(),
            operator.free_space.run(),
            operator.policy.run(),
            operator.install.run(),
            operator.fleet.run(),
            *([operator.notifier.run()] if operator.notifier is not None else []),
            operator.catalogue.run(),
            run_watches(settings, operator.inbox, signals),
        )


@asynccontextmanager
async def _webhooks(
    settings: OperatorSettings, livekit: LiveKitSettings, operator: Operator
) -> AsyncIterator[None]:
    if settings.webhook_port is None:
        yield
        return
    server = await serve_webhooks(
        bind_address=settings.bind_address,
        port=settings.webhook_port,
        verifier=WebhookVerifier(livekit.api_key, livekit.api_secret.get_secret_value()),
        on_hint=operator.take_hint,
    )
    try:
        yield
    finally:
        await server.cleanup()


async def _until_first(*loops: Coroutine[Any, Any, object]) -> None:
    """Run loops until one of them ends; end the others, and pass on what it raised."""
    tasks = [asyncio.ensure_future(loop) for loop in loops]
    try:
        done, _ = await asyncio.wait(tasks, return_when=asyncio.FIRST_COMPLETED)
    finally:
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
    for task in done:
        task.result()
