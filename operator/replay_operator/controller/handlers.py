"""The kopf handlers: each stores what it hears and queues a key. Nothing else happens here.

`on.event` only: kopf then writes nothing, adds no finalizer, and keeps no progress (DESIGN §5).
"""

from __future__ import annotations

import dataclasses
import os
import random
from collections.abc import Callable, Iterator
from typing import Any

import kopf

from replay_operator.api.model import GROUP, VERSION
from replay_operator.api.replaybuffer import BUFFER_PLURAL, ReplayBuffer
from replay_operator.api.replaycapture import CAPTURE_PLURAL, ReplayCapture
from replay_operator.cluster.jobs import CAPTURE_PODS, CAPTURE_UID_LABEL
from replay_operator.cluster.removal_jobs import is_removal_job
from replay_operator.cluster.upload_jobs import is_upload_job
from replay_operator.controller.jobs import JobStore
from replay_operator.controller.keys import Key, Kind
from replay_operator.controller.queue import KeyedQueue
from replay_operator.controller.store import ObjectStore
from replay_operator.livekit.workers import FleetWatch

SERVER_TIMEOUT_SECONDS = 300
CLIENT_TIMEOUT_SECONDS = 330
CONNECT_TIMEOUT_SECONDS = 10
LIST_PAGE = 500
"""Objects in one page of kopf's first list: memory for all of them at once would never be given back."""

IDLE_SECONDS = 0.5
"""How long kopf keeps a task for an object after its last event, with that event in it. With kopf's own 5 s
every object is held twice after a first list (benchmarks/README.md)."""


@dataclasses.dataclass(frozen=True, slots=True)
class Inbox:
    """Where the handlers put what they hear."""

    buffers: ObjectStore[ReplayBuffer]
    captures: ObjectStore[ReplayCapture]
    jobs: JobStore
    upload_jobs: JobStore
    fleet: FleetWatch
    queue: KeyedQueue[Key]
    on_new_watch: Callable[[], None]
    told: set[str] = dataclasses.field(default_factory=set)
    """Uids of what watches have told of, and not told the end of."""

    def buffer(self, type_: str | None, body: dict[str, Any]) -> None:
        """Take in an event of a ReplayBuffer."""
        uid = self._note(type_, body)
        if type_ == "DELETED":
            self.buffers.drop(uid)
        else:
            self.buffers.heard(body)
        self.queue.add(Key(Kind.BUFFER, uid), urgent=type_ == "DELETED")

    def capture(self, type_: str | None, body: dict[str, Any]) -> None:
        """Take in an event of a ReplayCapture."""
        uid = self._note(type_, body)
        if type_ == "DELETED":
            self.captures.drop(uid)
        else:
            self.captures.heard(body)
        self.queue.add(Key(Kind.CAPTURE, uid))

    def job(self, type_: str | None, body: dict[str, Any]) -> None:
        """Take in an event of a capture's Job, or of one that uploads its clip or deletes it there."""
        self._note(type_, body)
        uid: str | None
        if is_removal_job(body):
            uid = body["metadata"]["labels"].get(CAPTURE_UID_LABEL)
        else:
            store = self.upload_jobs if is_upload_job(body) else self.jobs
            uid = store.drop(body) if type_ == "DELETED" else store.put(body)
        if uid is not None:
            self.queue.add(Key(Kind.CAPTURE, uid))

    def capture_pod(self, type_: str | None, body: dict[str, Any]) -> None:
        """Take in an event of a Job's pod: its clip is ready before the Job has ended."""
        if type_ == "DELETED":
            self.jobs.drop_pod(body)
        elif (uid := self.jobs.put_pod(body)) is not None:
            self.queue.add(Key(Kind.CAPTURE, uid))

    def fleet_pod(self, type_: str | None, body: dict[str, Any]) -> None:
        """Take in an event of a fleet pod: a worker that goes, or is gone, is acted on at once."""
        self._note(type_, body)
        self.fleet.pod(type_, body)

    def _note(self, type_: str | None, body: dict[str, Any]) -> str:
        # kopf gives no type to what a watch lists when it begins. A second time means that it was broken.
        uid = str(body["metadata"]["uid"])
        if type_ is None and uid in self.told:
            self.on_new_watch()
        if type_ == "DELETED":
            self.told.discard(uid)
        else:
            self.told.add(uid)
        return uid


