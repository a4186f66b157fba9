"""Rows of `kubectl replay get`, and the line that tells how far a capture is. Pure."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime, timedelta

from replay_operator.api.meta import find_condition
from replay_operator.api.replaycapture import ReplayCapture
from replay_operator.domain.capture_state import is_finished
from replay_operator.domain.status_contract import READY
from replay_operator.kubectl.amounts import human_bytes
from replay_operator.kubectl.duration import age, exact
from replay_operator.kubectl.table import table

_HEADER = ("NAME", "BUFFER", "READY", "STATE", "READY-IN", "LENGTH", "SIZE", "AGE")
_WIDE = ("START", "END", "HOLES", "GAPS", "CLIP")
_NONE = "<none>"
_UNKNOWN = "<unknown>"


def capture_table(captures: Sequence[ReplayCapture], *, wide: bool, now: datetime) -> str:
    """Write the table of captures.

    Args:
        captures: Which ones, in their order.
        wide: With more columns.
        now: The time.
    """
    header = (*_HEADER, *_WIDE) if wide else _HEADER
    return table(header, [_row(capture, now) + (_more(capture) if wide else ()) for capture in captures])


def progress(capture: ReplayCapture, now: datetime) -> str:
    """Say in a line how far a capture is, and how long it will still take.

    Args:
        capture: As it is now.
        now: The time.
    """
    ready = find_condition(capture.status.conditions, READY)
    state = ready.reason if ready else "Waiting for the operator"
    if is_finished(capture):
        return state
    due = capture.status.expected_ready_time
    if due is None:
        return state
    left = due - now
    if left <= timedelta():
        return f"{state}, was expected {exact(-left)} ago"
    return f"{state}, ready in {exact(left)}"


def outcome(capture: ReplayCapture) -> str:
    """Say in a line what became of a finished capture.

    Args:
        capture: It is ready, or has failed.
    """
    clip = capture.status.clip
    if clip is None:
        ready = find_condition(capture.status.conditions, READY)
        return f"failed: {ready.reason}: {ready.message}" if ready else "failed"
    length = exact(timedelta(milliseconds=clip.milliseconds))
    holes = f", {len(clip.holes) + clip.holes_omitted} holes" if clip.holes else ""
    return f"ready: {length}, {human_bytes(clip.bytes)}{holes}, {clip.path}"


def _row(capture: ReplayCapture, now: datetime) -> tuple[str, ...]:
    ready = find_condition(capture.status.conditions, READY)
    clip = capture.status.clip
    return (
        capture.metadata.name,
        capture.spec.buffer_ref.name,
        ready.status.value if ready else _UNKNOWN,
        ready.reason if ready else _UNKNOWN,
        _countdown(capture, now),
        exact(timedelta(milliseconds=clip.milliseconds)) if clip else _NONE,
        human_bytes(clip.bytes) if clip else _NONE,
        age(now - capture.metadata.creation_timestamp),
    )


def _countdown(capture: ReplayCapture, now: datetime) -> str:
    due = capture.status.expected_ready_time
    if due is None or is_finished(capture):
        return ""
    return exact(due - now) if due > now else "now"


def _more(capture: ReplayCapture) -> tuple[str, ...]:
    clip, wanted = capture.status.clip, capture.status.range
    bounds = (clip.start, clip.end) if clip else (wanted.start, wanted.end) if wanted else ()
    times = tuple(f"{moment.astimezone():%H:%M:%S}" for moment in bounds) or (_NONE, _NONE)
    if clip is None:
        return (*times, _NONE, _NONE, _NONE)
    return (
        *times,
        str(len(clip.holes) + clip.holes_omitted),
        str(len(clip.gaps) + clip.gaps_omitted),
        clip.path,
    )
