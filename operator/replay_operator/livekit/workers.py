"""The egress workers of the fleet: asked one by one what they hold, and watched as pods."""

from __future__ import annotations

import asyncio
import json
import logging
from collections.abc import Awaitable, Callable, Iterable, Mapping
from dataclasses import replace
from typing import Any

import aiohttp

from replay_operator.domain.fleet import FleetMap, FleetPod, WorkerView, changed_egresses, pod_from_body
from replay_operator.domain.fleet_places import places_gained
from replay_operator.livekit.poller import wait_for_event

HEALTH_PORT = 8080
ASK_TIMEOUT_SECONDS = 2.0
ASKED_AT_ONCE = 8

INTERVAL_SECONDS = 10.0
"""Deaths and evictions come as pod events and starts as pokes: this only finds what both have missed."""

GAP_SECONDS = 0.5
"""Least time between two rounds, so that a roll-out of the whole fleet becomes a few rounds."""

MAX_ANSWER_BYTES = 1 << 20
"""A request in the answer takes about 1 kB, and a worker holds tens at most."""

AVAILABLE_CORES = "CpuLoad"
"""The name says load, the number is the cores that are left (livekit-measured §3)."""

log = logging.getLogger(__name__)


class WorkerProbe:
    """Asks workers on their health port.

    Args:
        session: Carries the questions; the caller closes it.
        health_port: `health_port` of the workers' configuration. Egress leaves it off by default.
        timeout_seconds: How long one answer may take, in seconds.
        at_once: How many workers are asked at the same time.
    """

    def __init__(
        self,
        session: aiohttp.ClientSession,
        health_port: int = HEALTH_PORT,
        *,
        timeout_seconds: float = ASK_TIMEOUT_SECONDS,
        at_once: int = ASKED_AT_ONCE,
    ) -> None:
        self._session = session
        self._health_port = health_port
        self._timeout_seconds = timeout_seconds
        self._slots = asyncio.Semaphore(at_once)

    async def ask(self, pod: FleetPod) -> WorkerView | None:
        """Ask a worker what it holds.

        Args:
            pod: Where it runs.

        Returns:
            What it said, or None when it said nothing that can be understood: that means unknown, not empty.
        """
        if pod.ip is None:
            return None
        async with self._slots:
            try:
                async with asyncio.timeout(self._timeout_seconds):
                    body = await self._read(pod.ip)
            except (aiohttp.ClientError, TimeoutError, OSError, ValueError) as error:
                log.debug("worker %s gave no answer: %s", pod.name, type(error).__name__)
                return None
        return view_from_health(pod, body)

    async def _read(self, ip: str) -> bytes:
        return await read_health(self._session, health_url(ip, self._health_port))


def health_url(ip: str, port: int) -> str:
    """Give the address of a worker's health port.

    Args:
        ip: Of its pod, of either family.
        port: `health_port` of its configuration.
    """
    host = f"[{ip}]" if ":" in ip else ip
    return f"http://{host}:{port}/"


async def read_health(session: aiohttp.ClientSession, url: str) -> bytes:
    """Read what a worker says on its health port.

    Args:
        session: Carries the question.
        url: From `health_url`.

    Raises:
        ClientError: It did not answer.
        ValueError: The answer is too long for an egress worker's.
    """
    async with session.get(url, allow_redirects=False) as response:
        response.raise_for_status()
        body = bytearray()
        async for chunk in response.content.iter_any():
            body += chunk
            if len(body) > MAX_ANSWER_BYTES:
                raise ValueError(f"more than {MAX_ANSWER_BYTES} bytes: this is no egress worker")
        return bytes(body)


def view_from_health(pod: FleetPod, body: bytes) -> WorkerView | None:
    """Read the answer of a health port; None when it is not that of an egress worker.

    Args:
        pod: Which was asked.
        body: Such as `{"CpuLoad": 1.658, "EG_xxxx": {"TrackComposite": {...}}}`.
    """
    try:
        answer = json.loads(body)
    except (ValueError, RecursionError):
        return None
    cores = answer.get(AVAILABLE_CORES) if isinstance(answer, dict) else None
    if not isinstance(cores, int | float):
        return None
    egress_ids = frozenset(key for key, value in answer.items() if isinstance(value, dict))
    return WorkerView(pod, egress_ids, float(cores))


