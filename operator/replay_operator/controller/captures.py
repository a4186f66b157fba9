"""One reconcile of a ReplayCapture: observe, decide, act, write status if it differs."""

from __future__ import annotations

import logging
from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

from replay_operator.api.capture_job import CaptureRequest
from replay_operator.api.meta import find_condition
from replay_operator.api.replaybuffer import ReplayBuffer
from replay_operator.api.replaycapture import Output, ReplayCapture, ResolvedRange
from replay_operator.cluster.gateway import Conflict, KubernetesGateway
from replay_operator.cluster.job_pods import ARCHIVE_MOUNT
from replay_operator.cluster.jobs import (
    BUFFER_MOUNT,
    JobPhase,
    JobSettings,
    job_body,
    view_job,
)
from replay_operator.cluster.resources import JOBS
from replay_operator.controller.capture_figures import CaptureFigures
from replay_operator.controller.capture_line import CaptureLine
from replay_operator.controller.capture_retirement import CaptureRetirement
from replay_operator.controller.coverage import CoverageWatch
from replay_operator.controller.flushes import FlushBook
from replay_operator.controller.jobs import JobStore
from replay_operator.controller.policy import PolicyPublisher
from replay_operator.controller.quota_book import QuotaBook
from replay_operator.controller.store import ObjectStore
from replay_operator.controller.uploads import ClipUploads
from replay_operator.controller.writer import StatusWriter
from replay_operator.domain.capture_end import clip_path_of
from replay_operator.domain.capture_observation import CaptureObservation, JobOutcome
from replay_operator.domain.capture_schedule import await_until
from replay_operator.domain.capture_state import is_finished
from replay_operator.domain.captures import (
    decide_capture,
)
from replay_operator.domain.layout import buffer_path
from replay_operator.domain.observation import CoverageView
from replay_operator.domain.quotas import QuotaRefusal
from replay_operator.domain.status_contract import FINAL, RECORDING, BufferState

log = logging.getLogger(__name__)

_OUTCOME = {
    JobPhase.ABSENT: JobOutcome.NONE,
    JobPhase.RUNNING: JobOutcome.RUNNING,
    JobPhase.SUCCEEDED: JobOutcome.ENDED,
    JobPhase.FAILED: JobOutcome.FAILED,
}

_NOTHING_MORE_COMES = frozenset(
    {
        BufferState.SOURCE_GONE,
        BufferState.SUSPENDED,
        BufferState.WAITING_FOR_SOURCE,
        BufferState.REFUSED,
        *FINAL,
    }
)


@dataclass(frozen=True, slots=True)
class CaptureSettings:
    """What the install decides about every capture."""

    namespace: str
    segment_seconds: int
    job: JobSettings
    job_lead: timedelta
    notifies: bool


