"""Where the asked range has no media: holes (no track has any) and gaps (one track has none). Pure."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from replay_operator.api.replaycapture import HoleReason, Track
from replay_operator.media.formats import Part
from replay_operator.media.selection import Selection
from replay_operator.media.timeline import MIN_PAUSE_TICKS, Interval, common, frame_ticks, pauses, without


@dataclass(frozen=True, slots=True)
class MissingMedia:
    """What a range lacks, on the common timeline."""

    holes: tuple[tuple[Interval, HoleReason], ...]
    gaps: tuple[tuple[Interval, Track], ...]


def missing_media(part: Part, kept_pts: Mapping[Track, Sequence[int]], wanted: Interval) -> MissingMedia:
    """Find what a range lacks.

    Args:
        part: The runs that the clip is made from, and where others were left out.
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
    changed = [h for h in common(holes, part.dropped) if h.ticks > MIN_PAUSE_TICKS]
    named = [(h, HoleReason.FORMAT_CHANGED) for h in changed]
    named += [(h, _reason(part.selections, h)) for h in without(holes, changed)]
    return MissingMedia(
        holes=tuple(sorted(named, key=lambda h: h[0])), gaps=tuple(sorted(gaps, key=lambda g: g[0]))
    )


def _missing(pts: Sequence[int], wanted: Interval) -> list[Interval]:
    if not pts:
        return [wanted]
    frame = frame_ticks(pts)
    recorded = without([Interval(min(pts), max(pts) + frame)], pauses(pts, frame))
    shortest = max(MIN_PAUSE_TICKS, 2 * frame)
    return [i for i in without([wanted], recorded) if i.ticks > shortest]


def _reason(selections: Sequence[Selection], hole: Interval) -> HoleReason:
    lost = any(_has_lost(selection, hole) for selection in _around(selections, hole))
    return HoleReason.SEGMENT_LOST if lost else HoleReason.NOT_RECORDED


def _around(selections: Sequence[Selection], hole: Interval) -> list[Selection]:
    """Give the runs that a hole lies in, the one that ends before it, and the one that begins after it."""
    slack = MIN_PAUSE_TICKS
    inside = [s for s in selections if s.span.start < hole.start and hole.end < s.span.end]
    before = [s for s in selections if s.span.end <= hole.start + slack]
    after = [s for s in selections if s.span.start >= hole.end - slack]
    latest = sorted(before, key=lambda s: s.span.end)[-1:]
    earliest = sorted(after, key=lambda s: s.span.start)[:1]
    return [*inside, *latest, *earliest]


def _has_lost(selection: Selection, hole: Interval) -> bool:
    """Tell a lost segment from time that was never recorded: an index is missing where the hole lies."""
    before = [s.file.index for s in selection.segments if s.scan.start < hole.start]
    after = [s.file.index for s in selection.segments if s.scan.start >= hole.start]
    lowest = max(before, default=-1)
    highest = min(after, default=None)
    return any(lowest < i and (highest is None or i < highest) for i in selection.lost_indexes)
