"""The way of a finished clip into the bucket: when it is tried, when again, and what is said. Pure.

An attempt is a Job, and has a number. Which parts of a clip are in the bucket is written down nowhere: the
bucket knows (`upload_parts`).
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime, timedelta
from enum import StrEnum

from replay_operator.api.capture_job import ExitCode
from replay_operator.api.meta import ConditionStatus, find_condition, set_condition
from replay_operator.api.replaycapture import (
    NewsOf,
    Notification,
    NotificationState,
    ReplayCapture,
    ReplayCaptureStatus,
)
from replay_operator.api.upload import LocalCopy, Upload, UploadState
from replay_operator.api.upload_job import (
    UPLOAD_EXIT_CODES,
    UploadError,
    UploadErrorReason,
    UploadResult,
)
from replay_operator.domain.status_contract import READY, is_true
from replay_operator.domain.upload_target import key_in_bucket

UPLOADED = "Uploaded"
"""Type of the condition. It is none of kstatus's: a clip that is on the archive volume only is ready."""

WAITING, IN_BUCKET = "UploadPending", "Verified"

FIRST_PAUSE = timedelta(seconds=30)
LONGEST_PAUSE = timedelta(hours=1)
"""A bucket that is away is asked once an hour for each clip, for ever: the clip goes there in the end."""

BELIEVED_FOR = timedelta(hours=1)
"""So long after an object was verified the local copy may go without another look at the bucket.

Later a rule may have expired the object, or somebody deleted it because the volume had the clip. Longer than
a restart: a clip whose local copy went while that was not written yet would be missed on the volume.
"""

_MOST_OF_A_JOBS_MESSAGE = 500
"""Of the 1024 characters of an UploadError's message."""


class UploadAct(StrEnum):
    """What to do for a clip now."""

    NOTHING = "Nothing"
    START = "Start"
    DROP_LOCAL_COPY = "DropLocalCopy"


@dataclass(frozen=True, slots=True)
class UploadJob:
    """The newest upload Job of a capture.

    `result` is None while it runs, or when it ended without a word. `message` is what Kubernetes says of a
    Job that failed.
    """

    attempt: int
    has_ended: bool = False
    result: UploadResult | None = None
    message: str = ""


@dataclass(frozen=True, slots=True)
class UploadDecision:
    """What to do, the status to write, and when to look again. `attempt` numbers the Job to make."""

    act: UploadAct
    status: ReplayCaptureStatus
    attempt: int = 0
    recheck: datetime | None = None


def pause_after(failures: int) -> timedelta:
    """Give how long to wait after so many failed attempts: 30 s, twice as long each time, an hour at most."""
    doublings = min(failures - 1, 7)
    return min(FIRST_PAUSE * (1 << doublings), LONGEST_PAUSE)


def is_under_way(capture: ReplayCapture) -> bool:
    """Say whether a clip still has to go to the bucket: until then its capture is not let go of by itself."""
    upload = capture.status.upload
    return upload is not None and upload.state in (UploadState.PENDING, UploadState.RETRYING)


def is_at_rest(capture: ReplayCapture, *, keep_local_copy: bool, bucket: str) -> bool:
    """Say whether nothing is left to do for a clip, whatever Jobs there are.

    Args:
        capture: Any capture.
        keep_local_copy: Whether the clip stays on the archive volume too.
        bucket: Of the install: what is said to be in another one cannot be looked at any more.
    """
    upload, clip = capture.status.upload, capture.status.clip
    if upload is None or is_under_way(capture):
        return False
    if upload.state is UploadState.FAILED or keep_local_copy or upload.local_copy is LocalCopy.DROPPED:
        return True
    return clip is None or clip.url is None or key_in_bucket(clip.url, bucket) is None


def decide_upload(
    capture: ReplayCapture,
    job: UploadJob | None,
    now: datetime,
    *,
    keep_local_copy: bool,
    bucket: str,
    extras_are_made: bool,
    place_is_free: bool,
) -> UploadDecision:
    """Decide what to do about a clip of an install that has a bucket.

    Args:
        capture: Any capture.
        job: Its newest upload Job.
        now: Time of the decision.
        keep_local_copy: Whether the clip stays on the archive volume too.
        bucket: Of the install.
        extras_are_made: Whether the capture's own Job has ended: digest and picture are there, or never come.
        place_is_free: Whether one more upload Job may run.
    """
    if capture.status.clip is None or not is_true(capture.status.conditions, READY):
        return UploadDecision(UploadAct.NOTHING, capture.status)
    known = _settled(capture, job, now)
    if is_at_rest(known, keep_local_copy=keep_local_copy, bucket=bucket):
        return UploadDecision(UploadAct.NOTHING, known.status)
    if _upload(known).state is UploadState.VERIFIED:
        has_just_ended = _upload(known).attempts > _upload(capture).attempts
        if has_just_ended or _is_believed(known, now):
            return UploadDecision(UploadAct.DROP_LOCAL_COPY, known.status)
        known = _to_be_verified_again(known, now)
    upload, status = _upload(known), known.status
    if upload.next_attempt_time is not None and now < upload.next_attempt_time:
        return UploadDecision(UploadAct.NOTHING, status, recheck=upload.next_attempt_time)
    runs = job is not None and not job.has_ended
    if runs or not extras_are_made or not place_is_free:
        return UploadDecision(UploadAct.NOTHING, status)  # the end of a Job wakes us
    return UploadDecision(UploadAct.START, status, attempt=upload.attempts + 1)