class CaptureReconciler:
    """Gathers what is known about a capture and carries out what the domain decides."""

    def __init__(
        self,
        *,
        settings: CaptureSettings,
        buffers: ObjectStore[ReplayBuffer],
        captures: ObjectStore[ReplayCapture],
        jobs: JobStore,
        gateway: KubernetesGateway,
        policy: PolicyPublisher,
        coverage: CoverageWatch,
        writer: StatusWriter,
        flushes: FlushBook,
        line: CaptureLine,
        retirement: CaptureRetirement,
        uploads: ClipUploads | None,
        quotas: QuotaBook,
        figures: CaptureFigures,
        is_listed: Callable[[], bool],
        clock: Callable[[], datetime],
    ) -> None:
        self._settings = settings
        self._buffers = buffers
        self._captures = captures
        self._jobs = jobs
        self._gateway = gateway
        self._policy = policy
        self._coverage = coverage
        self._writer = writer
        self._flushes = flushes
        self._line = line
        self._retirement = retirement
        self._uploads = uploads
        self._quotas = quotas
        self._figures = figures
        self._is_listed = is_listed
        self._clock = clock

    async def reconcile(self, uid: str) -> float | None:
        """Bring one capture forward.

        Args:
            uid: The capture's uid. One that is gone needs nothing: its Job goes with it, its pin with the
                next policy.

        Returns:
            Seconds until it must be looked at again, or None.
        """
        if not self._is_listed():
            return None  # an unknown buffer is not a missing one; the list queues every capture
        capture = self._captures.get(uid)
        if capture is None or capture.metadata.deletion_timestamp is not None:
            self._flushes.drop(uid)
            self._policy.poke()
            self._line.look()
            return None if capture is None else await self._retirement.delete(capture)
        capture = await self._retirement.settle_finalizer(capture)
        if is_finished(capture):
            if self._jobs.of_capture(uid):
                self._line.look()  # its Job may have ended only now: extras come after the clip is ready
            return await self._look_after(capture)
        return await self._go_on(capture)

    async def _look_after(self, capture: ReplayCapture) -> float | None:
        if self._uploads is None:
            return await self._retirement.look_after(capture)
        # First: a capture does not expire while its status says that its clip is on its way.
        capture, upload_due = await self._uploads.look_after(capture)
        delays = (upload_due, await self._retirement.look_after(capture))
        return min((delay for delay in delays if delay is not None), default=None)

    async def _go_on(self, capture: ReplayCapture) -> float | None:
        seen = await self._observe(capture)
        try:
            decision = decide_capture(capture, seen, self._clock())
            if decision.create_job is not None:
                await self._create_job(capture, decision.create_job, await_until(capture, seen))
            before, capture = capture, await self._writer.write_capture(capture, decision.status)
        finally:
            self._line.started(capture.metadata.uid)
        self._figures.count(before, decision, seen, self._clock())
        self._tell_buffer(capture, flush=decision.flush)
        self._policy.poke()
        if is_finished(capture):
            self._line.look()
            return await self._look_after(capture)
        if decision.recheck is None:
            return None
        return max(0.0, (decision.recheck - self._clock()).total_seconds())

    def _tell_buffer(self, capture: ReplayCapture, *, flush: bool) -> None:
        source, wanted = capture.status.source, capture.status.range
        if flush and source is not None and wanted is not None:
            self._flushes.ask(capture.metadata.uid, source.buffer_uid, wanted.end)
        else:
            self._flushes.drop(capture.metadata.uid)

    async def _observe(self, capture: ReplayCapture) -> CaptureObservation:
        source = capture.status.source
        buffer = (
            self._buffers.get(source.buffer_uid)
            if source
            else self._buffers.by_name(capture.spec.buffer_ref.name)
        )
        job = await self._job(capture)
        view = await view_job(self._gateway, self._settings.namespace, job, capture.metadata.uid)
        segment_seconds = buffer.status.segment_seconds if buffer else None
        path = (
            source.path if source else buffer and buffer_path(capture.metadata.namespace, buffer.metadata.uid)
        )
        return CaptureObservation(
            buffer=buffer,
            coverage=self._coverage.of(path) if path else CoverageView(),
            segment_seconds=segment_seconds or self._settings.segment_seconds,
            buffer_recording=buffer is not None and _can_grow(buffer),
            pinned=self._policy.is_pinned(capture.metadata.uid),
            job=_OUTCOME[view.phase],
            result=view.result or self._jobs.told_clip(capture.metadata.uid),
            job_message=view.message,
            job_lead=self._settings.job_lead,
            admit=await self._admission(capture, buffer),
            rounds_before=lambda: self._line.take_place(capture.metadata.uid),
            notify=self._settings.notifies,
        )

    async def _admission(
        self, capture: ReplayCapture, buffer: ReplayBuffer | None
    ) -> Callable[[ResolvedRange], QuotaRefusal | None]:
        if capture.status.range is not None or buffer is None or buffer.spec.owner is None:
            return lambda _: None
        await self._quotas.look_up(buffer.spec.owner)
        return lambda wanted: self._quotas.admit(capture, buffer, wanted)

    async def _job(self, capture: ReplayCapture) -> dict[str, Any] | None:
        if capture.status.job is None:
            return None
        name = capture.status.job.name
        # After a restart the watch may not have told yet: "no Job" must not be guessed.
        return self._jobs.get(name) or await self._gateway.get(JOBS, self._settings.namespace, name)

    async def _create_job(self, capture: ReplayCapture, attempt: int, wait_until: datetime | None) -> None:
        request = self._request(capture, attempt, wait_until)
        body = job_body(capture.metadata, request, self._settings.job)
        try:
            self._jobs.put(await self._gateway.create(JOBS, self._settings.namespace, body))
        except Conflict:
            log.info("Job %s exists already: going on with it", body["metadata"]["name"])

    def _request(self, capture: ReplayCapture, attempt: int, wait_until: datetime | None) -> CaptureRequest:
        source, wanted, clip_path = capture.status.source, capture.status.range, clip_path_of(capture)
        if source is None or wanted is None or clip_path is None:
            raise ValueError(
                f"ReplayCapture {capture.metadata.name}: a Job was wanted before its range was known"
            )
        output = capture.spec.output or Output()
        return CaptureRequest(
            capture_uid=capture.metadata.uid,
            attempt=attempt,
            buffer_directory=f"{BUFFER_MOUNT}/{source.path}",
            start=wanted.start,
            end=wanted.end,
            wait_until=wait_until,
            when_short=capture.spec.when_short,
            holes=capture.spec.holes,
            trim=capture.spec.trim,
            archive_directory=ARCHIVE_MOUNT,
            clip_path=clip_path,
            title=output.title,
            room=source.room,
            buffer=capture.spec.buffer_ref.name,
            thumbnail=output.thumbnail,
        )


def _can_grow(buffer: ReplayBuffer) -> bool:
    # A buffer that starts, or of which nobody can say whether it records, has segments on their way as well.
    recording = find_condition(buffer.status.conditions, RECORDING)
    return recording is None or recording.reason not in _NOTHING_MORE_COMES