class EndlessBackoffs:
    """Delays that never run out: kopf exits when its list of them does, however long the API is away."""

    def __iter__(self) -> Iterator[float]:
        """Give growing delays in seconds, capped at 20, each with up to a quarter of jitter."""
        delay = 0.5
        while True:
            yield delay * random.uniform(1.0, 1.25)  # noqa: S311 - jitter is no secret
            delay = min(20.0, delay * 2)


def build_registry(inbox: Inbox, *, fleet_selector: str) -> kopf.OperatorRegistry:
    """Register the handlers.

    Args:
        inbox: Where they put what they hear.
        fleet_selector: The label, name=value, of the fleet's pods.
    """
    fleet_label, _, fleet_value = fleet_selector.partition("=")
    registry = kopf.OperatorRegistry()

    @kopf.on.login(registry=registry)
    def _login(**kwargs: Any) -> kopf.ConnectionInfo | None:
        found = kopf.login_with_service_account(**kwargs)
        if found is None:
            return kopf.login_with_kubeconfig(**kwargs)
        # The address that every client of Kubernetes uses in a pod: it needs no DNS.
        host, port = os.environ["KUBERNETES_SERVICE_HOST"], os.environ["KUBERNETES_SERVICE_PORT"]
        host = f"[{host}]" if ":" in host else host
        return dataclasses.replace(found, server=f"https://{host}:{port}")

    @kopf.on.event(GROUP, VERSION, BUFFER_PLURAL, registry=registry)
    async def _on_buffer(event: kopf.RawEvent, **_: Any) -> None:
        inbox.buffer(event["type"], dict(event["object"]))

    @kopf.on.event(GROUP, VERSION, CAPTURE_PLURAL, registry=registry)
    async def _on_capture(event: kopf.RawEvent, **_: Any) -> None:
        inbox.capture(event["type"], dict(event["object"]))

    @kopf.on.event("batch", "v1", "jobs", labels={CAPTURE_UID_LABEL: kopf.PRESENT}, registry=registry)
    async def _on_job(event: kopf.RawEvent, **_: Any) -> None:
        inbox.job(event["type"], dict(event["object"]))

    @kopf.on.event("", "v1", "pods", labels={fleet_label: fleet_value}, registry=registry)
    async def _on_fleet_pod(event: kopf.RawEvent, **_: Any) -> None:
        inbox.fleet_pod(event["type"], dict(event["object"]))

    @kopf.on.event("", "v1", "pods", labels={CAPTURE_UID_LABEL: kopf.PRESENT}, registry=registry)
    async def _on_capture_pod(event: kopf.RawEvent, **_: Any) -> None:
        inbox.capture_pod(event["type"], dict(event["object"]))

    return registry


def kopf_settings(*, fleet_selector: str) -> kopf.OperatorSettings:
    """Give kopf's settings, each for a reason that was measured (operators.md §1).

    Args:
        fleet_selector: The label, name=value, of the fleet's pods.
    """
    settings = kopf.OperatorSettings()
    settings.posting.enabled = False
    settings.scanning.disabled = True  # our kinds do not come and go, and scanning needs cluster-wide rights
    settings.peering.standalone = True
    settings.networking.error_backoffs = EndlessBackoffs()
    settings.watching.server_timeout = SERVER_TIMEOUT_SECONDS
    settings.watching.client_timeout = CLIENT_TIMEOUT_SECONDS
    settings.watching.connect_timeout = CONNECT_TIMEOUT_SECONDS
    settings.watching.chunk_size = LIST_PAGE
    settings.queueing.idle_timeout = IDLE_SECONDS
    settings.watching.label_selectors["batch", "v1", "jobs"] = CAPTURE_UID_LABEL
    label, _, value = fleet_selector.partition("=")
    settings.watching.label_selectors["", "v1", "pods"] = f"{label} in ({value},{CAPTURE_PODS})"
    return settings
