"""The fleet's HorizontalPodAutoscaler, of which this package owns one field: spec.minReplicas."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum
from typing import Any

from replay_operator.cluster.field_owners import declared_by_another
from replay_operator.cluster.gateway import KubernetesGateway
from replay_operator.cluster.resources import AUTOSCALERS


class FloorOutcome(StrEnum):
    """What came of setting the floor."""

    UNCHANGED = "Unchanged"
    SET = "Set"
    ABSENT = "Absent"
    HANDS_OFF = "HandsOff"


@dataclass(frozen=True, slots=True)
class FloorReport:
    """What came of setting the floor, and how the autoscaler is.

    `declared_by` is who else declares the floor. `inactive` is why the autoscaler computes nothing now, in
    its controller's words; empty when it does. It then still raises the fleet to its floor, and never lowers
    it.
    """

    outcome: FloorOutcome
    declared_by: str = ""
    inactive: str = ""


async def set_floor(
    gateway: KubernetesGateway, namespace: str, name: str, floor: int, *, may_lower: bool = True
) -> FloorReport:
    """Make spec.minReplicas equal `floor`, with one write at most and none when it is so already.

    Args:
        gateway: The Kubernetes API.
        namespace: Where the fleet is.
        name: Name of the HorizontalPodAutoscaler.
        floor: Workers wanted at least.
        may_lower: Whether a higher one may be lowered.
    """
    found = await gateway.get(AUTOSCALERS, namespace, name)
    if found is None:
        return FloorReport(FloorOutcome.ABSENT)
    inactive = _why_inactive(found)
    spec = found.get("spec", {})
    floor = min(floor, spec.get("maxReplicas", floor))  # more than its owner allows would be refused
    now = spec.get("minReplicas")
    if now == floor or (now is not None and now > floor and not may_lower):
        return FloorReport(FloorOutcome.UNCHANGED, inactive=inactive)
    declared_by = declared_by_another(found, "spec", "minReplicas")
    if declared_by is not None:
        return FloorReport(FloorOutcome.HANDS_OFF, declared_by, inactive)
    body = {
        "apiVersion": AUTOSCALERS.api_version,
        "kind": AUTOSCALERS.kind,
        "metadata": {"name": name},
        "spec": {"minReplicas": floor},
    }
    await gateway.apply(AUTOSCALERS, namespace, name, body, force=True)
    return FloorReport(FloorOutcome.SET, inactive=inactive)


def _why_inactive(autoscaler: dict[str, Any]) -> str:
    for condition in autoscaler.get("status", {}).get("conditions", ()):
        if condition["type"] == "ScalingActive" and condition["status"] != "True":
            return f"{condition.get('reason', '')}: {condition.get('message', '')}"
    return ""
