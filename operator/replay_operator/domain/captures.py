"""The life of a ReplayCapture: one pure decision from what is seen."""

from __future__ import annotations

from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from enum import StrEnum

from replay_operator.api.capture_job import CaptureErrorReason, CaptureResult
from replay_operator.api.meta import ObjectMeta
from replay_operator.api.replaybuffer import ReplayBuffer
from replay_operator.api.replaycapture import (
    CaptureSource,
    Clip,
    JobStatus,
    ReplayCapture,
    ReplayCaptureStatus,
    ResolvedRange,
    Tail,
)
from replay_operator.domain.layout import buffer_path
from replay_operator.domain.observation import CoverageView
from replay_operator.domain.status_contract import (
    CAPTURE_CONTRACT,
    READY,
    STALLED,
    CaptureState,
    conditions_of,
    is_true,
)

CREATION_ROUNDING = timedelta(seconds=1)
"""creationTimestamp is cut to whole seconds: the click was at most this much later."""

ARRIVAL_SLACK = timedelta(seconds=0.7)
"""A segment is on disk segmentSeconds + 0.65 s after its media ends (DESIGN §6)."""

TAIL_PATIENCE = timedelta(seconds=4)
"""How much later than promised the last segment may come before the clip is cut without it."""

CUTTING_TIME = timedelta(seconds=3)
FRAME_TOLERANCE = timedelta(milliseconds=50)
BUFFER_PATIENCE = timedelta(minutes=5)
MAX_FUTURE = timedelta(hours=4)
MAX_ATTEMPTS = 3


class JobOutcome(StrEnum):
    """How far the Job of the current attempt is."""

    NONE = "None"
    RUNNING = "Running"
    ENDED = "Ended"
    FAILED = "Failed"


@dataclass(frozen=True, slots=True)
class CaptureObservation:
    """Everything that a decision looks at.

    `buffer_recording` says whether more segments can still come. `job_message` is what Kubernetes says of a
    Job that failed without a result.
    """

    buffer: ReplayBuffer | None
    coverage: CoverageView
    segment_seconds: int
    buffer_recording: bool
    pinned: bool
    job: JobOutcome = JobOutcome.NONE
    result: CaptureResult | None = None
    job_message: str = ""


@dataclass(frozen=True, slots=True)
class CaptureDecision:
    """What to do, and the status to write. `create_job` is the attempt to make a Job for."""

    status: ReplayCaptureStatus
    state: CaptureState
    create_job: int | None = None
    recheck: datetime | None = None


def is_finished(capture: ReplayCapture) -> bool:
    """Tell whether nothing more will happen: the clip is ready, or never will be."""
    conditions = capture.status.conditions
    return is_true(conditions, READY) or is_true(conditions, STALLED)


def resolve_range(capture: ReplayCapture) -> ResolvedRange:
    """Turn the asked range into absolute time."""
    asked = capture.spec.range
    if asked.between is not None:
        return ResolvedRange(start=asked.between.start, end=asked.between.end)
    if asked.last is None:
        raise ValueError("a range holds exactly one of last and between: the schema refuses anything else")
    until = asked.last.until or capture.metadata.creation_timestamp + CREATION_ROUNDING
    return ResolvedRange(
        start=until - timedelta(seconds=asked.last.seconds),
        end=until + timedelta(seconds=asked.last.post_roll_seconds),
    )


def tail_due(end: datetime, segment_seconds: int) -> datetime:
    """Give when the segment that holds `end` is on disk at the latest, if all is well."""
    return end + timedelta(seconds=2 * segment_seconds) + ARRIVAL_SLACK


def job_name(meta: ObjectMeta, attempt: int) -> str:
    """Name the Job of a capture's attempt: found again after a crash, never mistaken for a namesake's."""
    return f"{meta.name[:45].rstrip('-.')}-{meta.uid[:8]}-{attempt}".replace(".", "-")


def decide_capture(capture: ReplayCapture, seen: CaptureObservation, now: datetime) -> CaptureDecision:
    """Decide what to do for a capture that is not finished.

    Args:
        capture: The resource, with the status that was written last.
        seen: What was observed.
        now: Time of the decision.
    """
    resolved = capture.status.source is not None and capture.status.range is not None
    if not resolved:
        return _resolve(capture, seen, now)
    if seen.result is not None or seen.job in (JobOutcome.ENDED, JobOutcome.FAILED):
        return _finish(capture, seen, now)
    if capture.status.job is not None:
        if seen.job is JobOutcome.NONE:
            return _cut(capture, capture.status.job.attempts, now)
        return _say(capture, CaptureState.CUTTING, "The Job cuts the clip.", now)
    if not seen.pinned:
        return _say(capture, CaptureState.WAITING_FOR_PIN, "Waiting for the agent to hold the segments.", now)
    return _await_tail(capture, seen, now)


