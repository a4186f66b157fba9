"""Writes what a decision says: the status when it differs, and one Event for each transition."""

from __future__ import annotations

import logging
from collections.abc import Callable, Mapping
from datetime import datetime
from types import MappingProxyType
from typing import TypeVar

from replay_operator.api.meta import ObjectMeta, find_condition
from replay_operator.api.replaybuffer import ReplayBuffer, ReplayBufferStatus
from replay_operator.api.replaycapture import ReplayCapture, ReplayCaptureStatus
from replay_operator.cluster.events import Event, EventType, post_event
from replay_operator.cluster.gateway import ClusterError, KubernetesGateway
from replay_operator.cluster.resources import BUFFERS, CAPTURES, ResourceType
from replay_operator.cluster.status import status_patch
from replay_operator.controller.store import ObjectStore
from replay_operator.domain.status_contract import READY, STALLED, is_true

T = TypeVar("T", ReplayBuffer, ReplayCapture)

log = logging.getLogger(__name__)

_FIELDS = {BUFFERS: "buffer", CAPTURES: "capture"}


class StatusWriter:
    """The only place that writes the status of our two kinds."""

    def __init__(
        self,
        gateway: KubernetesGateway,
        buffers: ObjectStore[ReplayBuffer],
        captures: ObjectStore[ReplayCapture],
        clock: Callable[[], datetime],
    ) -> None:
        self._gateway = gateway
        self._buffers = buffers
        self._captures = captures
        self._clock = clock

    async def write_buffer(self, buffer: ReplayBuffer, status: ReplayBufferStatus) -> ReplayBuffer:
        """Write a buffer's status if it differs; give the buffer as it is then.

        Raises:
            Conflict: The object has changed since it was read; the next reconcile looks again.
        """
        return await self._write(BUFFERS, self._buffers, buffer, status)

    async def write_capture(self, capture: ReplayCapture, status: ReplayCaptureStatus) -> ReplayCapture:
        """Write a capture's status if it differs; give the capture as it is then.

        Raises:
            Conflict: The object has changed since it was read; the next reconcile looks again.
        """
        return await self._write(CAPTURES, self._captures, capture, status)

    async def _write(
        self,
        type_: ResourceType,
        store: ObjectStore[T],
        known: T,
        status: ReplayBufferStatus | ReplayCaptureStatus,
    ) -> T:
        meta = known.metadata
        patch = status_patch(meta.resource_version, known.status, status)
        if patch is None:
            return known
        answer = await self._gateway.patch_status(type_, meta.namespace, meta.name, patch)
        await self._tell(type_, known, status)
        return store.put(answer) if answer else known.model_copy(update={"status": status})

    async def _tell(
        self,
        type_: ResourceType,
        old: ReplayBuffer | ReplayCapture,
        status: ReplayBufferStatus | ReplayCaptureStatus,
    ) -> None:
        before = find_condition(old.status.conditions, READY)
        after = find_condition(status.conditions, READY)
        if after is None or (before is not None and before.reason == after.reason):
            return
        type_of_event = EventType.WARNING if is_true(status.conditions, STALLED) else EventType.NORMAL
        event = Event(type_of_event, after.reason, after.message)
        await self.tell(type_, old.metadata, event, about=_about(old, status))

    async def tell(
        self,
        type_: ResourceType,
        meta: ObjectMeta,
        event: Event,
        about: Mapping[str, str] = MappingProxyType({}),
    ) -> None:
        """Post an Event about an object. One that is refused is logged and no more: it decides nothing.

        Args:
            type_: What the object is.
            meta: Which one.
            event: The news.
            about: What else the line in the log names: `logs.FIELDS`.
        """
        fields = {"kind": type_.kind, "reason": event.reason, **about}
        if type_ in _FIELDS:
            fields[_FIELDS[type_]] = meta.name
        log.info("%s %s: %s: %s", type_.kind, meta.name, event.reason, event.message, extra=fields)
        try:
            await post_event(self._gateway, event, type_, meta, self._clock())
        except ClusterError as error:
            log.warning("event %s for %s was not posted: %s", event.reason, meta.name, error)


def _about(
    old: ReplayBuffer | ReplayCapture, status: ReplayBufferStatus | ReplayCaptureStatus
) -> Mapping[str, str]:
    """Give what a transition is about beside its object."""
    if isinstance(old, ReplayCapture):
        return {"buffer": old.spec.buffer_ref.name}
    egress = status.egress if isinstance(status, ReplayBufferStatus) else None
    return {"egress": egress.id, "run": egress.run} if egress else {}
