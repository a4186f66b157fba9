"""What the files say about a run: the only proof of life (DESIGN §6.3)."""

from __future__ import annotations

from collections.abc import Collection
from datetime import datetime, timedelta
from enum import StrEnum

from replay_operator.api.agent import RunCoverage
from replay_operator.domain.egress import Egress, ns_to_datetime
from replay_operator.domain.observation import CoverageView, Observation

STALE_AFTER_SEGMENTS = 2
STALE_SLACK = timedelta(seconds=3)
"""A run without a new segment for 2 x segmentSeconds + 3 s is dead (DESIGN §6.3)."""

LOOK_AGAIN = timedelta(seconds=1)

FIRST_SEGMENT_SLACK = timedelta(seconds=12)
"""The first segment needs 2 x segmentSeconds + 0.65 s, 10 s more on a muted start
(livekit-measured §2, §3)."""


class Health(StrEnum):
    """What the files say about a run: the only proof of life (DESIGN §6.3)."""

    STARTING = "Starting"
    FRESH = "Fresh"
    STALE = "Stale"
    UNKNOWN = "Unknown"


def stale_limit(segment_seconds: int) -> timedelta:
    """Give how long a live run may go without a new segment."""
    return timedelta(seconds=STALE_AFTER_SEGMENTS * segment_seconds) + STALE_SLACK


def run_health(
    egress: Egress, run: RunCoverage | None, *, known: bool, segment_seconds: int, now: datetime
) -> tuple[Health, datetime]:
    """Judge a run by its files, and say when the judgement must be looked at again.

    Args:
        egress: The egress that writes the run.
        run: What lies on disk of it.
        known: Whether the agent's word is complete and recent.
        segment_seconds: Segment length of the run.
        now: When the agent looked.
    """
    if not known:
        return Health.UNKNOWN, now + STALE_SLACK
    if run is not None:
        limit = run.arrived_at + stale_limit(segment_seconds)
        return (Health.FRESH if now <= limit else Health.STALE), limit
    begun = egress.media_started_at or ns_to_datetime(egress.started_at_ns)
    limit = begun + timedelta(seconds=STALE_AFTER_SEGMENTS * segment_seconds) + FIRST_SEGMENT_SLACK
    return (Health.STARTING if now <= limit else Health.STALE), limit


def length_in_force(wanted: int, coverage: CoverageView, runs: Collection[str]) -> int:
    """Give the segment length to reckon with: a run keeps the one it was started with.

    Args:
        wanted: What a new run is asked for, seconds.
        coverage: What lies on disk of the buffer.
        runs: The runs that are being written; of several the longest counts, for nothing comes sooner.
    """
    found = [coverage.runs[name].segment_seconds for name in runs if name in coverage.runs]
    return max((seconds for seconds in found if seconds is not None), default=wanted)


def health_of(egress: Egress, seen: Observation, now: datetime) -> tuple[Health, datetime]:
    """Judge one egress of an observation.

    Args:
        egress: Which one.
        seen: What was observed.
        now: Time of the decision.
    """
    if egress.id in seen.lost:
        return Health.STALE, now  # its worker's pod is gone: nothing will come (DESIGN §6.3)
    health, look_again = run_health(
        egress,
        seen.coverage.runs.get(seen.runs.get(egress.id, "")),
        known=seen.coverage.known,
        segment_seconds=seen.segment_seconds,
        now=seen.coverage.as_of or now,
    )
    return health, max(look_again, now + LOOK_AGAIN)
