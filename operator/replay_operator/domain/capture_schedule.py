"""When a capture's Job is made, how long its worker waits, and what time its user is promised. Pure."""

from __future__ import annotations

from datetime import datetime, timedelta

from replay_operator.api.meta import find_condition
from replay_operator.api.replaybuffer import ReplayBuffer
from replay_operator.api.replaycapture import ReplayCapture, ResolvedRange, Tail
from replay_operator.domain.capture_observation import CaptureObservation
from replay_operator.domain.capture_timing import (
    FLUSH_TAKES,
    cutting_time,
    going_on,
    is_covered,
    tail_expected,
    tail_limit,
)
from replay_operator.domain.status_contract import FINAL, RECORDING


def expected_ready(
    capture: ReplayCapture, wanted: ResolvedRange, seen: CaptureObservation, now: datetime
) -> datetime:
    """Promise a time. A Job that is made at once needs its pod started first: the lead is what that takes."""
    on_disk = (
        tail_expected(wanted.end, seen.segment_seconds, seen.coverage)
        if _awaits_tail(capture, seen)
        else wanted.end
    )
    if wants_flush(capture, wanted, seen):
        on_disk = min(on_disk, max(now, wanted.end) + FLUSH_TAKES)
    return max(on_disk, now + seen.job_lead) + cutting_time(wanted)


def _awaits_tail(capture: ReplayCapture, seen: CaptureObservation) -> bool:
    if capture.spec.tail is Tail.SKIP:
        return False
    # What was recorded when its source went, or it was stopped, is still on its way to the disk for seconds.
    return seen.buffer_recording or bool(going_on(seen.coverage, seen.segment_seconds))


def wants_flush(capture: ReplayCapture, wanted: ResolvedRange, seen: CaptureObservation) -> bool:
    """Tell whether a flush would bring the last instant of a range to the disk sooner than waiting does.

    Args:
        capture: An unfinished capture.
        wanted: Its range.
        seen: What was observed.
    """
    if capture.spec.tail is not Tail.FLUSH or not seen.buffer_recording:
        return False
    if is_covered(wanted.end, seen.coverage):
        return False
    # Against the time of the wish, not against now: a flush that has begun must not be called off half-way.
    flushed = max(wanted.end, capture.metadata.creation_timestamp) + FLUSH_TAKES
    return tail_expected(wanted.end, seen.segment_seconds, seen.coverage) > flushed


def job_due(capture: ReplayCapture, seen: CaptureObservation) -> datetime:
    """Give when to make the Job: shortly before the last instant is due, so that its pod runs by then."""
    wanted = capture.status.range
    if wanted is None:
        raise ValueError("the range is resolved before its tail is awaited")
    if _is_over(seen.buffer) or is_covered(wanted.end, seen.coverage):
        return wanted.start
    if not seen.buffer_recording or not _awaits_tail(capture, seen):
        return wanted.end  # what is still on its way then comes within seconds: the worker waits for it
    if wants_flush(capture, wanted, seen):
        return wanted.end + FLUSH_TAKES - seen.job_lead
    return tail_expected(wanted.end, seen.segment_seconds, seen.coverage) - seen.job_lead


def _lies_ahead(end: datetime, seen: CaptureObservation) -> bool:
    as_of = seen.coverage.as_of
    return as_of is not None and end > as_of + timedelta(seconds=seen.segment_seconds)


def _is_over(buffer: ReplayBuffer | None) -> bool:
    """Tell whether a buffer will never record again. One that only waits for its source may."""
    recording = find_condition(buffer.status.conditions, RECORDING) if buffer is not None else None
    return buffer is None or (recording is not None and recording.reason in FINAL)


def await_until(capture: ReplayCapture, seen: CaptureObservation) -> datetime | None:
    """Give until when the worker shall wait for the last instant, or None when it shall not.

    Args:
        capture: With its range resolved.
        seen: What was observed when the Job is made.
    """
    wanted = capture.status.range
    if wanted is None or not _awaits_tail(capture, seen):
        return None
    if _is_over(seen.buffer) and _lies_ahead(wanted.end, seen):
        return None  # nothing will ever reach the end of such a range
    return tail_limit(wanted.end, seen.segment_seconds)


def promised_after(
    rounds: int, capture: ReplayCapture, seen: CaptureObservation, now: datetime
) -> ReplayCapture:
    """Promise a time to a capture that waits in the line, as if those before it were as long as itself."""
    wanted = capture.status.range
    if wanted is None:
        raise ValueError("the range is resolved before a place is asked for")
    turn = now + rounds * (seen.job_lead + cutting_time(wanted))
    promise = expected_ready(capture, wanted, seen, turn)
    status = capture.status.model_copy(update={"expected_ready_time": promise})
    return capture.model_copy(update={"status": status})
