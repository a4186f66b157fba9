"""Which segments of a buffer a viewer is shown, in which order and under which numbers. Pure.

A playlist may only grow at its end and shrink at its beginning (RFC 8216 §6.2.2). So what viewers were told
once is kept in a window, and each look at the disk carries that window on.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from itertools import chain

NANOSECONDS_PER_SECOND = 1_000_000_000

JOIN_TOLERANCE_NS = NANOSECONDS_PER_SECOND // 10
"""A shorter pause between two segments is jitter of a loaded worker, no hole (concat.md §4)."""

_NUMBER_NS = 1_000_000
"""Far shorter than a segment: a run that comes later has numbers ahead of all those before it."""

_BREAK_NS = 20 * NANOSECONDS_PER_SECOND
"""Runs that die follow each other no faster: two segments of the default length and 3 s (DESIGN §6.3)."""

_BREAK_NUMBERS = 10_000
"""Discontinuity numbers begin below: hls.js counts from 0 up to them at each look, which took it minutes
with the seconds since 1970. So they may fall where a window begins anew, once in 55 hours (ADR 20)."""

_DEAD_AFTER_SEGMENTS = 2
_DEAD_AFTER_NS = 3 * NANOSECONDS_PER_SECOND
"""Without a new segment for two segments and 3 s a run is dead (DESIGN §6.3)."""


@dataclass(frozen=True, slots=True)
class PreviewSegment:
    """A complete segment as a viewer meets it.

    Attributes:
        run: Name of its run.
        index: Its number in the run.
        start_ns: Capture time of its first picture, Unix nanoseconds.
        end_ns: Capture time of the end of its last picture; later than the start.
        layout: Its tracks and their parameters; players start anew where they change.
        lead_ns: By how much its first sample, which is sound, comes before its first picture.
    """

    run: str
    index: int
    start_ns: int
    end_ns: int
    layout: str
    lead_ns: int = 0


@dataclass(frozen=True, slots=True)
class PreviewRun:
    """One run on disk.

    Attributes:
        segment_seconds: The asked length of its segments.
        ended: No more segments come.
        segments: The complete ones by index; at least one.
        began_ns: Capture time where its clock begins, Unix nanoseconds; it never changes.
    """

    segment_seconds: int
    ended: bool
    segments: Sequence[PreviewSegment]
    began_ns: int


@dataclass(frozen=True, slots=True)
class PreviewEntry:
    """One segment of a playlist, which never changes while a viewer can see it.

    Attributes:
        number: Its media sequence number.
        discontinuity: Its discontinuity sequence number.
        breaks: Whether a discontinuity lies before it.
    """

    segment: PreviewSegment
    number: int
    discontinuity: int
    breaks: bool


@dataclass(frozen=True, slots=True)
class PreviewWindow:
    """What a playlist lists.

    Attributes:
        target_seconds: The target duration, which never changes either.
        entries: The segments; at least one.
    """

    target_seconds: int
    entries: tuple[PreviewEntry, ...]

    def part(self, start_ns: int, end_ns: int) -> PreviewWindow | None:
        """Give what shows a range, None when nothing does.

        Args:
            start_ns: Its start, Unix nanoseconds.
            end_ns: Its end.
        """
        found = tuple(
            entry
            for entry in self.entries
            if entry.segment.start_ns < end_ns and entry.segment.end_ns > start_ns
        )
        return replace(self, entries=found) if found else None


def carried_on(window: PreviewWindow | None, runs: Sequence[PreviewRun]) -> PreviewWindow | None:
    """Give the window after another look at the disk; None when nothing can be shown.

    Each instant on disk is shown. One that two runs have is shown once, but for part of a segment where they
    meet: segments cannot be cut. A window begins anew where none can be carried on: after a restart of the
    agent, when all of it has gone, when segments become longer. Its first number then comes from the run and
    the index of the first segment: the numbers are those of before while that run is there and has lost
    nothing, else ahead of them. Players go on at a jump ahead, at the live end, and stop at one back.

    Args:
        window: What viewers were told before.
        runs: What lies on disk.
    """
    target_seconds = max((run.segment_seconds for run in runs), default=0)
    entries = list(_kept(window, runs)) if window and target_seconds <= window.target_seconds else []
    if entries and window is not None:
        target_seconds = window.target_seconds
    else:
        first = min(_all(runs), key=lambda segment: (segment.start_ns, -segment.end_ns), default=None)
        if first is None:
            return None
        entries = [_first_entry(first, runs, window)]
    waiting = _Waiting(runs, entries)
    while (following := waiting.after(entries[-1].segment)) is not None:
        entries.append(_entry_after(entries[-1], following))
    return PreviewWindow(target_seconds, tuple(entries))


def _all(runs: Iterable[PreviewRun]) -> Iterable[PreviewSegment]:
    return chain.from_iterable(run.segments for run in runs)


def _kept(window: PreviewWindow, runs: Sequence[PreviewRun]) -> Sequence[PreviewEntry]:
    """Leave out all up to the last entry that has gone: nothing but the beginning may be taken away."""
    on_disk = {(segment.run, segment.index) for segment in _all(runs)}
    gone = [
        place
        for place, entry in enumerate(window.entries)
        if (entry.segment.run, entry.segment.index) not in on_disk
    ]
    return window.entries[gone[-1] + 1 :] if gone else window.entries


def _first_entry(
    segment: PreviewSegment, runs: Iterable[PreviewRun], before: PreviewWindow | None
) -> PreviewEntry:
    began_ns = next(run.began_ns for run in runs if run.segments[0].run == segment.run)
    if before is not None:  # the remainder of a later time may be smaller
        discontinuity = before.entries[-1].discontinuity + 1
    else:
        discontinuity = began_ns // _BREAK_NS % _BREAK_NUMBERS
    return PreviewEntry(segment, began_ns // _NUMBER_NS + segment.index, discontinuity, breaks=False)


def _entry_after(before: PreviewEntry, segment: PreviewSegment) -> PreviewEntry:
    last = before.segment
    breaks = (
        segment.run != last.run
        or segment.index != last.index + 1
        or segment.layout != last.layout
        or abs(segment.start_ns - last.end_ns) > JOIN_TOLERANCE_NS
    )
    return PreviewEntry(segment, before.number + 1, before.discontinuity + breaks, breaks)


class _Waiting:
    """The segments of each run that no viewer was told of yet."""

    def __init__(self, runs: Sequence[PreviewRun], told: Sequence[PreviewEntry]) -> None:
        last = {entry.segment.run: entry.segment.index for entry in told}
        self._runs = {run.segments[0].run: run for run in runs}
        self._left = {
            name: [segment for segment in run.segments if segment.index > last.get(name, -1)][::-1]
            for name, run in self._runs.items()
        }
        self._newest_ns = max((segment.end_ns for segment in _all(runs)), default=0)

    def after(self, last: PreviewSegment) -> PreviewSegment | None:
        """Take the segment that goes on where another ends, None while that is still to come."""
        own = self._left[last.run]
        if not own and self._may_go_on(last):
            return None
        if own and own[-1].start_ns <= last.end_ns + JOIN_TOLERANCE_NS:
            return own.pop()
        found = self._best(last)
        if found is not None:
            left = self._left[found.run]
            while left.pop() is not found:
                pass
        return found

    def _may_go_on(self, last: PreviewSegment) -> bool:
        run = self._runs[last.run]
        longest_ns = _DEAD_AFTER_SEGMENTS * run.segment_seconds * NANOSECONDS_PER_SECOND + _DEAD_AFTER_NS
        return not run.ended and self._newest_ns - last.end_ns <= longest_ns

    def _best(self, last: PreviewSegment) -> PreviewSegment | None:
        """Choose what repeats least among what leaves no hole, else what leaves the shortest hole."""
        until_ns = last.end_ns + JOIN_TOLERANCE_NS
        later = [segment for left in self._left.values() for segment in left if segment.end_ns > until_ns]
        covering = [segment for segment in later if segment.start_ns <= until_ns]
        if covering:
            return max(covering, key=lambda segment: (segment.start_ns, segment.run))
        return min(later, key=lambda segment: (segment.start_ns, segment.run, segment.index), default=None)
