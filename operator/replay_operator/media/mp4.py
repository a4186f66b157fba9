"""Reads what the index (`moov`) of a finished MP4 says: samples, times, edit lists (ISO/IEC 14496-12)."""

from __future__ import annotations

import sys
from array import array
from collections.abc import Iterator
from dataclasses import dataclass
from typing import BinaryIO

from replay_operator.api.replaycapture import Track
from replay_operator.media.timeline import TICKS_PER_SECOND

_HANDLERS = {b"vide": Track.VIDEO, b"soun": Track.AUDIO}
_MAX_MOOV_BYTES = 512 * 1024 * 1024
"""A 4-hour clip of 60 frames a second needs about 50 MiB."""
_EMPTY_EDIT = -1


class NotMp4Error(ValueError):
    """The file is no whole MP4: a box is missing, too long, or not where it must be."""


@dataclass(frozen=True, slots=True)
class TrackFacts:
    """One track as a player sees it. Times are ticks of 1/90000 s.

    Attributes:
        sync_samples: How many samples are key frames.
        sample_bytes: Bytes of media in all samples.
        delay: Shown so long after the clip's start.
        hidden: Media so long before the first shown instant is in the file, but not shown.
        shown: Shown for so long.
    """

    track: Track
    samples: int
    sync_samples: int
    sample_bytes: int
    delay: int
    hidden: int
    shown: int


@dataclass(frozen=True, slots=True)
class MovieFacts:
    """A finished MP4."""

    tracks: tuple[TrackFacts, ...]
    size_bytes: int
    index_first: bool
    media_bytes: int


@dataclass(frozen=True, slots=True)
class _Box:
    kind: bytes
    start: int
    end: int


def read_movie(file: BinaryIO) -> MovieFacts:
    """Read a finished MP4. Only the index is read, whatever the size of the file.

    Args:
        file: The file, seekable.

    Raises:
        NotMp4Error: It is no whole MP4.
    """
    size = file.seek(0, 2)
    boxes = list(_top_level(file, size))
    moov = _only(boxes, b"moov")
    mdat = _only(boxes, b"mdat")
    if moov.end - moov.start > _MAX_MOOV_BYTES:
        raise NotMp4Error(f"its index has {moov.end - moov.start} bytes, more than any clip needs")
    file.seek(moov.start)
    index = memoryview(file.read(moov.end - moov.start))
    try:
        return MovieFacts(
            tracks=tuple(_tracks(index)),
            size_bytes=size,
            index_first=moov.start < mdat.start,
            media_bytes=mdat.end - mdat.start,
        )
    except IndexError as error:
        raise NotMp4Error("a table of its index is cut short") from error


def _top_level(file: BinaryIO, size: int) -> Iterator[_Box]:
    at = 0
    while at < size:
        file.seek(at)
        header = file.read(16)
        if len(header) < 8:  # noqa: PLR2004 - size and type of a box
            raise NotMp4Error(f"{len(header)} stray bytes at its end")
        length, first = int.from_bytes(header[:4]), 8
        if length == 1:
            length, first = int.from_bytes(header[8:16]), 16
        elif length == 0:
            length = size - at
        if length < first or at + length > size:
            raise NotMp4Error(f"the box at byte {at} does not end inside the file")
        yield _Box(header[4:8], at + first, at + length)
        at += length


def _only(boxes: list[_Box], kind: bytes) -> _Box:
    found = [b for b in boxes if b.kind == kind]
    if len(found) != 1:
        raise NotMp4Error(f"it has {len(found)} {kind.decode()} boxes instead of one")
    return found[0]


def _children(data: memoryview) -> Iterator[tuple[bytes, memoryview]]:
    at = 0
    while at + 8 <= len(data):
        length = _u32(data, at)
        if length < 8 or at + length > len(data):  # noqa: PLR2004 - size and type of a box
            raise NotMp4Error("a box of its index does not end inside its parent")
        yield bytes(data[at + 4 : at + 8]), data[at + 8 : at + length]
        at += length