def _resolve(capture: ReplayCapture, seen: CaptureObservation, now: datetime) -> CaptureDecision:
    name = capture.spec.buffer_ref.name
    wanted = resolve_range(capture)
    if wanted.end > capture.metadata.creation_timestamp + MAX_FUTURE:
        return _fail(
            capture, "EndTooFar", "The range ends more than four hours after creation: ask later.", now
        )
    if seen.buffer is None:
        patience_ends = capture.metadata.creation_timestamp + BUFFER_PATIENCE
        if now >= patience_ends:
            return _fail(
                capture, "BufferNotFound", f"There is no ReplayBuffer {name!r} in this namespace.", now
            )
        waiting = _say(
            capture, CaptureState.WAITING_FOR_BUFFER, f"ReplayBuffer {name!r} does not exist (yet).", now
        )
        return replace(waiting, recheck=patience_ends)
    meta = seen.buffer.metadata
    status = capture.status.model_copy(
        update={
            "source": CaptureSource(buffer_uid=meta.uid, path=buffer_path(meta.namespace, meta.uid)),
            "range": wanted,
            "expected_ready_time": _expected_ready(capture, wanted, seen, now),
        }
    )
    said = _say(
        capture.model_copy(update={"status": status}),
        CaptureState.WAITING_FOR_PIN,
        "The range is resolved; the agent is told to hold it.",
        now,
    )
    return replace(said, recheck=now)


def _expected_ready(
    capture: ReplayCapture, wanted: ResolvedRange, seen: CaptureObservation, now: datetime
) -> datetime:
    if capture.spec.tail is Tail.SKIP or not seen.buffer_recording:
        return max(now, wanted.end) + CUTTING_TIME
    return max(now, tail_due(wanted.end, seen.segment_seconds)) + CUTTING_TIME


def _await_tail(capture: ReplayCapture, seen: CaptureObservation, now: datetime) -> CaptureDecision:
    wanted = capture.status.range
    if wanted is None:
        raise ValueError("the range is resolved before its tail is awaited")
    if now < wanted.end:
        waiting = _say(capture, CaptureState.WAITING_FOR_TAIL, "The range has not ended yet.", now)
        return replace(waiting, recheck=wanted.end)
    limit = tail_due(wanted.end, seen.segment_seconds) + TAIL_PATIENCE
    covered = seen.coverage.known and any(
        run.newest >= wanted.end - FRAME_TOLERANCE for run in seen.coverage.runs.values()
    )
    if covered or capture.spec.tail is Tail.SKIP or not seen.buffer_recording or now >= limit:
        return _cut(capture, 1, now)
    waiting = _say(
        capture, CaptureState.WAITING_FOR_TAIL, "Waiting for the segment that holds the last instant.", now
    )
    return replace(waiting, recheck=limit)


def _cut(capture: ReplayCapture, attempt: int, now: datetime) -> CaptureDecision:
    said = _say(capture, CaptureState.CUTTING, "The Job cuts the clip.", now)
    job = JobStatus(name=job_name(capture.metadata, attempt), attempts=attempt)
    return replace(said, create_job=attempt, status=said.status.model_copy(update={"job": job}))


_RETRYABLE = (
    CaptureErrorReason.BUFFER_UNREADABLE,
    CaptureErrorReason.JOIN_FAILED,
    CaptureErrorReason.VERIFICATION_FAILED,
    CaptureErrorReason.INTERNAL,
)


def _finish(capture: ReplayCapture, seen: CaptureObservation, now: datetime) -> CaptureDecision:
    result = seen.result
    if result is not None and result.clip is not None:
        return _ready(capture, result.clip, now)
    attempts = capture.status.job.attempts if capture.status.job else 1
    if result is not None and result.error is not None:
        if result.error.reason in _RETRYABLE and attempts < MAX_ATTEMPTS:
            return _cut(capture, attempts + 1, now)
        return _fail(capture, result.error.reason.value, result.error.message, now)
    if attempts < MAX_ATTEMPTS:
        return _cut(capture, attempts + 1, now)  # a clip that was published is found again by its sidecar
    message = f"The Job ended {attempts} times without a result. {seen.job_message}".strip()
    return _fail(capture, "JobFailed", message, now)


def _ready(capture: ReplayCapture, clip: Clip, now: datetime) -> CaptureDecision:
    said = _say(capture, CaptureState.READY, "The clip is complete, verified and on the archive volume.", now)
    return replace(said, status=said.status.model_copy(update={"clip": clip}))


def _fail(capture: ReplayCapture, reason: str, message: str, now: datetime) -> CaptureDecision:
    return _say(capture, CaptureState.FAILED, message, now, reason=reason)


def _say(
    capture: ReplayCapture, state: CaptureState, message: str, now: datetime, *, reason: str | None = None
) -> CaptureDecision:
    generation = capture.metadata.generation
    status = capture.status.model_copy(
        update={
            "observed_generation": generation,
            "conditions": conditions_of(
                capture.status.conditions,
                CAPTURE_CONTRACT[state],
                reason=reason or state.value,
                message=message,
                generation=generation,
                now=now,
            ),
        }
    )
    return CaptureDecision(status=status, state=state)
