"""The two PersistentVolumeClaims: the fast buffer volume and the permanent archive volume."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

from replay_operator.cluster.field_owners import declared_by_another
from replay_operator.cluster.gateway import Conflict, KubernetesGateway
from replay_operator.cluster.resources import CLAIMS
from replay_operator.domain.claims import ClaimView
from replay_operator.domain.quantity import format_quantity, parse_quantity

MANAGED_BY_LABEL = "app.kubernetes.io/managed-by"
OWN = "replay-operator"
GROWN_AT_ANNOTATION = "replaybuffer.dev/grown-at"
_SIZE = ("spec", "resources", "requests", "storage")


@dataclass(frozen=True, slots=True)
class ClaimRequest:
    """A claim to make. An empty storage class takes the cluster's default."""

    name: str
    size_bytes: int
    storage_class: str
    access_mode: str


def claim_body(request: ClaimRequest) -> dict[str, Any]:
    """Build the claim.

    No ownerReference, and annotations that keep GitOps tools from pruning it: recorded media must not go
    with the tool that asked for it.
    """
    spec: dict[str, Any] = {
        "accessModes": [request.access_mode],
        "volumeMode": "Filesystem",
        "resources": {"requests": {"storage": format_quantity(request.size_bytes)}},
    }
    if request.storage_class:
        spec["storageClassName"] = request.storage_class
    return {
        "apiVersion": "v1",
        "kind": "PersistentVolumeClaim",
        "metadata": {
            "name": request.name,
            "labels": {"app.kubernetes.io/part-of": "replay-operator", MANAGED_BY_LABEL: OWN},
            "annotations": {
                "argocd.argoproj.io/sync-options": "Prune=false,Delete=false",
                "helm.sh/resource-policy": "keep",
            },
        },
        "spec": spec,
    }


async def make_claim(
    gateway: KubernetesGateway, namespace: str, request: ClaimRequest
) -> dict[str, Any] | None:
    """Make a claim; None when somebody has made one of that name meanwhile, which is used then.

    Raises:
        ClusterError: The API server refuses it: a quota, a wrong name, a missing right.
    """
    try:
        return await gateway.create(CLAIMS, namespace, claim_body(request))
    except Conflict:
        return None


def view_claim(body: dict[str, Any]) -> ClaimView:
    """Read a claim.

    Args:
        body: The claim as the API server gave it.
    """
    metadata, spec, status = body["metadata"], body["spec"], body.get("status", {})
    made_by = metadata.get("labels", {}).get(MANAGED_BY_LABEL)
    declared_by = declared_by_another(body, *_SIZE)
    if made_by != OWN:
        declared_by = declared_by or made_by or "who made it"
    grown_at = metadata.get("annotations", {}).get(GROWN_AT_ANNOTATION)
    return ClaimView(
        phase=status.get("phase", "Pending"),
        requested_bytes=parse_quantity(spec["resources"]["requests"]["storage"]),
        capacity_bytes=parse_quantity(status.get("capacity", {}).get("storage", "0")),
        declared_by=declared_by,
        access_modes=tuple(spec.get("accessModes", ())),
        volume_mode=spec.get("volumeMode", "Filesystem"),
        conditions={
            condition["type"]: condition.get("message", "")
            for condition in status.get("conditions", ())
            if condition.get("status") == "True"
        },
        grown_at=datetime.fromisoformat(grown_at) if grown_at else None,
        terminating="deletionTimestamp" in metadata,
    )


async def grow_claim(
    gateway: KubernetesGateway, namespace: str, body: dict[str, Any], size_bytes: int, now: datetime
) -> dict[str, Any] | None:
    """Ask for a larger volume; None when the claim is gone.

    The time goes into the same write, so that a restart does not forget it.

    Args:
        gateway: The Kubernetes API.
        namespace: Where the claim is.
        body: The claim as it was looked at; another version of it is left alone.
        size_bytes: What to ask for.
        now: Time of the request.

    Raises:
        Conflict: The claim has changed since it was read.
        ClusterError: The class or a quota refuses it.
    """
    metadata = body["metadata"]
    patch = {
        "metadata": {
            "resourceVersion": metadata["resourceVersion"],
            "annotations": {GROWN_AT_ANNOTATION: f"{now.astimezone(UTC):%Y-%m-%dT%H:%M:%SZ}"},
        },
        "spec": {"resources": {"requests": {"storage": format_quantity(size_bytes)}}},
    }
    return await gateway.patch(CLAIMS, namespace, metadata["name"], patch)
