"""When a capture's Job is made, how long its worker waits, and what time its user is promised. Pure."""

from __future__ import annotations

from datetime import datetime

from replay_operator.api.meta import find_condition
from replay_operator.api.replaybuffer import ReplayBuffer
from replay_operator.api.replaycapture import ReplayCapture, ResolvedRange, Tail
from replay_operator.domain.capture_observation import CaptureObservation
from replay_operator.domain.capture_timing import (
    FLUSH_TAKES,
    cutting_time,
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
    return capture.spec.tail is not Tail.SKIP and seen.buffer_recording


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
    if not _awaits_tail(capture, seen):
        return wanted.end
    if wants_flush(capture, wanted, seen):
        return wanted.end + FLUSH_TAKES - seen.job_lead
    return tail_expected(wanted.end, seen.segment_seconds, seen.coverage) - seen.job_lead


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
