"""Which egress worker holds which egress, and what becomes of it when the worker's pod goes.

Unknown is not gone (DESIGN §4): a worker that does not answer keeps what it held. Only three things take an
egress away: its pod is gone, its container ended, or its worker answers without it.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field, replace
from datetime import datetime
from types import MappingProxyType
from typing import Any, TypeVar

T = TypeVar("T")

LOST_KEPT = 5000
"""How many lost egresses are remembered. A dead worker's egress stays in LiveKit's list for ever
(livekit-measured §3), so a small number would bring some back to life; each costs about 200 bytes."""

NO_CPU_CORES = 0.1
NO_CPU_ROUNDS = 2
"""A worker that has said so often in a row that less than this is left starves what it holds: segments come
in perfect cadence with hardly a new picture in them (livekit-measured §3), so only the worker can tell. One
answer is a moment, the next one comes ten seconds later."""

DELETION_COST = "controller.kubernetes.io/pod-deletion-cost"

_FINISHED = frozenset({"Succeeded", "Failed"})


@dataclass(frozen=True, slots=True)
class FleetPod:
    """One pod of the fleet.

    `deleted_at` is Kubernetes' deletionTimestamp: when the grace period of a terminating pod ends.
    `container_ends` counts for each container how often it has ended: an egress does not survive that.
    `version` grows with each change of the object. `deletion_cost` is what the pod says of itself to its
    ReplicaSet, which takes the cheapest first; 0 when it says nothing.
    """

    uid: str
    name: str
    version: int
    ip: str | None
    node: str | None
    ready: bool
    finished: bool
    deleted_at: datetime | None
    container_ends: tuple[int, ...]
    deletion_cost: int = 0

    @property
    def terminating(self) -> bool:
        """Whether the pod was told to go: evicted, drained, scaled down or replaced."""
        return self.deleted_at is not None

    @property
    def may_answer(self) -> bool:
        """Whether its worker is worth asking. A draining worker answers until it exits (livekit.md §2.8)."""
        return self.ip is not None and (self.ready or self.terminating)


def pod_from_body(body: Mapping[str, Any]) -> FleetPod:
    """Read a Pod.

    Args:
        body: The object as the API server gave it.

    Raises:
        KeyError: It has no name or uid, so it did not come from an API server.
    """
    metadata, status = body["metadata"], body.get("status") or {}
    deleted_at = metadata.get("deletionTimestamp")
    return FleetPod(
        uid=metadata["uid"],
        name=metadata["name"],
        version=int(metadata.get("resourceVersion") or 0),
        ip=status.get("podIP") or None,
        node=(body.get("spec") or {}).get("nodeName") or None,
        ready=any(c["type"] == "Ready" and c["status"] == "True" for c in status.get("conditions") or ()),
        finished=status.get("phase") in _FINISHED,
        deleted_at=datetime.fromisoformat(deleted_at) if deleted_at else None,
        container_ends=tuple(_ends(container) for container in status.get("containerStatuses") or ()),
        # The API server admits whole numbers only.
        deletion_cost=int((metadata.get("annotations") or {}).get(DELETION_COST, 0)),
    )


def _ends(container: Mapping[str, Any]) -> int:
    # restartCount grows only when the next start begins, which a crash loop may delay by minutes.
    state = container.get("state") or {}
    waits_after_an_end = "waiting" in state and "terminated" in (container.get("lastState") or {})
    return int(container.get("restartCount") or 0) + int("terminated" in state or waits_after_an_end)


@dataclass(frozen=True, slots=True)
class WorkerView:
    """What a worker said. `pod` is its pod as it was known when the question was sent."""

    pod: FleetPod
    egress_ids: frozenset[str]
    available_cores: float


def _frozen(mapping: dict[str, T]) -> Mapping[str, T]:
    return MappingProxyType(mapping)


def _nothing() -> Mapping[str, Any]:
    return _frozen({})


@dataclass(frozen=True, slots=True)
class FleetMap:
    """All that is known of the fleet. Every method gives a new map; none changes this one.

    Attributes:
        pods: Pods that are there, by uid.
        views: The newest answer of each worker that answered when it was last asked, by pod uid.
        placed: The pod that held an egress when its worker last answered, by egress id.
        lost: The name of the worker that is gone, by the id of an egress that it held.
        starved: How often in a row a worker that holds the same egresses has said that no CPU is left, by
            pod uid.
    """

    pods: Mapping[str, FleetPod] = field(default_factory=_nothing)
    views: Mapping[str, WorkerView] = field(default_factory=_nothing)
    placed: Mapping[str, FleetPod] = field(default_factory=_nothing)
    lost: Mapping[str, str] = field(default_factory=_nothing)
    starved: Mapping[str, int] = field(default_factory=_nothing)

    def worker_of(self, egress_id: str) -> str | None:
        """Give the name of the pod that holds an egress; None when nobody knows or it is gone."""
        pod = self.placed.get(egress_id)
        return pod.name if pod else None

    def is_doomed(self, egress_id: str) -> bool:
        """Tell whether the egress still runs, on a worker that was told to go."""
        pod = self.placed.get(egress_id)
        return pod is not None and self.pods[pod.uid].terminating

    def is_lost(self, egress_id: str) -> bool:
        """Tell whether the worker that held the egress is gone, and the egress with it."""
        return egress_id in self.lost

    def is_starved(self, egress_id: str) -> bool:
        """Tell whether the egress should leave its worker, which has no CPU left.

        One at a time is told to: that may be enough for the others.
        """
        pod = self.placed.get(egress_id)
        if pod is None or self.starved.get(pod.uid, 0) < NO_CPU_ROUNDS:
            return False
        view = self.views.get(pod.uid)
        return view is not None and egress_id == max(view.egress_ids)

    def idle_workers(self) -> tuple[str, ...]:
        """Give the names of ready workers that said, when last asked, that they hold nothing."""
        idle = (self.pods[uid] for uid, view in self.views.items() if not view.egress_ids)
        return tuple(sorted(pod.name for pod in idle if pod.ready and not pod.terminating))

    def with_pod(self, pod: FleetPod) -> FleetMap:
        """Take in a version of a pod. An older one changes nothing; a finished pod is as good as deleted.

        Args:
            pod: As it is now.
        """
        known = self.pods.get(pod.uid)
        if known is not None and known.version > pod.version:
            return self
        if pod.finished:
            return self.without_pod(pod.uid)
        # A name is free again only after its pod has gone: a StatefulSet gives it to the next pod.
        namesakes = [uid for uid, other in self.pods.items() if other.name == pod.name and uid != pod.uid]
        rest = self
        for uid in namesakes:
            rest = rest.without_pod(uid)
        dead = [
            id_ for id_, then in rest.placed.items() if then.uid == pod.uid and _all_ended_since(then, pod)
        ]
        return _losing(replace(rest, pods=_frozen({**rest.pods, pod.uid: pod})), dead)

    def without_pod(self, uid: str) -> FleetMap:
        """Take in that a pod is gone: everything that it held is lost.

        Args:
            uid: Of the pod; an unknown one changes nothing.
        """
        held = [id_ for id_, then in self.placed.items() if then.uid == uid]
        rest = _losing(self, held)
        return replace(
            rest,
            pods=_without(rest.pods, {uid}),
            views=_without(rest.views, {uid}),
            starved=_without(rest.starved, {uid}),
        )

    def with_list(self, pods: Iterable[FleetPod], known_before: frozenset[str]) -> FleetMap:
        """Take in a complete list of the fleet's pods.

        Args:
            pods: All that the API server listed.
            known_before: Uids of the pods in this map when the list was asked for. What came or went since
                then is newer than the list and stays as it is.
        """
        listed = {pod.uid: pod for pod in pods}
        result = self
        for uid in known_before - listed.keys():
            result = result.without_pod(uid)
        for pod in listed.values():
            if pod.uid not in known_before or pod.uid in self.pods:
                result = result.with_pod(pod)
        return result

    def with_view(self, view: WorkerView) -> FleetMap:
        """Take in what a worker said.

        An answer to a question to a pod that has since gone or restarted is dropped: nobody knows which
        process gave it.

        Args:
            view: The answer.
        """
        asked = view.pod
        known = self.pods.get(asked.uid)
        if known is None or known.container_ends != asked.container_ends:
            return self
        missing = {
            id_: then
            for id_, then in self.placed.items()
            if then.uid == asked.uid and id_ not in view.egress_ids
        }
        # One that is missing although nothing restarted has ended in its own time: LiveKit tells of that.
        restarted = [id_ for id_, then in missing.items() if then.container_ends != asked.container_ends]
        rest = _losing(self, restarted)
        held = dict.fromkeys(view.egress_ids, asked)
        return replace(
            rest,
            views=_frozen({**rest.views, asked.uid: view}),
            placed=_frozen({**_without(rest.placed, missing), **held}),
            lost=_without(rest.lost, view.egress_ids),
            starved=self._starved_after(view),
        )

    def _starved_after(self, view: WorkerView) -> Mapping[str, int]:
        uid, before = view.pod.uid, self.views.get(view.pod.uid)
        if view.available_cores >= NO_CPU_CORES or not view.egress_ids:
            return _without(self.starved, {uid})
        same = before is not None and before.egress_ids == view.egress_ids
        return _frozen({**self.starved, uid: 1 + (self.starved.get(uid, 0) if same else 0)})

    def without_view(self, uid: str) -> FleetMap:
        """Take in that a worker did not answer. What it held is remembered.

        Args:
            uid: Of its pod.
        """
        return replace(self, views=_without(self.views, {uid})) if uid in self.views else self


def changed_egresses(old: FleetMap, new: FleetMap) -> frozenset[str]:
    """Give the egresses whose worker, doom, loss or hunger for CPU differs.

    Args:
        old: A map.
        new: The same, later.
    """
    known = old.placed.keys() | new.placed.keys() | old.lost.keys() | new.lost.keys()
    return frozenset(id_ for id_ in known if _fate(old, id_) != _fate(new, id_))


def _fate(fleet: FleetMap, egress_id: str) -> tuple[str | None, bool, bool, bool]:
    return (
        fleet.worker_of(egress_id),
        fleet.is_doomed(egress_id),
        fleet.is_lost(egress_id),
        fleet.is_starved(egress_id),
    )


def _losing(fleet: FleetMap, egress_ids: Iterable[str]) -> FleetMap:
    names = {id_: fleet.placed[id_].name for id_ in egress_ids}
    if not names:
        return fleet
    lost = list({**fleet.lost, **names}.items())[-LOST_KEPT:]
    return replace(fleet, placed=_without(fleet.placed, names), lost=_frozen(dict(lost)))


def _without(mapping: Mapping[str, T], keys: Iterable[str]) -> Mapping[str, T]:
    gone = frozenset(keys)
    return _frozen({key: value for key, value in mapping.items() if key not in gone})


def _all_ended_since(then: FleetPod, now: FleetPod) -> bool:
    """Whether every container has ended since; which one the worker is does then not matter."""
    if not then.container_ends or len(then.container_ends) != len(now.container_ends):
        return False
    return all(before != after for before, after in zip(then.container_ends, now.container_ends, strict=True))
