"""Makes one track out of the same track of several runs, so that each instant comes once. Pure.

Runs overlap, because the next one is started before the last is stopped. The later run wins, but not with
its first segment as long as an earlier one has media: there its encoders are still settling. Nobody can
start to decode but at a key frame, so a run may be taken from a little earlier than it is needed. The run
before is cut at a *clean cut*: a place in decode order where every kept frame is shown before every
dropped one. That costs at most 3 frames of picture or one of sound.
"""

from __future__ import annotations

from array import array
from bisect import bisect_right
from collections.abc import Sequence
from dataclasses import dataclass, replace
from itertools import accumulate

from replay_operator.api.replaycapture import Track
from replay_operator.media.selection import ScannedSegment, Selection
from replay_operator.media.timeline import (
    MIN_PAUSE_TICKS,
    Interval,
    common,
    frame_ticks,
    merged,
    pauses,
    ticks,
    without,
)


@dataclass(frozen=True, slots=True)
class Strand:
    """One track of one run, in decode order, on the common timeline.

    Attributes:
        offsets: Position of the first packet of each segment; the number of packets at the end.
        entries: Positions at which decoding can begin: key frames, for sound any PES packet.
        cuts: Positions before which it can be cut, if the cut is clean; None for any.
        settled: First position behind the run's first segment.
    """

    selection: Selection
    track: Track
    segments: tuple[ScannedSegment, ...]
    offsets: tuple[int, ...]
    pts: array[int]
    entries: tuple[int, ...]
    cuts: tuple[int, ...] | None
    frame_ticks: int
    settled: int

    def stretches(self, first: int, last: int) -> list[Interval]:
        """Give the time that these packets cover, without the track's pauses."""
        pts = self.pts[first:last]
        if not pts:
            return []
        whole = Interval(min(pts), max(pts) + self.frame_ticks)
        return without([whole], pauses(pts, self.frame_ticks))

    def entry_for(self, instant: int) -> int | None:
        """Find where decoding has to begin to show an instant; None when it cannot begin at all."""
        found = bisect_right(self.entries, instant + self.frame_ticks // 2, key=lambda e: self.pts[e])
        return self.entries[max(found - 1, 0)] if self.entries else None

    def last_cut(self, before: int) -> int:
        """Find the last clean cut that keeps nothing shown after an instant."""
        return max((c for c, highest, _ in self._clean_cuts() if highest <= before), default=0)

    def first_cut(self, not_before: int) -> int:
        """Find the first clean cut that drops nothing shown before an instant."""
        return next((c for c, _, lowest in self._clean_cuts() if lowest >= not_before), len(self.pts))

    def _clean_cuts(self) -> list[tuple[int, int, int]]:
        """Give each clean cut with the last time it keeps and the first that it drops."""
        lowest = [*list(accumulate(reversed(self.pts), min))[::-1], max(self.pts) + self.frame_ticks]
        highest = [0, *accumulate(self.pts, max)]
        places = range(1, len(self.pts) + 1) if self.cuts is None else self.cuts
        return [(c, highest[c], lowest[c]) for c in places if c and highest[c] < lowest[c]]


@dataclass(frozen=True, slots=True)
class Piece:
    """Consecutive packets of a strand: from `first` up to, but without, `last`."""

    strand: Strand
    first: int
    last: int

    @property
    def pts(self) -> array[int]:
        """Presentation times of its packets."""
        return self.strand.pts[self.first : self.last]


def strand_of(selection: Selection, track: Track) -> Strand | None:
    """Take one track out of a run; None when the run does not have it."""
    found = [(s, t) for s in selection.segments for t in s.scan.tracks if t.track is track]
    if not found:
        return None
    pts = ticks()
    offsets, entries, settled = [0], list[int](), 0
    for segment, scan in found:
        sound_starts = scan.units or range(len(scan.pts))
        entries += [len(pts) + p for p in (scan.key_frames if track is Track.VIDEO else sound_starts)]
        pts.extend(scan.pts)
        offsets.append(len(pts))
        if segment.file.index == 0:
            settled = len(pts)
    return Strand(
        selection=selection,
        track=track,
        segments=tuple(segment for segment, _ in found),
        offsets=tuple(offsets),
        pts=pts,
        entries=tuple(entries),
        cuts=None if track is Track.VIDEO else (*entries, len(pts)),
        frame_ticks=frame_ticks(pts) or found[0][1].frame_ticks,
        settled=settled,
    )


def splice(strands: Sequence[Strand], wanted: Interval, *, trim_end: bool) -> list[Piece]:
    """Choose what to take from each run.

    Args:
        strands: The same track of each run, the earliest start first.
        wanted: The range.
        trim_end: Cut at the end of the range; else the last segment stays whole.

    Returns:
        Pieces in order of time, none of which shows an instant that another one shows.
    """
    pieces: list[Piece] = []
    for stretch, strand in reversed(_claims(strands, wanted)):
        first = strand.entry_for(stretch.start)
        if first is None:
            continue
        if pieces and pieces[-1].strand is strand:
            pieces[-1] = replace(pieces[-1], first=min(first, pieces[-1].first))
            continue
        if pieces:
            following = pieces[-1].strand.pts[pieces[-1].first]
            last = strand.last_cut(following - strand.frame_ticks // 2)
        else:
            last = strand.first_cut(wanted.end) if trim_end else len(strand.pts)
        # Nothing is left of a claim when the piece behind it has to begin before it.
        if last > first:
            pieces.append(Piece(strand, first, last))
    return pieces[::-1]


def _claims(strands: Sequence[Strand], wanted: Interval) -> list[tuple[Interval, Strand]]:
    """Say which run shows which stretch, as if each could be cut anywhere.

    A stretch of less than a pause is no reason to change runs, unless nobody else has it.
    """
    settled = [(s, s.stretches(s.settled, len(s.pts))) for s in reversed(strands)]
    settling = [(s, s.stretches(0, s.settled)) for s in reversed(strands)]
    taken: list[Interval] = []
    claims: list[tuple[Interval, Strand]] = []
    for frames in (2, 0):
        for strand, stretches in (*settled, *settling):
            shortest = (
                max(MIN_PAUSE_TICKS, frames * strand.frame_ticks) if frames else strand.frame_ticks // 2
            )
            free = [i for i in without(common(stretches, [wanted]), taken) if i.ticks > shortest]
            claims += [(i, strand) for i in free]
            taken = merged([*taken, *free])
    return sorted(claims, key=lambda claim: claim[0])
