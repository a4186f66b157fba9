"""Capture times of what lies in a run (DESIGN §6.8)."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

from replay_operator.agent.segments import SegmentFile
from replay_operator.agent.state import RunState
from replay_operator.api.replaycapture import Clock
from replay_operator.domain.retention import StoredSegment
from replay_operator.media import run_clock as clocks

_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)


def at(ns: int) -> datetime:
    """Turn nanoseconds since 1970 into a time, to the microsecond.

    Args:
        ns: Nanoseconds since 1970.
    """
    return _EPOCH + timedelta(microseconds=ns // 1000)


def run_clock(run: RunState, complete: list[SegmentFile]) -> tuple[int, Clock] | None:
    """Give the capture time of PTS 3600 s in nanoseconds since 1970 and where it is from.

    None when nothing tells it.

    Args:
        run: The run.
        complete: Its complete segments in the order of their index.
    """
    return clocks.run_clock(
        run.run_file.media_started_at_ns if run.run_file is not None else None,
        [
            clocks.Arrival(segment.index, segment.arrived_at_ns, segment.span.start_ns, segment.span.end_ns)
            for segment in complete[:2]
            if segment.span is not None
        ],
        run.written,
        ended=run.ended,
    )


def stored_segments(run: RunState) -> list[StoredSegment]:
    """Give every segment file of a run with its capture times, for retention.

    A file without a span (not listed, or broken) is taken to hold what arrived just before its last write.

    Args:
        run: The run.
    """
    clock = run_clock(run, run.complete_segments())
    return [_stored(run, segment, clock[0] if clock else None) for segment in run.segments.files()]


def _stored(run: RunState, segment: SegmentFile, started_at_ns: int | None) -> StoredSegment:
    if segment.span is None or started_at_ns is None:
        end = at(segment.arrived_at_ns)
        start = end - timedelta(seconds=2 * _segment_seconds(run) + 1)
    else:
        start, end = at(started_at_ns + segment.span.start_ns), at(started_at_ns + segment.span.end_ns)
    return StoredSegment(run=run.path.run, index=segment.index, start=start, end=end, bytes=segment.bytes)


def _segment_seconds(run: RunState) -> int:
    longest_allowed = 15
    return run.run_file.segment_seconds if run.run_file is not None else longest_allowed
