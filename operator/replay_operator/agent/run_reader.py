"""Reads one run directory: what its playlists name, and the segments that nobody looked at yet. Blocks."""

from __future__ import annotations

import os
import stat
from collections.abc import Callable, Iterable
from dataclasses import dataclass, replace
from pathlib import Path, PurePosixPath

from replay_operator.agent.directories import names_in, open_below, read_below
from replay_operator.agent.run_index import FoundIndex, find_index, keep_index
from replay_operator.agent.segment_probe import ProbedSegment, media_span
from replay_operator.agent.segments import SegmentFile, SegmentTable
from replay_operator.agent.state import KeptIndex, PlaylistStamp, Stamps
from replay_operator.agent.volume import Volume
from replay_operator.domain.layout import INDEX_PLAYLIST, LIVE_PLAYLIST, RunPath, is_manifest, segment_name
from replay_operator.media.playlists import Playlist, parse_playlist
from replay_operator.media.run_clock import (
    MAX_MANIFEST_BYTES,
    WrittenClocks,
    manifest_started_at_ns,
    playlist_started_at_ns,
)
from replay_operator.media.runs import target_seconds
from replay_operator.media.segment_file import FileStamp
from replay_operator.media.segment_index import IndexRecord
from replay_operator.media.timeline import expected_ticks

PLAYLISTS = (INDEX_PLAYLIST, LIVE_PLAYLIST)

PLAYLIST_TAIL_BYTES = 16 * 1024
"""The highest index stands at the end. An event playlist grows by 80 bytes a segment, without bound."""

_LONGEST_STEP = 64
"""More new indices than this are looked up in the directory, so that a mad playlist costs one listing."""

_MAX_PLAYLIST_BYTES = 4 * 1024 * 1024

SegmentProbe = Callable[[Path, int, int], ProbedSegment | None]
"""Looks into one segment file, given its number and about where it lies; None when it is no good MPEG-TS."""


@dataclass(frozen=True, slots=True)
class Known:
    """What is known of a run before it is read.

    `kept_index` is None as long as nobody has read its index. `segment_seconds` and `has_clock` are from
    `run.json`.
    """

    highest_index: int
    ended: bool
    unsettled: frozenset[int]
    segments: SegmentTable
    kept_index: KeptIndex | None
    segment_seconds: int | None
    has_clock: bool


@dataclass(frozen=True, slots=True)
class _Playlists:
    stamps: Stamps
    highest_index: int
    ended: bool
    segment_seconds: int


@dataclass(frozen=True, slots=True)
class Reading:
    """What reading a run gave: the playlist facts, never less than what was known, and what is new.

    `written` is None when nobody looked for clocks that egress wrote.
    """

    stamps: Stamps
    highest_index: int
    ended: bool
    found: SegmentTable
    lost: frozenset[int]
    unsettled: frozenset[int]
    kept_index: KeptIndex
    written: WrittenClocks | None = None


def stat_playlists(directories: Iterable[Path]) -> list[Stamps]:
    """Look at size and time of the playlists of many runs.

    Args:
        directories: The run directories.
    """
    return [tuple(_stamp(f"{directory}/{name}") for name in PLAYLISTS) for directory in directories]


def read_arrivals(volume: Volume, path: RunPath, known: Known, probe: SegmentProbe) -> Reading:
    """Read the playlists of a run and look at the segments that they name for the first time.

    Args:
        volume: The buffer volume.
        path: The run.
        known: What is known of it.
        probe: Looks into a segment.

    Raises:
        OSError: The directory cannot be read.
    """
    playlists = _read_playlists(volume, path, known)
    first_new = known.highest_index + 1
    highest = playlists.highest_index
    if highest - known.highest_index > _LONGEST_STEP:
        new = {index for index in volume.list_segments(path) if first_new <= index <= highest}
    else:
        new = set(range(first_new, highest + 1))
    return _look(volume, path, known, probe, indices=new | known.unsettled, playlists=playlists)


def read_directory(volume: Volume, path: RunPath, known: Known, probe: SegmentProbe) -> Reading:
    """Do what `read_arrivals` does, and list the directory for what came or went by another way.

    Args:
        volume: The buffer volume.
        path: The run.
        known: What is known of it.
        probe: Looks into a segment.

    Raises:
        OSError: The directory cannot be read.
    """
    playlists = _read_playlists(volume, path, known)
    on_disk = volume.list_segments(path)
    unseen = on_disk - known.segments.complete_indices()
    reading = _look(volume, path, known, probe, indices=unseen, playlists=playlists)
    lost = frozenset(index for index in known.segments if index not in on_disk)
    # What was already bad at an earlier look stays bad until the next listing: no look each second for ever.
    unsettled = frozenset(index for index in reading.unsettled if index > known.highest_index)
    written = None if known.has_clock else _written_clocks(volume, path, playlists.segment_seconds)
    return replace(reading, lost=lost, unsettled=unsettled, written=written)


