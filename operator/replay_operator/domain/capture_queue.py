"""Whose Job is next: round-robin over owners, first come first served within one. Pure.

The line follows from the captures that exist and from nothing else. So it survives a restart, nobody writes
when it moves, and a reader of the captures can tell a place in it.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable
from datetime import UTC, datetime

from replay_operator.api.replaycapture import ReplayCapture
from replay_operator.domain.capture_state import finished_at, is_finished, state_of
from replay_operator.domain.status_contract import CaptureState

_NEVER = datetime.fromtimestamp(0, UTC)


def owner_of(capture: ReplayCapture) -> str:
    """Give who a capture counts for: the owner of its buffer, else the buffer."""
    source = capture.status.source
    if source is None:
        return f"buffer name/{capture.spec.buffer_ref.name}"
    return f"owner/{source.owner}" if source.owner is not None else f"buffer/{source.buffer_uid}"


def has_place(capture: ReplayCapture) -> bool:
    """Tell whether a capture's status says that it has a Job; it keeps the place for all its attempts."""
    return (
        capture.status.job is not None
        and not is_finished(capture)
        and capture.metadata.deletion_timestamp is None
    )


def line(
    captures: Iterable[ReplayCapture], *, running: frozenset[str], asking: str | None = None
) -> tuple[str, ...]:
    """Give the uids of those who wait for a place, next one first.

    The next place goes to the owner with the fewest Jobs, among equals to the one who was served longest ago,
    then to the one whose capture is the oldest.

    Args:
        captures: All captures.
        running: Uids of the captures that have a place.
        asking: A capture that is due, and does not say Queued yet.
    """
    known = tuple(captures)
    in_line = [c for c in known if c.metadata.uid not in running and _waits(c, asking)]
    waiting: dict[str, list[ReplayCapture]] = {}
    for capture in sorted(in_line, key=lambda c: (c.metadata.creation_timestamp, c.metadata.uid)):
        waiting.setdefault(owner_of(capture), []).append(capture)
    served = Counter(owner_of(capture) for capture in known if capture.metadata.uid in running)
    last = _last_served(known) if waiting else {}
    order: list[str] = []
    while waiting:
        owner = min(
            waiting,
            key=lambda o: (served[o], last.get(o, _NEVER), waiting[o][0].metadata.creation_timestamp, o),
        )
        order.append(waiting[owner].pop(0).metadata.uid)
        served[owner] += 1
        if not waiting[owner]:
            del waiting[owner]
    return tuple(order)


def _waits(capture: ReplayCapture, asking: str | None) -> bool:
    if capture.metadata.deletion_timestamp is not None:
        return False
    return capture.metadata.uid == asking or state_of(capture) is CaptureState.QUEUED


def _last_served(captures: Iterable[ReplayCapture]) -> dict[str, datetime]:
    """Give when a Job of each owner ended last, as far as its captures still exist."""
    last: dict[str, datetime] = {}
    for capture in captures:
        ended = finished_at(capture) if capture.status.job is not None else None
        if ended is not None:
            owner = owner_of(capture)
            last[owner] = max(last.get(owner, ended), ended)
    return last
