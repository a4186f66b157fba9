"""Kubernetes objects, reduced to what the checks need."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any

Json = Mapping[str, Any]

_EGRESS = "egress"


@dataclass(frozen=True, slots=True)
class MountFacts:
    """A claim in a container's file system."""

    claim: str
    path: str
    read_only: bool


@dataclass(frozen=True, slots=True)
class PodFacts:
    """A pod, and of its containers the one that does the work.

    Attributes:
        started_at: When the last of its containers started; None while one has not.
        trouble: Why a container does not run, in the kubelet's words; empty when all run.
        run_as_group: Primary group, None when the image decides.
        groups: fsGroup and supplementalGroups.
        requests: What it is sure to get, by resource.
        limits: What it may take at most, by resource.
    """

    name: str
    node: str
    ip: str
    ready: bool
    terminating: bool
    started_at: datetime | None
    trouble: str
    labels: Mapping[str, str]
    annotations: Mapping[str, str]
    grace_seconds: int
    image: str
    mounts: tuple[MountFacts, ...]
    requests: Mapping[str, str]
    limits: Mapping[str, str]
    run_as_group: int | None
    groups: frozenset[int]

    def claims(self) -> frozenset[str]:
        """Give the claims that it mounts."""
        return frozenset(mount.claim for mount in self.mounts)


@dataclass(frozen=True, slots=True)
class ConfigMapFacts:
    """A ConfigMap, and when its content was last written."""

    data: Mapping[str, str]
    changed_at: datetime | None


@dataclass(frozen=True, slots=True)
class ClaimFacts:
    """A PersistentVolumeClaim."""

    name: str
    phase: str
    storage_class: str
    access_modes: tuple[str, ...]
    volume_mode: str
    capacity: str
    conditions: Mapping[str, str]


@dataclass(frozen=True, slots=True)
class AutoscalerFacts:
    """A HorizontalPodAutoscaler. `floor_owner` declares minReplicas by server-side apply."""

    name: str
    minimum: int
    maximum: int
    floor_owner: str | None
    target: str
    conditions: Mapping[str, tuple[str, str]]


@dataclass(frozen=True, slots=True)
class BudgetFacts:
    """A PodDisruptionBudget; `selector` are its matchLabels: none take all pods, None takes no pod."""

    name: str
    selector: Mapping[str, str] | None

    def covers(self, pod: PodFacts) -> bool:
        """Tell whether it protects a pod."""
        return self.selector is not None and self.selector.items() <= dict(pod.labels).items()


@dataclass(frozen=True, slots=True)
class SecretUse:
    """A Secret that a pod needs; `key` is None where the whole Secret is mounted, whatever is in it."""

    secret: str
    key: str | None
    pod: str
    started: bool


def pod_facts(body: Json) -> PodFacts:
    """Read a Pod.

    Args:
        body: As the API server gave it.
    """
    metadata, spec, status = body["metadata"], body["spec"], body.get("status") or {}
    container = working_container(spec)
    resources = container.get("resources") or {}
    security = spec.get("securityContext") or {}
    statuses = status.get("containerStatuses") or ()
    group = (container.get("securityContext") or {}).get("runAsGroup", security.get("runAsGroup"))
    groups = [*(security.get("supplementalGroups") or ()), security.get("fsGroup")]
    return PodFacts(
        name=metadata["name"],
        node=spec.get("nodeName") or "",
        ip=status.get("podIP") or "",
        ready=any(c["type"] == "Ready" and c["status"] == "True" for c in status.get("conditions") or ()),
        terminating="deletionTimestamp" in metadata,
        started_at=_started_at(statuses),
        trouble=_trouble(statuses) or _not_scheduled(status),
        labels=metadata.get("labels") or {},
        annotations=metadata.get("annotations") or {},
        grace_seconds=int(spec.get("terminationGracePeriodSeconds") or 0),
        image=container.get("image") or "",
        mounts=tuple(_mounts(spec, container)),
        requests=resources.get("requests") or {},
        limits=resources.get("limits") or {},
        run_as_group=group,
        groups=frozenset(group for group in groups if group is not None),
    )


def working_container(spec: Json) -> Json:
    """Give the container of a pod that does the work: sidecars may stand before it.

    Args:
        spec: Of the pod.
    """
    containers: list[Json] = spec["containers"]
    named = [c for c in containers if c["name"] in (_EGRESS, "operator", "agent")]
    likely = [c for c in containers if _EGRESS in (c.get("image") or "")]
    return (named or likely or containers)[0]


def _started_at(statuses: Iterable[Json]) -> datetime | None:
    begun = [((status.get("state") or {}).get("running") or {}).get("startedAt") for status in statuses]
    known = [datetime.fromisoformat(text) for text in begun if text]
    return max(known) if known and len(known) == len(begun) else None


