"""What is not per object: the lists, the barrier after a start, the sweep for leaks, claims and fleet."""

from __future__ import annotations

import asyncio
import logging
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime, timedelta

from replay_operator.api.agent import Policy
from replay_operator.api.meta import find_condition
from replay_operator.api.replaybuffer import ReplayBuffer
from replay_operator.api.replaycapture import ReplayCapture
from replay_operator.cluster.gateway import ClusterError, KubernetesGateway
from replay_operator.cluster.jobs import CAPTURE_UID_LABEL
from replay_operator.cluster.removal_jobs import is_removal_job
from replay_operator.cluster.resources import BUFFERS, CAPTURES, JOBS
from replay_operator.cluster.upload_jobs import is_upload_job
from replay_operator.controller.capacity import CapacityKeeper
from replay_operator.controller.capture_line import CaptureLine
from replay_operator.controller.egresses import EgressBook
from replay_operator.controller.jobs import JobStore
from replay_operator.controller.keys import Key, Kind
from replay_operator.controller.queue import KeyedQueue
from replay_operator.controller.store import ObjectStore
from replay_operator.domain.policy import build_policy
from replay_operator.domain.status_contract import RECORDING, RESTARTS, BufferState
from replay_operator.livekit.poller import SnapshotPoller
from replay_operator.metrics import OperatorMetrics

RELIST = timedelta(minutes=10)
LOOK_SECONDS = 5.0

RELIST_GAP = timedelta(seconds=10)
"""Least time between two lists, however often watches break."""

LISTS_AFTER_A_BREAK = 2
"""What has come since the list before is found gone by the second one only: see `ObjectStore.replace_all`."""

_NEEDS_WORKER = frozenset(
    {
        BufferState.RECORDING,
        BufferState.STARTING,
        BufferState.WAITING_FOR_CAPACITY,
        BufferState.WAITING_FOR_STORAGE,
        BufferState.UNCERTAIN,
        *RESTARTS,
    }
)

log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class InstallSettings:
    """What an install is made of."""

    namespace: str
    epoch: int
    default_segment_seconds: int


