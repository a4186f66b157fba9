"""Whose clip is uploaded next, and how long clips have waited. Pure.

Like the line of captures it follows from the captures that exist, so it survives a restart.
"""

from __future__ import annotations

from collections.abc import Iterable
from datetime import datetime

from replay_operator.api.meta import find_condition
from replay_operator.api.replaycapture import ReplayCapture
from replay_operator.domain.uploads import UPLOADED, is_under_way


def due_uploads(
    captures: Iterable[ReplayCapture], now: datetime, *, running: frozenset[str]
) -> tuple[str, ...]:
    """Give the uids of the captures whose clip could be sent now, those that have waited longest first.

    Args:
        captures: All captures.
        now: The time.
        running: Uids of those that have an upload Job.
    """
    due = [
        (since, capture.metadata.uid)
        for capture in captures
        if (since := _due_since(capture)) is not None and since <= now and capture.metadata.uid not in running
    ]
    return tuple(uid for _, uid in sorted(due))


def waiting_since(capture: ReplayCapture) -> datetime | None:
    """Give since when a clip has been on its way to the bucket; None when it is not."""
    condition = find_condition(capture.status.conditions, UPLOADED)
    return condition.last_transition_time if condition is not None and is_under_way(capture) else None


def _due_since(capture: ReplayCapture) -> datetime | None:
    upload = capture.status.upload
    if upload is None or capture.metadata.deletion_timestamp is not None:
        return None
    since = waiting_since(capture)
    return upload.next_attempt_time or since if since is not None else None
