"""The parts of a running operator, and what happens between them."""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass

from replay_operator.cluster.gateway import Conflict
from replay_operator.controller.buffers import BufferReconciler
from replay_operator.controller.calm import Calm
from replay_operator.controller.captures import CaptureReconciler
from replay_operator.controller.catalogue_parts import CatalogueParts
from replay_operator.controller.coverage import CoverageWatch
from replay_operator.controller.flushes import FlushBook
from replay_operator.controller.free_space import FreeSpaceNews
from replay_operator.controller.handlers import Inbox
from replay_operator.controller.install import InstallReconciler
from replay_operator.controller.keys import Key, Kind
from replay_operator.controller.notify import Notifier
from replay_operator.controller.policy import PolicyPublisher
from replay_operator.controller.queue import KeyedQueue
from replay_operator.controller.rooms import RoomLookup
from replay_operator.livekit.poller import SnapshotPoller
from replay_operator.livekit.webhooks import Hint
from replay_operator.livekit.workers import FleetWatch
from replay_operator.metrics import OperatorMetrics
from replay_operator.settings import OperatorSettings

CONFLICT_SECONDS = 0.5
"""Until an object is looked at again that somebody changed meanwhile."""


@dataclass(frozen=True)
class Operator:
    """The parts of a running operator."""

    settings: OperatorSettings
    queue: KeyedQueue[Key]
    inbox: Inbox
    buffers: BufferReconciler
    calm: Calm
    flushes: FlushBook
    captures: CaptureReconciler
    install: InstallReconciler
    policy: PolicyPublisher
    coverage: CoverageWatch
    free_space: FreeSpaceNews
    poller: SnapshotPoller
    fleet: FleetWatch
    rooms: RoomLookup
    notifier: Notifier | None
    catalogue: CatalogueParts
    metrics: OperatorMetrics
    may_act: Callable[[], bool]

    def take_hint(self, hint: Hint) -> None:
        """Look where a webhook points. It only wakes: a lost or forged one costs nothing but time."""
        for room in hint.rooms:
            self.rooms.note_change(room)
        for buffer in self.inbox.buffers:
            if buffer.spec.room in hint.rooms:
                self.queue.add(Key(Kind.BUFFER, buffer.metadata.uid))
        if hint.egress_ids:
            self.poller.poke()
        if hint.worker_suspected_dead:
            self.fleet.poke()

    def postponed(self, key: Key) -> float | None:
        """Give by how many seconds a re-check that is due has become too early, or None."""
        return self.calm.seconds(key.uid) if key.kind is Kind.BUFFER else None

    async def reconcile(self, key: Key) -> float | None:
        """Reconcile one object, counted and timed; a deposed leader does nothing more."""
        if not self.may_act():
            return None
        begun = time.monotonic()
        result = "error"
        try:
            reconciler = self.buffers if key.kind is Kind.BUFFER else self.captures
            delay = await reconciler.reconcile(key.uid)
            result = "ok"
        except Conflict:
            # Somebody changed the object since it was read; its event is on the way.
            result, delay = "conflict", CONFLICT_SECONDS
        finally:
            self.metrics.reconciles.labels(kind=key.kind, result=result).inc()
            self.metrics.reconcile_seconds.labels(kind=key.kind).observe(time.monotonic() - begun)
        return delay