class InstallReconciler:
    """Looks at the whole every few seconds.

    Until both kinds are listed and LiveKit has answered once, nothing is swept, no policy is sent and the
    fleet is not made smaller: a restart must not act on a partial view (DESIGN §5).
    """

    def __init__(
        self,
        *,
        settings: InstallSettings,
        gateway: KubernetesGateway,
        buffers: ObjectStore[ReplayBuffer],
        captures: ObjectStore[ReplayCapture],
        jobs: JobStore,
        upload_jobs: JobStore,
        line: CaptureLine,
        look_at_uploads: Callable[[], None],
        capacity: CapacityKeeper,
        queue: KeyedQueue[Key],
        egresses: EgressBook,
        poller: SnapshotPoller,
        metrics: OperatorMetrics,
        clock: Callable[[], datetime],
        on_listed: Callable[[], None] = lambda: None,
    ) -> None:
        self._settings = settings
        self._gateway = gateway
        self._buffers = buffers
        self._captures = captures
        self._jobs = jobs
        self._upload_jobs = upload_jobs
        self._line = line
        self._look_at_uploads = look_at_uploads
        self._capacity = capacity
        self._queue = queue
        self._egresses = egresses
        self._poller = poller
        self._metrics = metrics
        self._clock = clock
        self._on_listed = on_listed
        self._listed_at: datetime | None = None
        self._lists_due = 0
        self._counted: Counter[str] = Counter()
        self._counted_at = -1
        self._policy: tuple[tuple[int, int], Policy] | None = None

    @property
    def is_whole(self) -> bool:
        """Whether the view is complete enough to act on what is *not* there."""
        return self._listed_at is not None and self._poller.snapshot.complete

    def is_listed(self) -> bool:
        """Tell whether all objects of both kinds, and all capture Jobs, are known."""
        return self._listed_at is not None

    def watch_began_anew(self) -> None:
        """Note that a watch was broken (410) and has listed its objects again.

        It tells what is there then, and never what has gone meanwhile.
        """
        self._lists_due = LISTS_AFTER_A_BREAK

    def policy(self) -> Policy | None:
        """Give the policy of now, or None while the view is partial."""
        if self._listed_at is None:
            return None
        changes = (self._buffers.changes, self._captures.changes)
        if self._policy is None or self._policy[0] != changes:
            policy = build_policy(
                self._buffers,
                self._captures,
                epoch=self._settings.epoch,
                default_segment_seconds=self._settings.default_segment_seconds,
                names_all_buffers=not self._buffers.unreadable,
                names_all_captures=not self._captures.unreadable,
            )
            self._policy = (changes, policy)
        return self._policy[1]

    async def run(self) -> None:
        """Look after the install for ever."""
        while True:
            try:
                await self.reconcile()
            except ClusterError as error:
                log.warning("the install could not be looked after now: %s", error)
            await asyncio.sleep(LOOK_SECONDS)

    async def reconcile(self) -> None:
        """Look once.

        Raises:
            ClusterError: The API server did not do what was asked; the next look tries again.
        """
        if self._must_list():
            await self._relist()
        self._count()
        self._line.look()
        self._look_at_uploads()
        if self.is_whole:
            self._sweep()
        await self._capacity.look(self._recordings_to_carry(), is_whole=self.is_whole)

    def _must_list(self) -> bool:
        if self._listed_at is None:
            return True
        age = self._clock() - self._listed_at
        return age >= (RELIST_GAP if self._lists_due else RELIST)

    async def _relist(self) -> None:
        namespace = self._settings.namespace
        for kind, type_, store in (
            (Kind.BUFFER, BUFFERS, self._buffers),
            (Kind.CAPTURE, CAPTURES, self._captures),
        ):
            for uid in await store.replace_all(self._gateway.pages(type_, namespace)):
                self._queue.add(Key(kind, uid), urgent=True)
        jobs = await self._gateway.list(JOBS, namespace, labels=CAPTURE_UID_LABEL)
        of_captures = (job for job in jobs if not is_upload_job(job) and not is_removal_job(job))
        self._jobs.replace_all(tuple(of_captures))
        self._upload_jobs.replace_all(tuple(job for job in jobs if is_upload_job(job)))
        for buffer in self._buffers:
            self._queue.add(Key(Kind.BUFFER, buffer.metadata.uid))
        for capture in self._captures:
            self._queue.add(Key(Kind.CAPTURE, capture.metadata.uid))
        self._listed_at = self._clock()
        self._lists_due = max(0, self._lists_due - 1)
        self._on_listed()

    def _sweep(self) -> None:
        """Queue the clean-up of every buffer that LiveKit records and nobody has: a crash left it over."""
        for uid in self._egresses.all_buffers() - self._buffers.unreadable:
            if self._buffers.get(uid) is None:
                self._queue.add(Key(Kind.BUFFER, uid), urgent=True)

    def _recordings_to_carry(self) -> int:
        """Count what needs a place on a worker; a buffer that is being handed over needs two."""
        wanted = sum(self._counted[state] for state in _NEEDS_WORKER)
        left_alone = len(self._egresses.all_buffers() & self._buffers.unreadable)
        return wanted + left_alone + self._egresses.second_runs()

    def _count(self) -> None:
        if self._counted_at == self._buffers.changes:
            return
        self._counted_at = self._buffers.changes
        states = Counter(_state(buffer) for buffer in self._buffers)
        for state in self._counted.keys() - states.keys():
            states[state] = 0  # shown as none from now on, instead of as the last number
        for state, number in states.items():
            self._metrics.buffers.labels(state=state).set(number)
        self._counted = states
        self._metrics.active_sessions.set(states[BufferState.RECORDING])


def _state(buffer: ReplayBuffer) -> str:
    condition = find_condition(buffer.status.conditions, RECORDING)
    return condition.reason if condition else "New"
