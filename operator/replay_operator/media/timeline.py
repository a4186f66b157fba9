"""What the timestamps of a track say: its end, its gaps, and where it can be cut. Pure functions.

All times are ticks of 1/90000 s on the run's own timeline, on which media begins at 3600 s.
"""

from __future__ import annotations

from array import array
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from itertools import accumulate, pairwise
from operator import sub

TICKS_PER_SECOND = 90_000
"""Clock of PTS and DTS (ISO/IEC 13818-1)."""

MEDIA_EPOCH_TICKS = 3600 * TICKS_PER_SECOND
"""PTS of the first frame of a run: GStreamer's mpegtsmux starts at one hour (livekit-measured §2)."""

MIN_PAUSE_TICKS = TICKS_PER_SECOND // 10
"""A shorter pause between two packets is jitter of a loaded worker, no gap (concat.md §4)."""


@dataclass(frozen=True, slots=True, order=True)
class Interval:
    """A stretch of the timeline, end excluded."""

    start: int
    end: int

    @property
    def ticks(self) -> int:
        """Its length."""
        return self.end - self.start


@dataclass(frozen=True, slots=True)
class CleanCut:
    """A place in decode order where every kept PTS lies before every dropped one.

    `packets` are kept. `last_kept_dts` and `first_dropped_dts` enclose the instants at which a limit on
    DTS makes exactly this cut. `pts` is the first PTS that is dropped.
    """

    packets: int
    last_kept_dts: int
    first_dropped_dts: int
    pts: int


def milliseconds(length: int) -> int:
    """Give a length in milliseconds.

    Args:
        length: The length in ticks.
    """
    return round(length * 1000 / TICKS_PER_SECOND)


def expected_ticks(index: int, segment_seconds: int) -> int:
    """Give about where on the timeline a segment begins: each is as long as asked (livekit-measured §2).

    Args:
        index: Its number.
        segment_seconds: The asked length.
    """
    return MEDIA_EPOCH_TICKS + index * segment_seconds * TICKS_PER_SECOND


def nanoseconds_after_epoch(instant: int) -> int:
    """Give a place on the timeline in nanoseconds after PTS 3600 s.

    Args:
        instant: The place in ticks.
    """
    return (instant - MEDIA_EPOCH_TICKS) * 1_000_000_000 // TICKS_PER_SECOND


def ticks(values: Iterable[int] = ()) -> array[int]:
    """Make the compact form in which timestamps are kept: 8 bytes each."""
    return array("q", values)


def frame_ticks(pts: Sequence[int]) -> int:
    """Give the usual distance between two frames: the median, 0 with fewer than two."""
    in_order = sorted(pts)
    steps = sorted(map(sub, in_order[1:], in_order))
    return steps[len(steps) // 2] if steps else 0


def pauses(pts: Sequence[int], frame: int) -> list[Interval]:
    """Find where a track pauses, from the end of the last frame before to the first frame after.

    Args:
        pts: Presentation times in any order.
        frame: Usual length of a frame.
    """
    longest_step = frame + max(MIN_PAUSE_TICKS, 2 * frame)
    return [
        Interval(earlier + frame, later)
        for earlier, later in pairwise(sorted(pts))
        if later - earlier > longest_step
    ]


def first_clean_cut(pts: Sequence[int], dts: Sequence[int], not_before: int) -> CleanCut | None:
    """Find the first clean cut whose dropped packets are all decoded at or after an instant.

    Args:
        pts: Presentation times in decode order.
        dts: Decode times, same order.
        not_before: The instant.

    Returns:
        The cut, or None when every packet has to be kept.
    """
    # An hour has 400,000 packets, and the cut lies near their end: what comes before is taken as one.
    first = max(next((i for i, d in enumerate(dts) if d >= not_before), len(dts)), 1)
    lowest_from = list(accumulate(reversed(pts[first:]), min))[::-1]
    highest_until = accumulate(pts[first:-1], max, initial=max(pts[:first]))
    kept_dts = accumulate(dts[first:-1], max, initial=max(dts[:first]))
    for position, lowest, highest, last_dts in zip(
        range(first, len(pts)), lowest_from, highest_until, kept_dts, strict=False
    ):
        dropped_dts = dts[position]
        if dropped_dts >= not_before and last_dts < dropped_dts and highest < lowest:
            return CleanCut(position, last_dts, dropped_dts, lowest)
    return None


def merged(intervals: Iterable[Interval]) -> list[Interval]:
    """Give the same stretches, sorted, with those that touch joined and empty ones dropped."""
    result: list[Interval] = []
    for interval in sorted(i for i in intervals if i.ticks > 0):
        if result and interval.start <= result[-1].end:
            result[-1] = Interval(result[-1].start, max(result[-1].end, interval.end))
        else:
            result.append(interval)
    return result


def common(left: Iterable[Interval], right: Iterable[Interval]) -> list[Interval]:
    """Give the stretches that lie in both."""
    others = merged(right)
    return merged(Interval(max(a.start, b.start), min(a.end, b.end)) for a in merged(left) for b in others)


def without(intervals: Iterable[Interval], removed: Iterable[Interval]) -> list[Interval]:
    """Give the stretches that lie in the first but not in the second."""
    rest = merged(intervals)
    for hole in merged(removed):
        rest = [
            part
            for interval in rest
            for part in (
                Interval(interval.start, min(interval.end, hole.start)),
                Interval(max(interval.start, hole.end), interval.end),
            )
            if part.ticks > 0
        ]
    return rest


def closed_before(holes: Iterable[Interval], instant: int) -> int:
    """Say by how much an instant moves ahead when the holes before it are taken out.

    Args:
        holes: Stretches that do not overlap, and in which the instant does not lie.
        instant: The instant.
    """
    return sum(hole.ticks for hole in holes if hole.end <= instant)
