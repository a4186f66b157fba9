"""The cost of deleting a worker's pod, of which its ReplicaSet takes the cheapest first."""

from __future__ import annotations

from replay_operator.cluster.gateway import KubernetesGateway
from replay_operator.cluster.resources import PODS
from replay_operator.domain.fleet import DELETION_COST, FleetPod


async def set_deletion_cost(gateway: KubernetesGateway, namespace: str, pod: FleetPod, cost: int) -> None:
    """Write the cost into the pod; one that is gone needs none.

    Args:
        gateway: The Kubernetes API.
        namespace: Where the fleet is.
        pod: Which pod; a namesake of it is left alone.
        cost: A whole number.

    Raises:
        Conflict: A namesake has taken its place.
        Forbidden: The operator's Role lacks `patch` on pods.
    """
    patch = {"metadata": {"uid": pod.uid, "annotations": {DELETION_COST: str(cost)}}}
    await gateway.patch(PODS, namespace, pod.name, patch)
