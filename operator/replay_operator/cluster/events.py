"""Kubernetes Events, each transition once."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from datetime import UTC, datetime
from enum import StrEnum
from typing import Any

from replay_operator.api.meta import ObjectMeta
from replay_operator.cluster.gateway import Conflict, KubernetesGateway
from replay_operator.cluster.resources import EVENTS, ResourceType


class EventType(StrEnum):
    """Kubernetes knows these two."""

    NORMAL = "Normal"
    WARNING = "Warning"


@dataclass(frozen=True, slots=True)
class Event:
    """Something that happened to an object."""

    type: EventType
    reason: str
    message: str


def event_body(
    event: Event, type_: ResourceType, meta: ObjectMeta, *, now: datetime, component: str
) -> dict[str, Any]:
    """Build the v1 Event.

    Its name is a digest of what happened to which version of which object, so that the same news told twice
    (after a crash, or by two operators) is one Event, and the same thing happening again is another.

    Args:
        event: What happened.
        type_: Kind of the object.
        meta: The object.
        now: Time of the event.
        component: Who tells it.
    """
    said = f"{meta.uid}/{meta.resource_version}/{event.reason}/{event.message}"
    stamp = f"{now.astimezone(UTC):%Y-%m-%dT%H:%M:%SZ}"
    return {
        "apiVersion": "v1",
        "kind": "Event",
        "metadata": {
            "name": f"{meta.name[:200]}.{hashlib.sha256(said.encode()).hexdigest()[:16]}",
            "namespace": meta.namespace,
        },
        "type": event.type,
        "reason": event.reason,
        "message": event.message[:1024],
        "involvedObject": {
            "apiVersion": type_.api_version,
            "kind": type_.kind,
            "name": meta.name,
            "namespace": meta.namespace,
            "uid": meta.uid,
        },
        "source": {"component": component},
        "reportingComponent": component,
        "firstTimestamp": stamp,
        "lastTimestamp": stamp,
        "count": 1,
    }


async def post_event(
    gateway: KubernetesGateway, event: Event, type_: ResourceType, meta: ObjectMeta, now: datetime
) -> None:
    """Post an Event; one that has been told already is as good."""
    body = event_body(event, type_, meta, now=now, component="replay-operator")
    try:
        await gateway.create(EVENTS, meta.namespace, body)
    except Conflict:
        return