def without_local_copy(status: ReplayCaptureStatus) -> ReplayCaptureStatus:
    """Give the status of a clip that the agent has removed from the archive volume."""
    upload = status.upload or Upload()
    return status.model_copy(update={"upload": upload.model_copy(update={"local_copy": LocalCopy.DROPPED})})


def with_upload_news(status: ReplayCaptureStatus) -> ReplayCaptureStatus:
    """Note that the upload has to be told, once it is verified and the outcome was told or given up.

    Args:
        status: Of a finished capture. Where it has no news, nobody was to be told of the outcome either.
    """
    news, upload = status.notification, status.upload
    if news is None or news.news_of is NewsOf.UPLOAD or news.state is NotificationState.PENDING:
        return status
    if upload is None or upload.state is not UploadState.VERIFIED:
        return status
    untold = Notification(news_of=NewsOf.UPLOAD, state=NotificationState.PENDING)
    return status.model_copy(update={"notification": untold})


def _upload(capture: ReplayCapture) -> Upload:
    return capture.status.upload or Upload()


def _is_believed(capture: ReplayCapture, now: datetime) -> bool:
    told = find_condition(capture.status.conditions, UPLOADED)
    return told is not None and now - told.last_transition_time < BELIEVED_FOR


def _to_be_verified_again(capture: ReplayCapture, now: datetime) -> ReplayCapture:
    """Put a clip into the line once more: one more attempt finds it in the bucket, or sends it again."""
    again = "The clip was verified some time ago: it is looked for once more before its local copy goes."
    upload = Upload(attempts=_upload(capture).attempts)
    return _with(capture, upload, now, uploaded=ConditionStatus.FALSE, reason=WAITING, message=again)


def _settled(capture: ReplayCapture, job: UploadJob | None, now: datetime) -> ReplayCapture:
    """Take note of a clip that is new, and of an attempt that has ended: of each once."""
    if capture.status.upload is None:
        waiting = "The clip waits for its upload."
        capture = _with(
            capture, Upload(), now, uploaded=ConditionStatus.FALSE, reason=WAITING, message=waiting
        )
    if job is not None and job.has_ended and job.attempt > _upload(capture).attempts:
        return _after_attempt(capture, job, now)
    return capture


def _after_attempt(capture: ReplayCapture, job: UploadJob, now: datetime) -> ReplayCapture:
    clip = capture.status.clip
    result = job.result if job.result is not None and job.result.capture_uid == capture.metadata.uid else None
    if result is not None and result.url is not None and result.error is None and clip is not None:
        verified = Upload(state=UploadState.VERIFIED, attempts=job.attempt)
        there = "The bucket has the clip, and its checksum is that of the file."
        told = _with(capture, verified, now, uploaded=ConditionStatus.TRUE, reason=IN_BUCKET, message=there)
        found = clip.model_copy(update={"url": result.url})
        status = with_upload_news(told.status.model_copy(update={"clip": found}))
        return told.model_copy(update={"status": status})
    error = result.error if result is not None else None
    if error is None:
        said = f" ({job.message[:_MOST_OF_A_JOBS_MESSAGE]})" if job.message else ""
        silent = f"the upload Job ended without an answer{said}: look at its pod"
        error = UploadError(reason=UploadErrorReason.INTERNAL, message=silent)
    if UPLOAD_EXIT_CODES[error.reason] is ExitCode.REFUSED:
        upload = Upload(state=UploadState.FAILED, attempts=job.attempt)
    else:
        again_at = now + pause_after(job.attempt)
        upload = Upload(state=UploadState.RETRYING, attempts=job.attempt, next_attempt_time=again_at)
    reason, message = error.reason, error.message
    return _with(capture, upload, now, uploaded=ConditionStatus.FALSE, reason=reason, message=message)


def _with(
    capture: ReplayCapture,
    upload: Upload,
    now: datetime,
    *,
    uploaded: ConditionStatus,
    reason: str,
    message: str,
) -> ReplayCapture:
    conditions = set_condition(
        capture.status.conditions,
        UPLOADED,
        uploaded,
        reason=reason,
        message=message,
        generation=capture.metadata.generation,
        now=now,
    )
    status = capture.status.model_copy(update={"upload": upload, "conditions": conditions})
    return capture.model_copy(update={"status": status})
