"""The fleet's HorizontalPodAutoscaler, of which this package owns one field: spec.minReplicas."""

from __future__ import annotations

from enum import StrEnum
from typing import Any

from replay_operator.cluster.gateway import FIELD_MANAGER, KubernetesGateway
from replay_operator.cluster.resources import AUTOSCALERS


class FloorOutcome(StrEnum):
    """What came of setting the floor."""

    UNCHANGED = "Unchanged"
    SET = "Set"
    ABSENT = "Absent"
    HANDS_OFF = "HandsOff"


def declared_by_another(autoscaler: dict[str, Any]) -> str | None:
    """Name the manager that declares spec.minReplicas by server-side apply, or None.

    A declared owner means it: Git would put its value back for ever. An `Update` owner is only the default
    of 1 that the API server filled in when the object was created.
    """
    for entry in autoscaler.get("metadata", {}).get("managedFields", []):
        owned = entry.get("fieldsV1", {}).get("f:spec", {})
        if (
            entry.get("operation") == "Apply"
            and entry.get("manager") != FIELD_MANAGER
            and "f:minReplicas" in owned
        ):
            return str(entry.get("manager"))
    return None


async def set_floor(gateway: KubernetesGateway, namespace: str, name: str, floor: int) -> FloorOutcome:
    """Make spec.minReplicas equal `floor`, with one write at most and none when it is so already.

    Args:
        gateway: The Kubernetes API.
        namespace: Where the fleet is.
        name: Name of the HorizontalPodAutoscaler.
        floor: Workers wanted at least.
    """
    found = await gateway.get(AUTOSCALERS, namespace, name)
    if found is None:
        return FloorOutcome.ABSENT
    spec = found.get("spec", {})
    floor = min(floor, spec.get("maxReplicas", floor))  # more than its owner allows would be refused
    if spec.get("minReplicas") == floor:
        return FloorOutcome.UNCHANGED
    if declared_by_another(found) is not None:
        return FloorOutcome.HANDS_OFF
    body = {
        "apiVersion": AUTOSCALERS.api_version,
        "kind": AUTOSCALERS.kind,
        "metadata": {"name": name},
        "spec": {"minReplicas": floor},
    }
    await gateway.apply(AUTOSCALERS, namespace, name, body, force=True)
    return FloorOutcome.SET
