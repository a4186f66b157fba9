"""What the agent knows of the segments of a run, in 48 bytes each: there may be hundreds of thousands."""

from __future__ import annotations

import struct
from array import array
from bisect import bisect_left
from collections.abc import Iterable, Iterator, MutableMapping
from dataclasses import dataclass

from replay_operator.domain.retention import StoredSegment
from replay_operator.media.segment_file import FileStamp

_ROW = struct.Struct("=qQqQqq")
"""Index, size, time of the last write, inode, start and end of the media: all as wide, so that a column is
taken out and summed up without an object for each number."""

_INDEX, _SIZE, _ARRIVED, _, _START, _END = range(6)
_COLUMNS = 6
_Row = tuple[int, ...]

EDGE = 6
"""So many segments at either end tell the clock of a run and its drift (`clock_shift.py`)."""

_NUMBER = struct.Struct("=q")
_NOT_PROBED = -(2**63)
_NO_MEDIA = _NOT_PROBED + 1


@dataclass(frozen=True, slots=True)
class MediaSpan:
    """First and last instant of a segment on its run's clock: nanoseconds after PTS 3600 s."""

    start_ns: int
    end_ns: int


@dataclass(frozen=True, slots=True)
class SegmentFile:
    """One segment file.

    It is probed only when a playlist has named it or a later one, so that a `span` makes it complete.
    None means not listed yet, or no good MPEG-TS.
    """

    index: int
    stamp: FileStamp
    probed: bool = False
    span: MediaSpan | None = None

    @property
    def bytes(self) -> int:
        """Its size."""
        return self.stamp.size_bytes

    @property
    def arrived_at_ns(self) -> int:
        """When it was written, Unix nanoseconds."""
        return self.stamp.modified_at_ns


@dataclass(frozen=True, slots=True)
class CompleteSummary:
    """The complete segments of a run put together. `first` and `last` are at most `EDGE` of them."""

    count: int
    first_index: int
    last_index: int
    start_ns: int
    end_ns: int
    arrived_at_ns: int
    first: tuple[SegmentFile, ...]
    last: tuple[SegmentFile, ...]


