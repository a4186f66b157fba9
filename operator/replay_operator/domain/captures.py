"""The life of a ReplayCapture: one pure decision from what is seen."""

from __future__ import annotations

from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from enum import StrEnum

from replay_operator.api.capture_job import EXIT_CODES, ExitCode
from replay_operator.api.meta import ObjectMeta
from replay_operator.api.replaycapture import (
    CaptureSource,
    Clip,
    JobStatus,
    Notification,
    NotificationState,
    ReplayCapture,
    ReplayCaptureStatus,
)
from replay_operator.domain.capture_observation import CaptureObservation, JobOutcome
from replay_operator.domain.capture_schedule import expected_ready, job_due, promised_after, wants_flush
from replay_operator.domain.capture_state import state_of
from replay_operator.domain.capture_timing import (
    resolve_range,
)
from replay_operator.domain.layout import buffer_path
from replay_operator.domain.renewal import FLUSH_LEAD
from replay_operator.domain.status_contract import (
    CAPTURE_CONTRACT,
    CaptureState,
    conditions_of,
)

BUFFER_PATIENCE = timedelta(minutes=5)
MAX_FUTURE = timedelta(hours=4)
MAX_ATTEMPTS = 3

QUEUE_RECHECK = timedelta(seconds=60)
"""Who waits in the queue is woken when its place is free; this is for news that got lost."""


class Refusal(StrEnum):
    """Why the operator gives a capture up. With CaptureErrorReason: the closed list of docs/captures.md."""

    BUFFER_NOT_FOUND = "BufferNotFound"
    END_TOO_FAR = "EndTooFar"
    JOB_FAILED = "JobFailed"
    QUOTA_EXCEEDED = "QuotaExceeded"


_CUTTING = "The Job waits for the last instant where it is not on disk yet, and cuts the clip."


@dataclass(frozen=True, slots=True)
class CaptureDecision:
    """What to do, and the status to write.

    `create_job` is the attempt to make a Job for. `flush` asks the buffer to bring the last instant to the
    disk.
    """

    status: ReplayCaptureStatus
    state: CaptureState
    create_job: int | None = None
    recheck: datetime | None = None
    flush: bool = False


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
    if capture.status.source is None or capture.status.range is None:
        return _resolve(capture, seen, now)
    decision = _decide_resolved(capture, seen, now)
    if not wants_flush(capture, capture.status.range, seen):
        return decision
    begin = capture.status.range.end - FLUSH_LEAD
    if now >= begin:
        return replace(decision, flush=True)
    return replace(decision, recheck=min(decision.recheck or begin, begin))


def _decide_resolved(capture: ReplayCapture, seen: CaptureObservation, now: datetime) -> CaptureDecision:
    if seen.result is not None or seen.job in (JobOutcome.ENDED, JobOutcome.FAILED):
        return _finish(capture, seen, now)
    if capture.status.job is not None:
        if seen.job is JobOutcome.NONE:
            return _cut(capture, capture.status.job.attempts, now)
        return _say(capture, CaptureState.CUTTING, _CUTTING, now)
    return _start(capture, seen, now) if seen.pinned else _await_pin(capture, now)


def _await_pin(capture: ReplayCapture, now: datetime) -> CaptureDecision:
    state = state_of(capture)
    if state in (CaptureState.WAITING_FOR_TAIL, CaptureState.QUEUED):
        # It was pinned when this was written; this process has only not sent its first policy yet.
        return CaptureDecision(status=capture.status, state=state)
    return _say(capture, CaptureState.WAITING_FOR_PIN, "Waiting for the agent to hold the segments.", now)


