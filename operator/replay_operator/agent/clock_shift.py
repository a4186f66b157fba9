"""Whether a run's clock has jumped: its segments then come earlier or later than the first ones did."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import pairwise
from statistics import median

from replay_operator.agent.segments import SegmentFile

FIRST_SAMPLES = 3
NEWEST_SAMPLES = 5
"""So many segments in a row must agree: a few that are late say something of the disk, not of the clock."""

_NS_PER_MS = 1_000_000


def clock_shift_milliseconds(
    first_ones: Sequence[SegmentFile], last_ones: Sequence[SegmentFile], count: int
) -> int:
    """Give how far the newest segments of a run have moved against its first ones, in milliseconds.

    A segment is on disk a constant time after the *next* one's media ends, within 18 ms (livekit-measured
    §2), however long the segments are. Positive: they come later, so the clock went back or the worker is
    behind. The least of the newest few counts, so that a slow disk is not taken for a clock.

    Args:
        first_ones: The first complete segments of a run in the order of their index, at least four.
        last_ones: Its last ones, at least six.
        count: How many complete ones it has in all.
    """
    if count <= FIRST_SAMPLES + NEWEST_SAMPLES:
        return 0
    first, newest = _delays(first_ones[: FIRST_SAMPLES + 1]), _delays(last_ones[-NEWEST_SAMPLES - 1 :])
    if len(first) < FIRST_SAMPLES or len(newest) < NEWEST_SAMPLES:
        return 0
    moved = [delay - median(first) for delay in newest]
    least = min(moved) if min(moved) > 0 else min(max(moved), 0)
    return int(least / _NS_PER_MS)


def _delays(segments: Sequence[SegmentFile]) -> list[int]:
    return [
        segment.arrived_at_ns - following.span.end_ns
        for segment, following in pairwise(segments)
        if following.span is not None and following.index == segment.index + 1
    ]