class SegmentTable(MutableMapping[int, SegmentFile]):
    """The segments of one run by index, in the order of their index.

    A dictionary of objects would take ten times the memory (benchmarks/README.md, `cleaning`).
    """

    __slots__ = ("_rows",)

    def __init__(self, rows: bytearray | None = None) -> None:
        """Take the rows of another table, or begin empty.

        Args:
            rows: They become this table's own.
        """
        self._rows = rows if rows is not None else bytearray()

    def copy(self) -> SegmentTable:
        """Give a table that no longer changes with this one."""
        return SegmentTable(bytearray(self._rows))

    @property
    def size_bytes(self) -> int:
        """The size of all segment files."""
        return sum(_column(self._rows, _SIZE))

    @property
    def newest(self) -> bytes:
        """All that is known of the segment with the highest index, only to be compared; empty without one."""
        return bytes(self._rows[-_ROW.size :])

    def complete(self, *, first: int) -> list[SegmentFile]:
        """Give the first complete segments.

        Args:
            first: How many at most.
        """
        rows = self._complete()
        return [_segment(_ROW.unpack_from(rows, at)) for at in range(0, len(rows), _ROW.size)[:first]]

    def summary(self) -> CompleteSummary | None:
        """Put the complete segments together, None when there is none."""
        rows = self._complete()
        if not rows:
            return None
        indices = _column(rows, _INDEX)
        edges = rows[: EDGE * _ROW.size], rows[-EDGE * _ROW.size :]
        first, last = (tuple(map(_segment, _ROW.iter_unpack(edge))) for edge in edges)
        return CompleteSummary(
            count=len(indices),
            first_index=indices[0],
            last_index=indices[-1],
            start_ns=min(_column(rows, _START)),
            end_ns=max(_column(rows, _END)),
            arrived_at_ns=max(_column(rows, _ARRIVED)),
            first=first,
            last=last,
        )

    def stored(self, run: str, *, started_at_ns: int | None, guess_ns: int) -> list[StoredSegment]:
        """Give every segment with its capture times, for retention.

        Args:
            run: Name of the run.
            started_at_ns: The run's clock: Unix nanoseconds of PTS 3600 s, None when nothing tells it.
            guess_ns: A file without a span (not listed, or broken) is taken to hold so much media, up to when
                it was written.
        """
        if started_at_ns is None:
            return [
                StoredSegment(run, index, modified - guess_ns, modified, size)
                for index, size, modified, _, _, _ in _ROW.iter_unpack(self._rows)
            ]
        return [
            StoredSegment(run, index, started_at_ns + start, started_at_ns + end, size)
            if start > _NO_MEDIA
            else StoredSegment(run, index, modified - guess_ns, modified, size)
            for index, size, modified, _, start, end in _ROW.iter_unpack(self._rows)
        ]

    def drop(self, indices: Iterable[int]) -> int:
        """Forget segments, and give how many bytes those had that were known.

        Args:
            indices: Which.
        """
        gone_bytes = 0
        for index in indices:
            row, is_there = self._find(index)
            if is_there:
                begin = row * _ROW.size
                gone_bytes += _ROW.unpack_from(self._rows, begin)[_SIZE]
                del self._rows[begin : begin + _ROW.size]
        return gone_bytes

    def complete_indices(self) -> set[int]:
        """Give the indices of the complete segments."""
        return set(_column(self._complete(), _INDEX))

    def __getitem__(self, index: int) -> SegmentFile:
        row, is_there = self._find(index)
        if not is_there:
            raise KeyError(index)
        return _segment(_ROW.unpack_from(self._rows, row * _ROW.size))

    def __setitem__(self, index: int, segment: SegmentFile) -> None:
        row, is_there = self._find(index)
        begin = row * _ROW.size
        self._rows[begin : begin + (_ROW.size if is_there else 0)] = _packed(segment)

    def __delitem__(self, index: int) -> None:
        row, is_there = self._find(index)
        if not is_there:
            raise KeyError(index)
        del self._rows[row * _ROW.size : (row + 1) * _ROW.size]

    def __iter__(self) -> Iterator[int]:
        return iter(_column(self._rows, _INDEX))

    def __len__(self) -> int:
        return len(self._rows) // _ROW.size

    def _complete(self) -> bytearray:
        """Give the rows of the complete segments, nearly always all of them."""
        starts = _column(self._rows, _START)
        if not starts or min(starts) > _NO_MEDIA:
            return self._rows
        places = (number * _ROW.size for number, start in enumerate(starts) if start > _NO_MEDIA)
        return bytearray().join(self._rows[at : at + _ROW.size] for at in places)

    def _find(self, index: int) -> tuple[int, bool]:
        """Give the row of an index, or the one before which it belongs, and whether it is there."""
        count = len(self)
        if not count or self._index_at(count - 1) < index:
            return count, False
        row = index - self._index_at(0)  # where it is when none is missing before it
        if not (0 <= row < count and self._index_at(row) == index):
            row = bisect_left(range(count), index, key=self._index_at)
        return row, self._index_at(row) == index

    def _index_at(self, row: int) -> int:
        index: int = _NUMBER.unpack_from(self._rows, row * _ROW.size)[0]
        return index


def _column(rows: bytearray, column: int) -> array[int]:
    return array("q", bytes(rows))[column::_COLUMNS]


def _packed(segment: SegmentFile) -> bytes:
    span, stamp = segment.span, segment.stamp
    start = span.start_ns if span is not None else _NO_MEDIA if segment.probed else _NOT_PROBED
    return _ROW.pack(
        segment.index,
        stamp.size_bytes,
        stamp.modified_at_ns,
        stamp.inode,
        start,
        span.end_ns if span is not None else 0,
    )


def _segment(row: _Row) -> SegmentFile:
    index, size, modified, inode, start, end = row
    stamp = FileStamp(size, modified, inode)
    if start <= _NO_MEDIA:
        return SegmentFile(index, stamp, probed=start == _NO_MEDIA)
    return SegmentFile(index, stamp, probed=True, span=MediaSpan(start, end))
