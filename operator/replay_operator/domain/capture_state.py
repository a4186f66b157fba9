"""How far a capture is, read from its status alone: the same after a restart, and for any reader."""

from __future__ import annotations

from datetime import datetime

from replay_operator.api.meta import find_condition
from replay_operator.api.replaycapture import ReplayCapture
from replay_operator.domain.status_contract import READY, STALLED, CaptureState, is_true


def is_finished(capture: ReplayCapture) -> bool:
    """Tell whether nothing more will happen: the clip is ready, or never will be."""
    return finished_at(capture) is not None


def finished_at(capture: ReplayCapture) -> datetime | None:
    """Give when the clip became ready or was given up, or None before."""
    conditions = capture.status.conditions
    outcome = READY if is_true(conditions, READY) else STALLED
    condition = find_condition(conditions, outcome)
    return condition.last_transition_time if condition and is_true(conditions, outcome) else None


def state_of(capture: ReplayCapture) -> CaptureState | None:
    """Give the state that was written last, or None before the first. A failed one carries its own reason."""
    ready = find_condition(capture.status.conditions, READY)
    if ready is None:
        return None
    return CaptureState(ready.reason) if ready.reason in set(CaptureState) else CaptureState.FAILED


def wants_coverage(capture: ReplayCapture, now: datetime) -> bool:
    """Tell whether news from the buffer volume may bring a capture forward.

    Args:
        capture: Any capture.
        now: The time. Before the range has ended nothing on the volume matters to it.
    """
    wanted = capture.status.range
    return (
        wanted is not None
        and wanted.end <= now
        and capture.status.job is None
        and state_of(capture) is not CaptureState.QUEUED
        and not is_finished(capture)
    )
