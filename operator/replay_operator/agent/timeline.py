"""Capture times of what lies in a run (DESIGN §6.8)."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import UTC, datetime, timedelta

from replay_operator.agent.segments import SegmentFile
from replay_operator.agent.state import RunState
from replay_operator.api.replaycapture import Clock
from replay_operator.domain.retention import StoredSegment
from replay_operator.media import run_clock as clocks

_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_NEEDED = 2
"""The arrival of a segment tells the clock together with the media of the next one."""


def at(ns: int) -> datetime:
    """Turn nanoseconds since 1970 into a time, to the microsecond.

    Args:
        ns: Nanoseconds since 1970.
    """
    return _EPOCH + timedelta(microseconds=ns // 1000)


def run_clock(run: RunState, complete: Sequence[SegmentFile] | None = None) -> tuple[int, Clock] | None:
    """Give the capture time of PTS 3600 s in nanoseconds since 1970 and where it is from.

    None when nothing tells it.

    Args:
        run: The run.
        complete: Its first complete segments, when they are at hand.
    """
    first = run.segments.complete(first=_NEEDED) if complete is None else complete[:_NEEDED]
    return clocks.run_clock(
        run.run_file.media_started_at_ns if run.run_file is not None else None,
        [
            clocks.Arrival(segment.index, segment.arrived_at_ns, segment.span.start_ns, segment.span.end_ns)
            for segment in first
            if segment.span is not None
        ],
        run.written,
        ended=run.ended,
    )


def stored_segments(run: RunState) -> list[StoredSegment]:
    """Give every segment file of a run with its capture times, for retention.

    Args:
        run: The run.
    """
    clock = run_clock(run)
    return run.segments.stored(
        run.path.run,
        started_at_ns=clock[0] if clock else None,
        guess_ns=(2 * segment_seconds(run) + 1) * clocks.NANOSECONDS_PER_SECOND,
    )


def segment_seconds(run: RunState) -> int:
    """Give the asked length of a segment, or the longest there is when nothing tells it.

    Args:
        run: The run.
    """
    longest_allowed = 15
    return run.run_file.segment_seconds if run.run_file is not None else longest_allowed
