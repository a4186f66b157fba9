"""Which runs can be joined without encoding again: those whose tracks have the same parameters. Pure."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from replay_operator.api.replaycapture import Track
from replay_operator.media.selection import Selection
from replay_operator.media.timeline import MIN_PAUSE_TICKS, Interval


@dataclass(frozen=True, slots=True)
class Part:
    """What one clip can be made from.

    Attributes:
        selections: Runs of one format, the earliest start first.
        dropped: Where the runs of another format have media.
    """

    selections: tuple[Selection, ...]
    dropped: tuple[Interval, ...]


def part_that_holds_the_end(selections: Sequence[Selection], end: int) -> Part:
    """Choose the runs to join: of those parts of one format that reach the end, the longest.

    Args:
        selections: Runs with media in the range, on one timeline; at least one.
        end: Where the range ends.
    """
    newest = min(end, max(s.span.end for s in selections))
    ends = [s for s in selections if s.span.end >= newest - MIN_PAUSE_TICKS]
    parts = [_part_back_from(anchor, selections) for anchor in ends]
    longest = min(parts, key=lambda part: (min(s.span.start for s in part), -part[-1].shift))
    return Part(tuple(longest), tuple(s.span for s in selections if s not in longest))


def _part_back_from(anchor: Selection, selections: Sequence[Selection]) -> list[Selection]:
    """Collect runs from the anchor back to the first that does not fit.

    One that started after the anchor and does not fit is passed over: it ended first.
    """
    part = [anchor]
    formats = _formats(anchor)
    for other in sorted(selections, key=lambda s: s.shift, reverse=True):
        if other is anchor:
            continue
        found = _formats(other)
        if all(formats.get(track, parameters) == parameters for track, parameters in found.items()):
            part.append(other)
            formats |= found
        elif other.shift <= anchor.shift:
            break
    return sorted(part, key=lambda s: s.shift)


def _formats(selection: Selection) -> dict[Track, str]:
    # A segment without a key frame does not tell its parameters.
    return {t.track: t.parameters for s in selection.segments for t in s.scan.tracks if t.parameters}
