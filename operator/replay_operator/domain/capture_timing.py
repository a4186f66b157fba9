"""When things happen to a capture: its range, when its last instant is on disk, when its Job starts. Pure."""

from __future__ import annotations

import math
from datetime import datetime, timedelta

from replay_operator.api.agent import RunCoverage
from replay_operator.api.replaycapture import ReplayCapture, ResolvedRange
from replay_operator.domain.health import stale_limit
from replay_operator.domain.observation import CoverageView

CREATION_ROUNDING = timedelta(seconds=1)
"""creationTimestamp is cut to whole seconds: the click was at most this much later."""

ARRIVAL_SLACK = timedelta(seconds=0.7)
"""A segment is on disk segmentSeconds + 0.65 s after its media ends (DESIGN §6)."""

TAIL_PATIENCE = timedelta(seconds=7)
"""How much later than a whole segment after the promise the last one may come before the clip is cut without
it: a run that falls silent brings what it still holds when the operator stops it (`media/tail.py`)."""

FLUSH_TAKES = timedelta(seconds=3)
"""From the wish, or the last instant when that is later, until a flush has put it on disk (DESIGN §6.9)."""

FRAME_TOLERANCE = timedelta(milliseconds=50)

_CUTTING_BASE = timedelta(seconds=3)
_CUTTING_SHARE = 2.1 / 600
"""2.1 s are published for ten minutes of 1080p60 cut in the usual way (concat.md §1.2)."""


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


def tail_limit(end: datetime, segment_seconds: int) -> datetime:
    """Give when the segment that holds `end` is no longer waited for."""
    return tail_due(end, segment_seconds) + timedelta(seconds=segment_seconds) + TAIL_PATIENCE


def is_covered(end: datetime, coverage: CoverageView) -> bool:
    """Tell whether the last instant of a range is on disk."""
    return coverage.known and any(run.newest >= end - FRAME_TOLERANCE for run in coverage.runs.values())


def going_on(coverage: CoverageView, segment_seconds: int) -> list[RunCoverage]:
    """Give the runs that more can come of: neither ended nor silent for so long that they are dead.

    A killed worker leaves no end.

    Args:
        coverage: What lies on disk of the buffer.
        segment_seconds: Length of a segment.
    """
    if not coverage.known:
        return []
    limit = stale_limit(segment_seconds)
    as_of = coverage.as_of
    return [
        run
        for run in coverage.runs.values()
        if not run.ended and (as_of is None or as_of <= run.arrived_at + limit)
    ]


def tail_expected(end: datetime, segment_seconds: int, coverage: CoverageView) -> datetime:
    """Give when the segment that holds `end` should be on disk.

    A run that goes on tells where its segments end, and so which of them holds the instant. Without one it
    is the latest time.

    Args:
        end: Last instant of the range.
        segment_seconds: Length of a segment.
        coverage: What lies on disk of the buffer.
    """
    latest = tail_due(end, segment_seconds)
    found = going_on(coverage, segment_seconds)
    return min((_arrival(run, end, segment_seconds) for run in found), default=latest)


def tail_arrived(end: datetime, segment_seconds: int, coverage: CoverageView) -> datetime | None:
    """Give when the segment that holds `end` came to the disk, once it is there.

    The newest segment's arrival is known, and those before it came a segment's length earlier each.

    Args:
        end: Last instant of the range.
        segment_seconds: Length of a segment.
        coverage: What lies on disk of the buffer.
    """
    holding = [run for run in coverage.runs.values() if run.oldest <= end <= run.newest + FRAME_TOLERANCE]
    return min(
        (
            run.arrived_at
            - timedelta(seconds=segment_seconds) * _whole_segments_after(run, end, segment_seconds)
            for run in holding
        ),
        default=None,
    )


def last_arrived_before(end: datetime, coverage: CoverageView) -> datetime | None:
    """Give when the newest segment came of the runs that began before `end`, where none of them reaches it.

    Args:
        end: Last instant of the range.
        coverage: What lies on disk of the buffer.
    """
    return max((run.arrived_at for run in coverage.runs.values() if run.oldest <= end), default=None)


def _whole_segments_after(run: RunCoverage, end: datetime, segment_seconds: int) -> int:
    return max(0, math.floor((run.newest - end).total_seconds() / segment_seconds))


def _arrival(run: RunCoverage, end: datetime, segment_seconds: int) -> datetime:
    missing = max((end - FRAME_TOLERANCE - run.newest).total_seconds(), 0.0)
    whole_segments = math.ceil(missing / segment_seconds) * segment_seconds
    arrival = run.newest + timedelta(seconds=whole_segments + segment_seconds) + ARRIVAL_SLACK
    return min(arrival, tail_due(end, segment_seconds))


def cutting_time(wanted: ResolvedRange) -> timedelta:
    """Give how long the cut takes once its segments are on disk, with room to spare."""
    return _CUTTING_BASE + (wanted.end - wanted.start) * _CUTTING_SHARE