def _descend(data: memoryview, *path: bytes) -> memoryview | None:
    for kind in path:
        found = next((body for name, body in _children(data) if name == kind), None)
        if found is None:
            return None
        data = found
    return data


def _tracks(moov: memoryview) -> Iterator[TrackFacts]:
    movie_header = _descend(moov, b"mvhd")
    if movie_header is None:
        raise NotMp4Error("its index has no header")
    movie_scale = _timescale(movie_header)
    for kind, trak in _children(moov):
        handler = _descend(trak, b"mdia", b"hdlr") if kind == b"trak" else None
        track = _HANDLERS.get(bytes(handler[8:12])) if handler is not None else None
        if track is not None:
            yield _track(track, trak, movie_scale)


def _track(track: Track, trak: memoryview, movie_scale: int) -> TrackFacts:
    media_header = _descend(trak, b"mdia", b"mdhd")
    table = _descend(trak, b"mdia", b"minf", b"stbl")
    if media_header is None or table is None:
        raise NotMp4Error(f"its {track} track has no sample table")
    scale = _timescale(media_header)
    sizes, size_total = _sizes(_descend(table, b"stsz"))
    sync = _descend(table, b"stss")
    composition = _descend(table, b"ctts")
    first_offset = _u32(composition, 12) if composition is not None and _u32(composition, 4) else 0
    edits = _edits(_descend(trak, b"edts", b"elst"))
    shown = [e for e in edits if e[1] != _EMPTY_EDIT]
    return TrackFacts(
        track=track,
        samples=sizes,
        sync_samples=_u32(sync, 4) if sync is not None else sizes,
        sample_bytes=size_total,
        delay=_rescaled(sum(d for d, t in edits if t == _EMPTY_EDIT), movie_scale),
        hidden=_rescaled(shown[0][1] - first_offset, scale) if shown else 0,
        shown=_rescaled(sum(d for d, _ in shown), movie_scale)
        if shown
        else _media_ticks(media_header, scale),
    )


def _edits(elst: memoryview | None) -> list[tuple[int, int]]:
    """Give duration (movie scale) and media time (media scale) of each edit."""
    if elst is None:
        return []
    width = 8 if elst[0] == 1 else 4
    row = 2 * width + 4
    if 8 + _u32(elst, 4) * row > len(elst):
        raise NotMp4Error("an edit list is cut short")
    return [
        (
            int.from_bytes(elst[at : at + width]),
            int.from_bytes(elst[at + width : at + 2 * width], signed=True),
        )
        for at in range(8, 8 + _u32(elst, 4) * row, row)
    ]


def _sizes(stsz: memoryview | None) -> tuple[int, int]:
    """Give the number of samples and the sum of their sizes."""
    if stsz is None:
        raise NotMp4Error("a track has no sample sizes")
    same, count = _u32(stsz, 4), _u32(stsz, 8)
    if same:
        return count, same * count
    if len(stsz) < 12 + 4 * count:
        raise NotMp4Error("a table of sample sizes is cut short")
    table = array("I", bytes(stsz[12 : 12 + 4 * count]))
    if sys.byteorder == "little":
        table.byteswap()
    return count, sum(table)


def _timescale(header: memoryview) -> int:
    scale = _u32(header, 20 if header[0] == 1 else 12)
    if scale == 0:
        raise NotMp4Error("a header has a time scale of zero")
    return scale


def _media_ticks(header: memoryview, scale: int) -> int:
    duration = int.from_bytes(header[24:32]) if header[0] == 1 else _u32(header, 16)
    return _rescaled(duration, scale)


def _rescaled(value: int, scale: int) -> int:
    return round(value * TICKS_PER_SECOND / scale)


def _u32(data: memoryview, at: int) -> int:
    if at + 4 > len(data):
        raise NotMp4Error("a box of its index is cut short")
    return int.from_bytes(data[at : at + 4])
