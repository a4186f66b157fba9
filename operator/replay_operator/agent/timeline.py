"""Capture times of what lies in a run (DESIGN §6.8)."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

from replay_operator.agent.state import MediaSpan, RunState, SegmentFile
from replay_operator.api.replaycapture import Clock
from replay_operator.domain.retention import StoredSegment

ARRIVAL_DELAY_NS = 630_000_000
"""From the end of the next segment's media to this one's arrival on disk (livekit-measured §2)."""

NS_PER_SECOND = 1_000_000_000
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

    Without `media_started_at_ns` it is worked out from when the first segment arrived: a segment appears
    one whole segment late, when the next one is complete, and at once when the run ends.

    Args:
        run: The run.
        complete: Its complete segments in the order of their index.
    """
    if run.run_file is not None and run.run_file.media_started_at_ns:
        return run.run_file.media_started_at_ns, Clock.STARTED_AT
    if not complete or (first := complete[0].span) is None:
        return None
    return complete[0].arrived_at_ns - _lateness_ns(run, complete, first) - first.end_ns, Clock.ARRIVAL


def stored_segments(run: RunState) -> list[StoredSegment]:
    """Give every segment file of a run with its capture times, for retention.

    A file without a span (not listed, or broken) is taken to hold what arrived just before its last write.

    Args:
        run: The run.
    """
    clock = run_clock(run, run.complete_segments())
    return [_stored(run, segment, clock[0] if clock else None) for segment in run.segments.values()]


def _stored(run: RunState, segment: SegmentFile, started_at_ns: int | None) -> StoredSegment:
    if segment.span is None or started_at_ns is None:
        end = at(segment.arrived_at_ns)
        start = end - timedelta(seconds=2 * _segment_seconds(run) + 1)
    else:
        start, end = at(started_at_ns + segment.span.start_ns), at(started_at_ns + segment.span.end_ns)
    return StoredSegment(run=run.path.run, index=segment.index, start=start, end=end, bytes=segment.bytes)


def _lateness_ns(run: RunState, complete: list[SegmentFile], first: MediaSpan) -> int:
    following = complete[1] if len(complete) > 1 else None
    if following is not None and following.index == complete[0].index + 1 and following.span is not None:
        return following.span.end_ns - following.span.start_ns + ARRIVAL_DELAY_NS
    if run.ended and following is None:
        return 0
    return first.end_ns - first.start_ns + ARRIVAL_DELAY_NS


def _segment_seconds(run: RunState) -> int:
    longest_allowed = 15
    return run.run_file.segment_seconds if run.run_file is not None else longest_allowed