def _read_playlists(volume: Volume, path: RunPath, known: Known) -> _Playlists:
    # Stamps first: a playlist that is written while we read it has another stamp at the next look.
    (stamps,) = stat_playlists([volume.directory(path)])
    parsed = _parsed(volume, path, PLAYLIST_TAIL_BYTES)
    named = (index for playlist in parsed if (index := playlist.highest_index) is not None)
    return _Playlists(
        stamps=stamps,
        highest_index=max([known.highest_index, *named]),
        ended=known.ended or any(playlist.ended for playlist in parsed),
        segment_seconds=known.segment_seconds or target_seconds(parsed),
    )


def _parsed(volume: Volume, path: RunPath, limit_bytes: int) -> list[Playlist]:
    parts = PurePosixPath(path.relative).parts
    contents = (read_below(volume.root, *parts, name, limit_bytes=limit_bytes) for name in PLAYLISTS)
    return [parse_playlist(content.decode(errors="replace")) for content in contents if content]


def _written_clocks(volume: Volume, path: RunPath, segment_seconds: int) -> WrittenClocks:
    parts = PurePosixPath(path.relative).parts
    with open_below(volume.root, *parts) as directory:
        names = sorted(filter(is_manifest, names_in(directory)))
    contents = (read_below(volume.root, *parts, name, limit_bytes=MAX_MANIFEST_BYTES) for name in names)
    told = (ns for content in contents if content and (ns := manifest_started_at_ns(content)) is not None)
    playlists = _parsed(volume, path, _MAX_PLAYLIST_BYTES)
    return WrittenClocks(next(told, None), playlist_started_at_ns(playlists, segment_seconds))


def _look(
    volume: Volume,
    path: RunPath,
    known: Known,
    probe: SegmentProbe,
    *,
    indices: set[int],
    playlists: _Playlists,
) -> Reading:
    directory = volume.directory(path)
    highest = playlists.highest_index
    index = find_index(volume, path) if known.kept_index is None else FoundIndex({}, known.kept_index)
    found = SegmentTable()
    new: list[IndexRecord] = []
    unsettled: set[int] = set()
    for number in sorted(indices):
        before = known.segments.get(number)
        seen = _look_at(directory / segment_name(number), number, before)
        if seen is not None and not seen.probed and number <= highest:
            seen, record = _probed(directory / segment_name(number), seen, index, probe, playlists)
            new += [record] if record is not None else []
        if seen is not None and seen is not before:
            found[number] = seen
        if number <= highest and not _is_good(seen):
            unsettled.add(number)
    return Reading(
        stamps=playlists.stamps,
        highest_index=highest,
        ended=playlists.ended,
        found=found,
        lost=frozenset(),
        unsettled=frozenset(unsettled),
        kept_index=keep_index(volume, path, index.kept, new, live=known.segments.keys() | found.keys()),
    )


def _look_at(file: Path, index: int, before: SegmentFile | None) -> SegmentFile | None:
    try:
        status = file.lstat()
    except FileNotFoundError:
        return None
    if not stat.S_ISREG(status.st_mode):
        return None
    stamp = FileStamp.of(status)
    return before if before is not None and before.stamp == stamp else SegmentFile(index, stamp)


def _probed(
    file: Path, segment: SegmentFile, index: FoundIndex, probe: SegmentProbe, playlists: _Playlists
) -> tuple[SegmentFile, IndexRecord | None]:
    """Look into a segment, unless the index tells already; also give what the index does not have yet."""
    known = index.records.get(segment.index)
    if known is not None and known.stamp == segment.stamp:
        return replace(segment, probed=True, span=media_span(known.start, known.end)), None
    found = probe(file, segment.index, expected_ticks(segment.index, playlists.segment_seconds))
    if found is None:
        return replace(segment, probed=True), None
    return replace(segment, probed=True, span=found.span), found.record


def _is_good(segment: SegmentFile | None) -> bool:
    return segment is not None and segment.span is not None


def _stamp(playlist: str) -> PlaylistStamp | None:
    try:
        status = os.stat(playlist, follow_symlinks=False)  # noqa: PTH116 - a Path for each, every second, costs more than the look
    except FileNotFoundError:
        return None
    return PlaylistStamp(modified_at_ns=status.st_mtime_ns, bytes=status.st_size)
