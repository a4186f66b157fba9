"""Writes what a decision says: the status when it differs, and one Event for each transition."""

from __future__ import annotations

import logging
from collections.abc import Callable
from datetime import datetime

from replay_operator.api.meta import ObjectMeta, find_condition
from replay_operator.api.replaybuffer import ReplayBuffer, ReplayBufferStatus
from replay_operator.api.replaycapture import ReplayCapture, ReplayCaptureStatus
from replay_operator.cluster.events import Event, EventType, post_event
from replay_operator.cluster.gateway import ClusterError, KubernetesGateway
from replay_operator.cluster.resources import BUFFERS, CAPTURES, ResourceType
from replay_operator.cluster.status import status_patch
from replay_operator.controller.store import Json, ObjectStore
from replay_operator.domain.status_contract import READY, STALLED, is_true

log = logging.getLogger(__name__)


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
        patch = status_patch(buffer.metadata.resource_version, buffer.status, status)
        if patch is None:
            return buffer
        answer = await self._patch(BUFFERS, buffer.metadata, patch)
        await self._tell(BUFFERS, buffer, status)
        return self._buffers.put(answer) if answer else buffer.model_copy(update={"status": status})

    async def write_capture(self, capture: ReplayCapture, status: ReplayCaptureStatus) -> ReplayCapture:
        """Write a capture's status if it differs; give the capture as it is then.

        Raises:
            Conflict: The object has changed since it was read; the next reconcile looks again.
        """
        patch = status_patch(capture.metadata.resource_version, capture.status, status)
        if patch is None:
            return capture
        answer = await self._patch(CAPTURES, capture.metadata, patch)
        await self._tell(CAPTURES, capture, status)
        return self._captures.put(answer) if answer else capture.model_copy(update={"status": status})

    async def _patch(self, type_: ResourceType, meta: ObjectMeta, patch: Json) -> Json | None:
        return await self._gateway.patch_status(type_, meta.namespace, meta.name, patch)

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
        kind = EventType.WARNING if is_true(status.conditions, STALLED) else EventType.NORMAL
        event = Event(kind, after.reason, after.message)
        log.info("%s %s: %s: %s", type_.kind, old.metadata.name, after.reason, after.message)
        try:
            await post_event(self._gateway, event, type_, old.metadata, self._clock())
        except ClusterError as error:
            log.warning("event %s for %s was not posted: %s", after.reason, old.metadata.name, error)
