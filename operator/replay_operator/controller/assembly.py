"""The operator put together: every object is made here and handed to who needs it."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from datetime import UTC, datetime, timedelta

from replay_operator.api.agent import Coverage
from replay_operator.api.replaybuffer import ReplayBuffer
from replay_operator.api.replaycapture import ReplayCapture
from replay_operator.catalogue.connection import Catalogue
from replay_operator.cluster.gateway import KubernetesGateway
from replay_operator.controller.agent_client import AgentClient
from replay_operator.controller.buffers import BufferReconciler, BufferSettings
from replay_operator.controller.calm import Calm
from replay_operator.controller.capacity import CapacityKeeper
from replay_operator.controller.capture_figures import CaptureFigures
from replay_operator.controller.capture_line import CaptureLine
from replay_operator.controller.capture_retirement import CaptureRetirement, RetirementSettings
from replay_operator.controller.captures import CaptureReconciler, CaptureSettings
from replay_operator.controller.catalogue_parts import build_catalogue_parts
from replay_operator.controller.coverage import CoverageWatch
from replay_operator.controller.coverage_figures import CoverageFigures
from replay_operator.controller.egresses import EgressBook
from replay_operator.controller.flushes import FlushBook
from replay_operator.controller.free_space import FreeSpaceNews
from replay_operator.controller.handlers import Inbox
from replay_operator.controller.install import InstallReconciler
from replay_operator.controller.jobs import JobStore
from replay_operator.controller.keys import Key, Kind
from replay_operator.controller.leader_only import LeaderOnlyLiveKit
from replay_operator.controller.measured_livekit import MeasuredLiveKit
from replay_operator.controller.notify import Notifier
from replay_operator.controller.operator import Operator
from replay_operator.controller.part_settings import (
    capacity_settings,
    install_settings,
    job_settings,
)
from replay_operator.controller.policy import PolicyPublisher
from replay_operator.controller.queue import KeyedQueue
from replay_operator.controller.rooms import RoomLookup
from replay_operator.controller.store import ObjectStore
from replay_operator.controller.upload_parts import build_bucket_parts
from replay_operator.controller.writer import StatusWriter
from replay_operator.domain.capture_state import wants_coverage
from replay_operator.domain.fleet import FleetPod, WorkerView
from replay_operator.domain.notification import News
from replay_operator.livekit.poller import Snapshot, SnapshotPoller
from replay_operator.livekit.port import LiveKit
from replay_operator.livekit.workers import FleetWatch
from replay_operator.metrics import OperatorMetrics
from replay_operator.settings import OperatorSettings, UploadSettings

AskWorker = Callable[[FleetPod], Awaitable[WorkerView | None]]


def utc_now() -> datetime:
    """Give the time. The only clock of the operator: everything else gets it handed in."""
    return datetime.now(UTC)


def build_operator(
    settings: OperatorSettings,
    *,
    gateway: KubernetesGateway,
    livekit: LiveKit,
    agent: AgentClient,
    ask_worker: AskWorker,
    metrics: OperatorMetrics,
    epoch: int,
    may_act: Callable[[], bool],
    send_news: Callable[[News], Awaitable[None]] | None = None,
    catalogue: Catalogue | None = None,
    uploads: UploadSettings | None = None,
    clock: Callable[[], datetime] = utc_now,
) -> Operator:
    """Put the parts together.

    Args:
        settings: What the install decides.
        gateway: The Kubernetes API.
        livekit: LiveKit.
        agent: The agent of the buffer volume.
        ask_worker: Asks a fleet pod what it holds.
        metrics: Where figures are counted.
        epoch: Of this leader; it grows with each.
        may_act: Whether this process still leads.
        send_news: Tells somebody the outcome of a capture; None: nobody is told.
        catalogue: Where sessions and clips are recorded; None: nowhere.
        uploads: Which bucket clips go to; None: none.
        clock: Gives the time.
    """
    livekit = LeaderOnlyLiveKit(MeasuredLiveKit(livekit, metrics), may_act)
    queue: KeyedQueue[Key] = KeyedQueue()
    fleet = FleetWatch(
        ask_worker,
        lambda ids: queue_buffers(egresses.buffers_of(ids)),
        on_places=lambda number: queue_buffers(buffers.places_came_free(number)),
        per_worker=settings.buffers_per_worker,
    )
    inbox = Inbox(
        ObjectStore(ReplayBuffer),
        ObjectStore(ReplayCapture),
        JobStore(),
        JobStore(),
        fleet,
        queue,
        on_new_watch=lambda: install.watch_began_anew(),  # noqa: PLW0108 - it is made below
    )
    writer = StatusWriter(gateway, inbox.buffers, inbox.captures, clock)

    def queue_buffers(uids: frozenset[str]) -> None:
        for uid in uids:
            queue.add(Key(Kind.BUFFER, uid))

    def queue_captures(uids: frozenset[str]) -> None:
        for uid in uids:
            queue.add(Key(Kind.CAPTURE, uid))

    def coverage_changed(paths: frozenset[str]) -> None:
        queue_buffers(frozenset(path.rpartition("/")[2] for path in paths))

    def coverage_heard() -> None:
        now = clock()
        capture_figures.measure(now)
        queue_captures(frozenset(c.metadata.uid for c in inbox.captures if wants_coverage(c, now)))

    def snapshot() -> Snapshot:
        return poller.snapshot

    egresses = EgressBook(namespace=settings.namespace, root=settings.buffer_root, snapshot=snapshot)
    poller = SnapshotPoller(
        livekit,
        lambda ids: queue_buffers(egresses.buffers_of(ids)),
        clock,
        interval_seconds=settings.livekit_poll_seconds,
    )
    free_space = FreeSpaceNews(
        tell=writer.tell,
        gateway=gateway,
        buffers=inbox.buffers,
        namespace=settings.namespace,
        claim=settings.buffer_claim,
        clock=clock,
    )

    def word_heard(word: Coverage) -> None:
        free_space.take(word)
        coverage_figures.heard(word)

    coverage = CoverageWatch(
        agent,
        interval=timedelta(seconds=settings.coverage_poll_seconds),
        clock=clock,
        on_change=coverage_changed,
        on_answer=coverage_heard,
        on_word=word_heard,
    )
    capture_figures = CaptureFigures(coverage.of, metrics)
    coverage_figures = CoverageFigures(
        buffers=inbox.buffers,
        coverage_of=coverage.of,
        segment_seconds=settings.segment_duration_seconds,
        metrics=metrics,
    )
    line = CaptureLine(
        places=settings.max_capture_jobs,
        captures=inbox.captures,
        jobs=inbox.jobs,
        wake=queue_captures,
        metrics=metrics,
    )
    calm = Calm(coverage, clock)
    capacity = CapacityKeeper(
        capacity_settings(settings),
        gateway=gateway,
        buffers=inbox.buffers,
        workers=fleet,
        metrics=metrics,
        clock=clock,
    )
    bucket = build_bucket_parts(
        settings,
        uploads,
        inbox=inbox,
        gateway=gateway,
        agent=agent,
        writer=writer,
        wake=queue_captures,
        metrics=metrics,
        clock=clock,
    )
    recorded = build_catalogue_parts(
        settings,
        catalogue,
        buffers=inbox.buffers,
        captures=inbox.captures,
        admission=capacity.admission,
        agent=agent,
        objects=bucket.retired,
        metrics=metrics,
        is_listed=lambda: install.is_listed(),  # noqa: PLW0108 - it is made below
        may_act=may_act,
        clock=clock,
    )
    install = InstallReconciler(
        settings=install_settings(settings, epoch=epoch),
        gateway=gateway,
        buffers=inbox.buffers,
        captures=inbox.captures,
        jobs=inbox.jobs,
        upload_jobs=inbox.upload_jobs,
        line=line,
        look_at_uploads=bucket.look,
        capacity=capacity,
        queue=queue,
        egresses=egresses,
        poller=poller,
        metrics=metrics,
        clock=clock,
        on_listed=recorded.resync,
    )
    policy = PolicyPublisher(agent, build=install.policy, clock=clock, on_pinned=queue_captures)
    rooms = RoomLookup(livekit, clock)
    flushes = FlushBook(lambda uid: queue.add(Key(Kind.BUFFER, uid)))
    buffers = BufferReconciler(
        settings=BufferSettings(
            namespace=settings.namespace,
            claim=settings.buffer_claim,
            root=settings.buffer_root,
            segment_seconds=settings.segment_duration_seconds,
            max_run_age=timedelta(seconds=settings.max_run_age_seconds),
        ),
        buffers=inbox.buffers,
        livekit=livekit,
        poller=poller,
        egresses=egresses,
        fleet=fleet,
        rooms=rooms,
        agent=agent,
        coverage=coverage,
        admission=capacity.admission,
        why_no_volume=capacity.buffer_claim.why_no_volume,
        writer=writer,
        flushes=flushes,
        calm=calm,
        is_listed=install.is_listed,
        clock=clock,
    )
    notifier = send_news and Notifier(
        send_news, captures=inbox.captures, writer=writer, metrics=metrics, may_act=may_act, clock=clock
    )
    retirement = CaptureRetirement(
        settings=RetirementSettings(
            namespace=settings.namespace,
            job_keep_seconds=settings.capture_job_keep_seconds,
            clip_deletion_timeout=timedelta(seconds=settings.clip_deletion_timeout_seconds),
        ),
        gateway=gateway,
        agent=agent,
        uploads=bucket.uploads,
        removal=bucket.removal,
        captures=inbox.captures,
        jobs=inbox.jobs,
        writer=writer,
        notifier=notifier,
        clock=clock,
    )
    captures = CaptureReconciler(
        settings=CaptureSettings(
            namespace=settings.namespace,
            segment_seconds=settings.segment_duration_seconds,
            job=job_settings(settings),
            job_lead=timedelta(seconds=settings.capture_lead_seconds),
            notifies=notifier is not None,
        ),
        buffers=inbox.buffers,
        captures=inbox.captures,
        jobs=inbox.jobs,
        gateway=gateway,
        policy=policy,
        coverage=coverage,
        writer=writer,
        flushes=flushes,
        line=line,
        retirement=retirement,
        uploads=bucket.uploads,
        quotas=recorded.quotas,
        figures=capture_figures,
        is_listed=install.is_listed,
        clock=clock,
    )
    return Operator(
        settings=settings,
        queue=queue,
        inbox=inbox,
        buffers=buffers,
        calm=calm,
        flushes=flushes,
        captures=captures,
        install=install,
        policy=policy,
        coverage=coverage,
        free_space=free_space,
        poller=poller,
        fleet=fleet,
        rooms=rooms,
        notifier=notifier,
        catalogue=recorded,
        metrics=metrics,
        may_act=may_act,
    )
