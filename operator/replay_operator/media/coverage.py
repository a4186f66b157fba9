"""Where the asked range has no media: holes (no track has any) and gaps (one track has none). Pure."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from replay_operator.api.replaycapture import HoleReason, Track
from replay_operator.media.selection import Selection
from replay_operator.media.timeline import MIN_PAUSE_TICKS, Interval, common, frame_ticks, pauses, without


@dataclass(frozen=True, slots=True)
class MissingMedia:
    """What a range lacks, on the run's timeline."""

    holes: tuple[tuple[Interval, HoleReason], ...]
    gaps: tuple[tuple[Interval, Track], ...]


def missing_media(
    selection: Selection, kept_pts: Mapping[Track, Sequence[int]], wanted: Interval
) -> MissingMedia:
    """Find what a range lacks.

    Args:
        selection: The segments that the clip is made from.
        kept_pts: Presentation times of the packets that the clip will have; empty for a track that
            should be there and is not.
        wanted: The range.
    """
    missing = {track: _missing(pts, wanted) for track, pts in kept_pts.items()}
    holes = [wanted]
    for intervals in missing.values():
        holes = common(holes, intervals)
    gaps = [
        (gap, track)
        for track, intervals in missing.items()
        for gap in without(intervals, holes)
        if gap.ticks > MIN_PAUSE_TICKS
    ]
    return MissingMedia(
        holes=tuple((h, _reason(selection, h)) for h in holes), gaps=tuple(sorted(gaps, key=lambda g: g[0]))
    )


def _missing(pts: Sequence[int], wanted: Interval) -> list[Interval]:
    if not pts:
        return [wanted]
    frame = frame_ticks(pts)
    recorded = without([Interval(min(pts), max(pts) + frame)], pauses(pts, frame))
    shortest = max(MIN_PAUSE_TICKS, 2 * frame)
    return [i for i in without([wanted], recorded) if i.ticks > shortest]


def _reason(selection: Selection, hole: Interval) -> HoleReason:
    """Tell a lost segment from time that was never recorded: an index is missing where the hole lies."""
    before = [s.file.index for s in selection.segments if s.scan.start < hole.start]
    after = [s.file.index for s in selection.segments if s.scan.start >= hole.start]
    lowest = max(before, default=-1)
    highest = min(after, default=None)
    lost = any(lowest < i and (highest is None or i < highest) for i in selection.lost_indexes)
    return HoleReason.SEGMENT_LOST if lost else HoleReason.NOT_RECORDED
