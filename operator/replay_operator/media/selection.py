"""Which segments of a run are needed for a range, scanning no more of them than that takes."""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Callable
from dataclasses import dataclass, field, replace
from itertools import takewhile

from replay_operator.media.runs import Run, SegmentFile, scan_file
from replay_operator.media.timeline import MIN_PAUSE_TICKS, Interval
from replay_operator.media.ts_probe import SegmentScan


@dataclass(frozen=True, slots=True)
class ScannedSegment:
    """A complete segment and what is in it."""

    file: SegmentFile
    scan: SegmentScan


@dataclass(frozen=True, slots=True)
class Selection:
    """The part of a run that a range needs.

    Attributes:
        segments: Those with media in the range, by index.
        oldest_ticks: Where the run's media on disk begins; None when no segment is usable.
        lost_indexes: Segments that should be there but are missing or unusable.
        shift: What was added to the run's own times: 0 on its own timeline.
    """

    run: Run
    segments: tuple[ScannedSegment, ...]
    oldest_ticks: int | None
    lost_indexes: tuple[int, ...]
    shift: int = 0

    @property
    def span(self) -> Interval:
        """First to last instant of the selected segments, of which there must be one."""
        scans = [s.scan for s in self.segments]
        return Interval(min(s.start for s in scans), max(s.end for s in scans))

    def on_timeline_of(self, reference: Run) -> Selection:
        """Move all times to the timeline of another run, so that the two can be compared."""
        shift = self.run.ticks_after(reference)
        return replace(
            self,
            segments=tuple(replace(s, scan=s.scan.moved(shift)) for s in self.segments),
            oldest_ticks=None if self.oldest_ticks is None else self.oldest_ticks + shift,
            shift=self.shift + shift,
        )


def read_and_scan(run: Run, file: SegmentFile) -> SegmentScan | None:
    """Tell what is in a segment of a run, or give None when it is unusable.

    Raises:
        OSError: The volume does not answer.
    """
    return scan_file(file, run.expected_ticks(file.index))


@dataclass
class _Scanner:
    """Scans each segment of one run at most once."""

    run: Run
    scan: Callable[[Run, SegmentFile], SegmentScan | None]
    known: dict[int, SegmentScan | None] = field(default_factory=dict)

    def __call__(self, position: int) -> SegmentScan | None:
        if position not in self.known:
            self.known[position] = self.scan(self.run, self.run.segments[position])
        return self.known[position]

    def unusable_indexes(self) -> list[int]:
        return [self.run.segments[p].index for p, scan in self.known.items() if scan is None]


def select_segments(
    run: Run,
    wanted: Interval,
    scan: Callable[[Run, SegmentFile], SegmentScan | None] = read_and_scan,
) -> Selection:
    """Find the segments that hold media of a range.

    Args:
        run: The run.
        wanted: The range on the run's timeline.
        scan: Reads one segment; None means that it is unusable.
    """
    scanner = _Scanner(run, scan)
    positions = range(len(run.segments))
    oldest = next((s for p in positions if (s := scanner(p)) is not None), None)
    scans = (
        (p, s) for p in positions[_first_position(scanner, wanted.start) :] if (s := scanner(p)) is not None
    )
    chosen = tuple(
        ScannedSegment(run.segments[p], s)
        for p, s in takewhile(lambda found: found[1].start < wanted.end, scans)
        if s.end > wanted.start
    )
    return Selection(
        run=run,
        segments=_without_overhang(chosen, wanted.start),
        oldest_ticks=oldest.start if oldest else None,
        lost_indexes=tuple(sorted({*run.lost_indexes, *scanner.unusable_indexes()})),
    )


def _first_position(scanner: _Scanner, start: int) -> int:
    """Find the last usable segment that begins at or before an instant, less one for overhanging tracks.

    The cadence of segments is steady, so the guess is right or one off; the walk makes it sure.
    """
    segments = scanner.run.segments
    position = bisect_right(segments, start, key=lambda s: scanner.run.expected_ticks(s.index)) - 1
    position = max(position, 0)
    while position > 0 and ((scan := scanner(position)) is None or scan.picture_start > start):
        position -= 1
    while (
        position + 1 < len(segments)
        and (scan := scanner(position + 1)) is not None
        and scan.picture_start <= start
    ):
        position += 1
    return max(position - 1, 0)


def _without_overhang(chosen: tuple[ScannedSegment, ...], start: int) -> tuple[ScannedSegment, ...]:
    """Drop a first segment that reaches into the range by a frame of sound only.

    Sound does not end with the picture. Keeping 20 ms of it would cost a segment of hidden pre-roll.
    """
    if (
        len(chosen) > 1
        and chosen[1].scan.picture_start <= start
        and chosen[0].scan.end <= start + MIN_PAUSE_TICKS
    ):
        return chosen[1:]
    return chosen