class FleetWatch:
    """Keeps the map of the fleet: pods are told to it, workers it asks itself.

    Everything is called in the event loop that runs `run`.

    Args:
        ask: Asks one worker; `WorkerProbe.ask`.
        on_change: Called with the ids of egresses whose worker, doom or loss changed; it must not block.
        on_places: Called with the number of places for recordings that came free; it must not block.
        per_worker: How many recordings one worker carries.
        interval_seconds: From the end of one round of questions to the next, in seconds.
        gap_seconds: Least time between two rounds, in seconds.
        sleep: Waits so many seconds.
        wait: Waits until an event is set, at most so many seconds.
    """

    def __init__(
        self,
        ask: Callable[[FleetPod], Awaitable[WorkerView | None]],
        on_change: Callable[[frozenset[str]], None],
        *,
        on_places: Callable[[int], None] = lambda _: None,
        per_worker: int = 1,
        interval_seconds: float = INTERVAL_SECONDS,
        gap_seconds: float = GAP_SECONDS,
        sleep: Callable[[float], Awaitable[None]] = asyncio.sleep,
        wait: Callable[[asyncio.Event, float], Awaitable[None]] = wait_for_event,
    ) -> None:
        self._ask = ask
        self._on_change = on_change
        self._on_places = on_places
        self._per_worker = per_worker
        self._interval_seconds = interval_seconds
        self._gap_seconds = gap_seconds
        self._sleep = sleep
        self._wait = wait
        self._poked = asyncio.Event()
        self._map = FleetMap()
        self._silent: frozenset[str] = frozenset()

    @property
    def fleet(self) -> FleetMap:
        """What is known now."""
        return self._map

    def worker_of(self, egress_id: str) -> str | None:
        """See `FleetMap.worker_of`."""
        return self._map.worker_of(egress_id)

    def is_doomed(self, egress_id: str) -> bool:
        """See `FleetMap.is_doomed`."""
        return self._map.is_doomed(egress_id)

    def is_lost(self, egress_id: str) -> bool:
        """See `FleetMap.is_lost`."""
        return self._map.is_lost(egress_id)

    def is_starved(self, egress_id: str) -> bool:
        """See `FleetMap.is_starved`."""
        return self._map.is_starved(egress_id)

    def pod(self, type_: str | None, body: Mapping[str, Any]) -> None:
        """Take in an event of a fleet pod.

        Args:
            type_: ADDED, MODIFIED, DELETED, or None for one that was there when the watch began.
            body: The pod.
        """
        pod = pod_from_body(body)
        if type_ == "DELETED":
            self._take(self._map.without_pod(pod.uid))
        else:
            self._take(self._map.with_pod(pod))

    def listed(self, bodies: Iterable[Mapping[str, Any]], *, known_before: frozenset[str]) -> None:
        """Take in a complete list of the fleet's pods: a watch that was cut misses deletions.

        Args:
            bodies: All pods of the fleet.
            known_before: `frozenset(watch.fleet.pods)`, read before the list was asked for.
        """
        self._take(self._map.with_list(map(pod_from_body, bodies), known_before))

    def poke(self) -> None:
        """Ask all workers at once, such as after a start or when a worker is suspected dead."""
        self._poked.set()

    async def run(self) -> None:
        """Ask for ever. What `on_change` raises ends it: that is a fault of the caller."""
        while True:
            # Cleared before the questions are sent: who pokes now wants answers to later questions.
            self._poked.clear()
            async with asyncio.TaskGroup() as group:
                for pod in self._map.pods.values():
                    if pod.may_answer:
                        group.create_task(self._ask_one(pod))
            await self._sleep(self._gap_seconds)
            await self._wait(self._poked, self._interval_seconds - self._gap_seconds)

    async def _ask_one(self, pod: FleetPod) -> None:
        view = await self._ask(pod)
        if view is None:
            self._note_silence(pod)
            self._take(self._map.without_view(pod.uid))
        else:
            self._silent -= {pod.uid}
            self._take(self._map.with_view(view))

    def _note_silence(self, pod: FleetPod) -> None:
        if pod.uid in self._silent or pod.terminating:
            return
        self._silent = (self._silent & self._map.pods.keys()) | {pod.uid}
        log.warning(
            "egress worker %s does not answer on its health port: what it holds is unknown until it does; "
            "check `health_port` in its configuration and the network policies",
            pod.name,
        )

    def _take(self, new: FleetMap) -> None:
        old, self._map = self._map, new
        if any(_is_news(old.pods.get(uid), pod) for uid, pod in new.pods.items()):
            self._poked.set()
        changed = changed_egresses(old, new)
        if changed:
            self._on_change(changed)
        places = places_gained(old, new, self._per_worker)
        if places:
            self._on_places(places)


def _is_news(old: FleetPod | None, new: FleetPod) -> bool:
    """Whether a worker may hold something else than before: it came, got ready, restarted or must go."""
    told = replace(new, version=old.version, deletion_cost=old.deletion_cost) if old else new
    return new.may_answer and told != old