def _resolve(capture: ReplayCapture, seen: CaptureObservation, now: datetime) -> CaptureDecision:
    name = capture.spec.buffer_ref.name
    wanted = resolve_range(capture)
    if wanted.end > capture.metadata.creation_timestamp + MAX_FUTURE:
        return _fail(
            capture,
            seen,
            Refusal.END_TOO_FAR,
            "The range ends more than four hours after creation: ask later.",
            now,
        )
    if seen.buffer is None:
        patience_ends = capture.metadata.creation_timestamp + BUFFER_PATIENCE
        if now >= patience_ends:
            return _fail(
                capture,
                seen,
                Refusal.BUFFER_NOT_FOUND,
                f"There is no ReplayBuffer {name!r} in this namespace.",
                now,
            )
        waiting = _say(
            capture, CaptureState.WAITING_FOR_BUFFER, f"ReplayBuffer {name!r} does not exist (yet).", now
        )
        return replace(waiting, recheck=patience_ends)
    meta, owner = seen.buffer.metadata, seen.buffer.spec.owner
    source = CaptureSource(
        buffer_uid=meta.uid,
        path=buffer_path(meta.namespace, meta.uid),
        owner=owner,
        room=seen.buffer.spec.room,
    )
    known = _with(capture, source=source)
    refusal = seen.admit(wanted)
    if refusal is not None:
        # It says whose it is, for the catalogue, and has no range: nothing is held for it.
        return _fail(known, seen, Refusal.QUOTA_EXCEEDED, refusal.message(owner or ""), now)
    known = _with(known, range=wanted, expected_ready_time=expected_ready(capture, wanted, seen, now))
    said = _say(
        known,
        CaptureState.WAITING_FOR_PIN,
        "The range is resolved; the agent is told to hold it.",
        now,
    )
    return replace(said, recheck=now)


def _with(capture: ReplayCapture, **status: object) -> ReplayCapture:
    return capture.model_copy(update={"status": capture.status.model_copy(update=status)})


def _start(capture: ReplayCapture, seen: CaptureObservation, now: datetime) -> CaptureDecision:
    due = job_due(capture, seen)
    if now < due:
        waiting = _say(
            capture, CaptureState.WAITING_FOR_TAIL, "The last instant is not on the buffer volume yet.", now
        )
        return replace(waiting, recheck=due)
    queued = state_of(capture) is CaptureState.QUEUED
    if rounds := seen.rounds_before():
        # Promised once, and again with the place: the line moves without a write.
        known = capture if queued else promised_after(rounds, capture, seen, now)
        waiting = _say(
            known,
            CaptureState.QUEUED,
            "All places for capture Jobs are taken (REPLAY_MAX_CAPTURE_JOBS); the segments are held.",
            now,
        )
        return replace(waiting, recheck=now + QUEUE_RECHECK)
    return _cut(promised_after(0, capture, seen, now) if queued else capture, 1, now)


def _cut(capture: ReplayCapture, attempt: int, now: datetime) -> CaptureDecision:
    said = _say(capture, CaptureState.CUTTING, _CUTTING, now)
    job = JobStatus(name=job_name(capture.metadata, attempt), attempts=attempt)
    return replace(said, create_job=attempt, status=said.status.model_copy(update={"job": job}))


def _finish(capture: ReplayCapture, seen: CaptureObservation, now: datetime) -> CaptureDecision:
    result = seen.result
    if result is not None and result.clip is not None:
        return _ready(capture, seen, result.clip, now)
    attempts = capture.status.job.attempts if capture.status.job else 1
    if result is not None and result.error is not None:
        if EXIT_CODES[result.error.reason] is ExitCode.TRY_AGAIN and attempts < MAX_ATTEMPTS:
            return _cut(capture, attempts + 1, now)
        return _fail(capture, seen, result.error.reason.value, result.error.message, now)
    if attempts < MAX_ATTEMPTS:
        return _cut(capture, attempts + 1, now)  # a clip that was published is found again by its sidecar
    message = f"The Job ended {attempts} times without a result. {seen.job_message}".strip()
    return _fail(capture, seen, Refusal.JOB_FAILED, message, now)


def _ready(capture: ReplayCapture, seen: CaptureObservation, clip: Clip, now: datetime) -> CaptureDecision:
    said = _say(capture, CaptureState.READY, "The clip is complete, verified and on the archive volume.", now)
    return _with_news(replace(said, status=said.status.model_copy(update={"clip": clip})), seen)


def _fail(
    capture: ReplayCapture, seen: CaptureObservation, reason: str, message: str, now: datetime
) -> CaptureDecision:
    return _with_news(_say(capture, CaptureState.FAILED, message, now, reason=reason), seen)


def _with_news(decision: CaptureDecision, seen: CaptureObservation) -> CaptureDecision:
    """Note in the same write that the outcome has to be told: a crash must not lose it."""
    if not seen.notify:
        return decision
    news = Notification(state=NotificationState.PENDING)
    return replace(decision, status=decision.status.model_copy(update={"notification": news}))


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