def _trouble(statuses: Iterable[Json]) -> str:
    for container in statuses:
        waiting = (container.get("state") or {}).get("waiting") or {}
        reason = waiting.get("reason", "")
        if reason and reason not in ("ContainerCreating", "PodInitializing"):
            return f"{reason}: {waiting.get('message', '')}".rstrip(": ")
    return ""


def _not_scheduled(status: Json) -> str:
    for condition in status.get("conditions") or ():
        if condition["type"] == "PodScheduled" and condition["status"] == "False":
            return f"{condition.get('reason', '')}: {condition.get('message', '')}"
    return ""


def _mounts(spec: Json, container: Json) -> Iterator[MountFacts]:
    claims = {
        volume["name"]: volume["persistentVolumeClaim"]
        for volume in spec.get("volumes") or ()
        if "persistentVolumeClaim" in volume
    }
    for mount in container.get("volumeMounts") or ():
        if claim := claims.get(mount["name"]):
            read_only = bool(mount.get("readOnly") or claim.get("readOnly"))
            yield MountFacts(claim["claimName"], mount["mountPath"].rstrip("/") or "/", read_only)


def config_map_facts(body: Json) -> ConfigMapFacts:
    """Read a ConfigMap.

    Args:
        body: As the API server gave it.
    """
    written = [
        datetime.fromisoformat(entry["time"])
        for entry in body["metadata"].get("managedFields") or ()
        if "f:data" in (entry.get("fieldsV1") or {}) and entry.get("time")
    ]
    return ConfigMapFacts(body.get("data") or {}, max(written, default=None))


def claim_facts(body: Json) -> ClaimFacts:
    """Read a PersistentVolumeClaim.

    Args:
        body: As the API server gave it.
    """
    spec, status = body["spec"], body.get("status") or {}
    return ClaimFacts(
        name=body["metadata"]["name"],
        phase=status.get("phase") or "Pending",
        storage_class=spec.get("storageClassName") or "",
        access_modes=tuple(spec.get("accessModes") or ()),
        volume_mode=spec.get("volumeMode") or "Filesystem",
        capacity=(status.get("capacity") or {}).get("storage") or "",
        conditions={
            c["type"]: c.get("message") or ""
            for c in status.get("conditions") or ()
            if c.get("status") == "True"
        },
    )


def autoscaler_facts(body: Json, floor_owner: str | None) -> AutoscalerFacts:
    """Read a HorizontalPodAutoscaler.

    Args:
        body: As the API server gave it.
        floor_owner: Who, other than the operator, declares spec.minReplicas.
    """
    spec = body["spec"]
    return AutoscalerFacts(
        name=body["metadata"]["name"],
        minimum=int(spec.get("minReplicas") or 1),
        maximum=int(spec["maxReplicas"]),
        floor_owner=floor_owner,
        target=spec["scaleTargetRef"]["name"],
        conditions={
            c["type"]: (c["status"], c.get("reason") or "")
            for c in (body.get("status") or {}).get("conditions") or ()
        },
    )


def budget_facts(body: Json) -> BudgetFacts:
    """Read a PodDisruptionBudget.

    Args:
        body: As the API server gave it.
    """
    selector = body["spec"].get("selector")
    labels = None if selector is None else selector.get("matchLabels") or {}
    return BudgetFacts(body["metadata"]["name"], labels)


def secret_uses(body: Json) -> Iterator[SecretUse]:
    """Give the Secrets that a pod cannot do without.

    Args:
        body: The Pod as the API server gave it.
    """
    spec, name = body["spec"], body["metadata"]["name"]
    statuses = (body.get("status") or {}).get("containerStatuses") or ()
    started = bool(statuses) and all("running" in (s.get("state") or {}) for s in statuses)
    for volume in spec.get("volumes") or ():
        source = volume.get("secret")
        if source and not source.get("optional"):
            for key in [item["key"] for item in source.get("items") or ()] or [_whole(volume["name"])]:
                yield SecretUse(source["secretName"], key, name, started)
    for container in spec["containers"]:
        for variable in container.get("env") or ():
            source = (variable.get("valueFrom") or {}).get("secretKeyRef")
            if source and not source.get("optional"):
                yield SecretUse(source["name"], source["key"], name, started)
        for entry in container.get("envFrom") or ():
            source = entry.get("secretRef")
            if source and not source.get("optional"):
                yield SecretUse(source["name"], None, name, started)


def _whole(volume: str) -> str | None:
    """Give the key that must be in a Secret that is mounted as a whole; manifests/base names the volume."""
    return "token" if volume == "agent-token" else None
