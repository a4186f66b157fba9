"""Gathers all facts about an install at once."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass
from datetime import timedelta
from typing import Any, TypeAlias

import aiohttp
from pydantic import ValidationError

from replay_operator import __version__
from replay_operator.api.volume_facts import AgentFacts
from replay_operator.cli.doctor.clock_samples import WATCH_SECONDS, watch_clock
from replay_operator.cli.doctor.cluster import AGENT_PODS, OPERATOR_PODS, ClusterProbes, by_name
from replay_operator.cli.doctor.network import NetworkProbes, now
from replay_operator.cli.doctor.settings import (
    NAMESPACE,
    choices_of,
    config_maps_of,
    declared_variables,
    given_settings,
    read_settings,
)
from replay_operator.cli.doctor.sight import PROBE_SECONDS, see
from replay_operator.cluster.gateway import KubernetesGateway
from replay_operator.domain.checks.clocks import HERE, LAPTOP, WORKER, ClockBounds
from replay_operator.domain.checks.facts import (
    BucketFacts,
    Facts,
    LiveKitFacts,
    PreviewFacts,
    Seen,
    SettingsFacts,
    WorkerAnswer,
)
from replay_operator.domain.checks.objects import (
    ConfigMapFacts,
    PodFacts,
    SecretUse,
    pod_facts,
    secret_uses,
    working_container,
)
from replay_operator.domain.checks.verdict import Unseen
from replay_operator.domain.upload_target import UploadTarget
from replay_operator.settings import LiveKitSettings, OperatorSettings

CONFIG_MAP = "replay-operator-settings"
IMAGE = "REPLAY_CAPTURE_IMAGE"
PREVIEW_PORT = "REPLAY_AGENT_PREVIEW_PORT"

ASKED_WORKERS = 16
"""Whose clocks are compared: one worker's node is as likely to be off as another's."""

Json = dict[str, Any]
Bodies: TypeAlias = Seen[tuple[Json, ...]]
Clock: TypeAlias = Seen[ClockBounds]
_Shown: TypeAlias = Seen[tuple[tuple[PodFacts, int | None], ...]]
"""Pods of the agent, each with its port for people."""


@dataclass(frozen=True, slots=True)
class _Heard:
    """What the network said."""

    livekit: Seen[LiveKitFacts]
    answers: Seen[Mapping[str, WorkerAnswer | None]]
    agent: Seen[AgentFacts]
    preview: Seen[PreviewFacts | None]
    bucket: Seen[BucketFacts | None]
    agent_error: str = ""
    clocks: tuple[tuple[str, Clock], ...] = ()


async def gather_facts(gateway: KubernetesGateway, namespace: str, environment: Mapping[str, str]) -> Facts:
    """Look at everything; what cannot be seen is a fact as well.

    Args:
        gateway: The Kubernetes API, with the rights of who asks.
        namespace: Of the install.
        environment: Variables of this process. With those of the operator's pod, LiveKit, the workers and the
            agent are asked as well.
    """
    cluster = ClusterProbes(gateway, namespace)
    operators, agents = await asyncio.gather(cluster.pods(OPERATOR_PODS), cluster.pods(AGENT_PODS))
    running = environment if IMAGE in environment else None
    told, settings = await _settings(cluster, operators, running)
    # Where the settings cannot be had, the names of manifests/base are the best guess.
    names = settings or given_settings({NAMESPACE: namespace, IMAGE: "unknown"})
    workers = await cluster.pods(names.fleet_selector)
    bodies = tuple(
        body for found in (operators, agents, workers) if not isinstance(found, Unseen) for body in found
    )
    uses = tuple(use for body in bodies for use in secret_uses(body))
    objects, heard, keys, server_clock = await asyncio.gather(
        _objects(cluster, names),
        _heard(
            environment,
            running,
            names,
            _pods(workers),
            _with_preview_ports(agents),
            target=None if isinstance(told, Unseen) else told.target,
        ),
        by_name((use.secret for use in uses), cluster.secret_keys),
        _watch("the API server", cluster.date),
    )
    own_clock = ClockBounds(HERE if running else LAPTOP, 0.0, 0.0)
    clocks = (("here", own_clock), ("the API server", server_clock), *heard.clocks)
    return Facts(
        version=__version__,
        namespace=namespace,
        now=now() + (timedelta() if running else _ahead(server_clock)),
        settings=told,
        choices=choices_of(settings) if settings else _no_choices(told),
        operator_pods=_pods(operators),
        agent_pods=_pods(agents),
        workers=_pods(workers),
        livekit=heard.livekit,
        answers=heard.answers,
        agent=heard.agent,
        agent_error=heard.agent_error,
        preview=heard.preview,
        bucket=heard.bucket,
        secret_uses=_uses((operators, agents, workers), uses),
        secret_keys=keys,
        clocks=tuple(clock for _, clock in clocks if not isinstance(clock, Unseen)),
        clocks_unseen={name: clock.why for name, clock in clocks if isinstance(clock, Unseen)},
        **objects,
    )


async def _settings(
    cluster: ClusterProbes, operators: Bodies, running: Mapping[str, str] | None
) -> tuple[Seen[SettingsFacts], OperatorSettings | None]:
    """Read what the operator gets at its next start, or else what this pod has got."""
    pods = [] if isinstance(operators, Unseen) else list(operators)
    newest = max(pods, key=lambda pod: str(pod["metadata"].get("creationTimestamp")), default=None)
    container = working_container(newest["spec"]) if newest else {}
    names = config_maps_of(container) or (() if newest else (CONFIG_MAP,))
    maps = await by_name(names, cluster.config_map)
    source = f"ConfigMap {', '.join(maps)}"
    hidden = [found for found in maps.values() if isinstance(found, Unseen)]
    if hidden:
        return read_settings(running, "this pod's environment") if running is not None else (hidden[0], None)
    there = [found for found in maps.values() if isinstance(found, ConfigMapFacts)]
    if len(there) < len(maps):
        return SettingsFacts(source, "it does not exist"), None
    variables = declared_variables(container, [found.data for found in there], cluster.namespace)
    changed_at = max((found.changed_at for found in there if found.changed_at), default=None)
    started_at = pod_facts(newest).started_at if newest else None
    is_stale = changed_at is not None and started_at is not None and changed_at > started_at
    return read_settings(variables, source, changed_at if is_stale else None)


def _no_choices(told: Seen[SettingsFacts]) -> Unseen:
    if isinstance(told, Unseen):
        return told
    return Unseen("the settings are not valid", "mend settings first")


async def _objects(cluster: ClusterProbes, names: OperatorSettings) -> dict[str, Any]:
    probes: dict[str, Awaitable[Any]] = {
        "definitions": cluster.definitions(),
        "buffer_claim": cluster.claim(names.buffer_claim),
        "archive_claim": cluster.claim(names.archive_claim),
        "autoscaler": cluster.autoscaler(names.fleet),
        "budgets": cluster.budgets(),
        "lease": cluster.lease(names.lease),
        "scraping": cluster.scraping(),
    }
    return dict(zip(probes, await asyncio.gather(*probes.values()), strict=True))


async def _heard(
    environment: Mapping[str, str],
    running: Mapping[str, str] | None,
    names: OperatorSettings,
    workers: Seen[tuple[PodFacts, ...]],
    agents: _Shown,
    *,
    target: UploadTarget | None,
) -> _Heard:
    if running is None:
        outside = Unseen(
            "out of reach from outside the cluster",
            f"kubectl -n {names.namespace} exec deploy/replay-operator -- replay-operator doctor",
        )
        return _nothing_heard(outside, names, target)
    try:
        livekit = LiveKitSettings.model_validate(_livekit_values(environment))
    except ValidationError as error:
        lacks = ", ".join(
            f"LIVEKIT_{detail['loc'][0]}".upper() for detail in error.errors(include_input=False)
        )
        lost = Unseen(
            f"{lacks} missing or not valid", "run this in the operator's pod, or as manifests/doctor"
        )
        return _nothing_heard(lost, names, target)
    async with aiohttp.ClientSession() as session:
        return await _ask(NetworkProbes(session, livekit, names), workers, agents, target)


def _nothing_heard(why: Unseen, names: OperatorSettings, target: UploadTarget | None) -> _Heard:
    preview = None if names.preview_api_port is None else why
    return _Heard(why, why, why, preview, None if target is None else why)


def _livekit_values(environment: Mapping[str, str]) -> dict[str, str]:
    prefix = "LIVEKIT_"
    return {
        name: environment[f"{prefix}{name}".upper()]
        for name in LiveKitSettings.model_fields
        if f"{prefix}{name}".upper() in environment
    }


async def _ask(
    network: NetworkProbes,
    workers: Seen[tuple[PodFacts, ...]],
    agents: _Shown,
    target: UploadTarget | None,
) -> _Heard:
    pods = () if isinstance(workers, Unseen) else workers
    asked = [pod for pod in pods if pod.ready and pod.ip and not pod.terminating][:ASKED_WORKERS]
    livekit, agent, (preview, bucket), answers, livekit_clock, worker_clocks = await asyncio.gather(
        see("LiveKit", network.ask_livekit()),
        see("the agent", network.ask_agent()),
        asyncio.gather(
            see("the preview", network.ask_preview(() if isinstance(agents, Unseen) else agents)),
            see("object storage", network.ask_bucket(target)),
        ),
        see("the workers", network.ask_workers(pods)),
        _watch("LiveKit", network.livekit_date),
        asyncio.gather(*(_watch(f"{WORKER} {pod.name}", _date_of(network, pod)) for pod in asked)),
    )
    return _Heard(
        livekit=livekit,
        answers=workers if isinstance(workers, Unseen) else answers,
        agent=agent if isinstance(agent, Unseen) else agent[0],
        preview=agents if isinstance(agents, Unseen) and preview is not None else preview,
        bucket=bucket,
        agent_error=agent.why if isinstance(agent, Unseen) else "",
        clocks=(
            ("LiveKit", livekit_clock),
            ("the agent", agent if isinstance(agent, Unseen) else agent[1]),
            *zip((f"{WORKER} {pod.name}" for pod in asked), worker_clocks, strict=True),
        ),
    )


def _date_of(network: NetworkProbes, pod: PodFacts) -> Callable[[], Awaitable[str]]:
    return lambda: network.worker_date(pod)


async def _watch(name: str, ask: Callable[[], Awaitable[str]]) -> Clock:
    return await see(f"the clock of {name}", watch_clock(name, ask), seconds=WATCH_SECONDS + PROBE_SECONDS)


def _ahead(clock: Clock) -> timedelta:
    if isinstance(clock, Unseen):
        return timedelta()
    return timedelta(seconds=(clock.low_seconds + clock.high_seconds) / 2)


def _with_preview_ports(bodies: Bodies) -> _Shown:
    if isinstance(bodies, Unseen):
        return bodies
    variables = (declared_variables(working_container(body["spec"]), (), "") for body in bodies)
    ports = (found.get(PREVIEW_PORT, "") for found in variables)
    return tuple(
        (pod_facts(body), int(port) if port.isdecimal() else None)
        for body, port in zip(bodies, ports, strict=True)
    )


def _pods(bodies: Bodies) -> Seen[tuple[PodFacts, ...]]:
    return bodies if isinstance(bodies, Unseen) else tuple(map(pod_facts, bodies))


def _uses(bodies: tuple[Bodies, ...], uses: tuple[SecretUse, ...]) -> Seen[tuple[SecretUse, ...]]:
    hidden = [found for found in bodies if isinstance(found, Unseen)]
    return hidden[0] if hidden and not uses else uses
