"""The two PersistentVolumeClaims: the fast buffer volume and the permanent archive volume."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from replay_operator.cluster.gateway import Conflict, KubernetesGateway
from replay_operator.cluster.resources import CLAIMS


@dataclass(frozen=True, slots=True)
class ClaimRequest:
    """A claim to make. An empty storage class takes the cluster's default."""

    name: str
    size: str
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
        "resources": {"requests": {"storage": request.size}},
    }
    if request.storage_class:
        spec["storageClassName"] = request.storage_class
    return {
        "apiVersion": "v1",
        "kind": "PersistentVolumeClaim",
        "metadata": {
            "name": request.name,
            "labels": {
                "app.kubernetes.io/part-of": "replay-operator",
                "app.kubernetes.io/managed-by": "replay-operator",
            },
            "annotations": {
                "argocd.argoproj.io/sync-options": "Prune=false,Delete=false",
                "helm.sh/resource-policy": "keep",
            },
        },
        "spec": spec,
    }


async def ensure_claim(gateway: KubernetesGateway, namespace: str, request: ClaimRequest) -> bool:
    """Make the claim unless one of that name is there; whoever made that one, it is used.

    Returns:
        Whether it was made now.
    """
    if await gateway.get(CLAIMS, namespace, request.name) is not None:
        return False
    try:
        await gateway.create(CLAIMS, namespace, claim_body(request))
    except Conflict:
        return False
    return True
