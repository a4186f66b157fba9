"""Reads one run directory: what its playlists name, and the segments that nobody looked at yet. Blocks."""

from __future__ import annotations

import os
import stat
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, replace
from pathlib import Path, PurePosixPath

from replay_operator.agent.directories import read_below
from replay_operator.agent.state import MediaSpan, PlaylistStamp, SegmentFile, Stamps
from replay_operator.agent.volume import Volume
from replay_operator.domain.layout import INDEX_PLAYLIST, LIVE_PLAYLIST, RunPath, segment_name
from replay_operator.media.playlists import parse_playlist

PLAYLISTS = (INDEX_PLAYLIST, LIVE_PLAYLIST)

PLAYLIST_TAIL_BYTES = 16 * 1024
"""The highest index stands at the end. An event playlist grows by 80 bytes a segment, without bound."""

_LONGEST_STEP = 64
"""More new indices than this are looked up in the directory, so that a mad playlist costs one listing."""

SegmentProbe = Callable[[Path], MediaSpan | None]
"""Looks into one segment file: its span, or None when it is no good MPEG-TS."""


@dataclass(frozen=True, slots=True)
class Known:
    """What is known of a run before it is read."""

    highest_index: int
    ended: bool
    unsettled: frozenset[int]
    segments: Mapping[int, SegmentFile]


@dataclass(frozen=True, slots=True)
class _Playlists:
    stamps: Stamps
    highest_index: int
    ended: bool


@dataclass(frozen=True, slots=True)
class Reading:
    """What reading a run gave: the playlist facts, never less than what was known, and what is new."""

    stamps: Stamps
    highest_index: int
    ended: bool
    found: tuple[SegmentFile, ...]
    lost: frozenset[int]
    unsettled: frozenset[int]


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
    unseen = {index for index in on_disk if not _is_good(known.segments.get(index))}
    reading = _look(volume, path, known, probe, indices=unseen, playlists=playlists)
    lost = frozenset(index for index in known.segments if index not in on_disk)
    # What was already bad at an earlier look stays bad until the next listing: no look each second for ever.
    unsettled = frozenset(index for index in reading.unsettled if index > known.highest_index)
    return replace(reading, lost=lost, unsettled=unsettled)


def _read_playlists(volume: Volume, path: RunPath, known: Known) -> _Playlists:
    # Stamps first: a playlist that is written while we read it has another stamp at the next look.
    (stamps,) = stat_playlists([volume.directory(path)])
    highest, ended = known.highest_index, known.ended
    for name in PLAYLISTS:
        parts = PurePosixPath(path.relative).parts
        content = read_below(volume.root, *parts, name, limit_bytes=PLAYLIST_TAIL_BYTES)
        if content:
            playlist = parse_playlist(content.decode(errors="replace"))
            named = playlist.highest_index
            highest = highest if named is None else max(highest, named)
            ended = ended or playlist.ended
    return _Playlists(stamps, highest, ended)


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
    found: list[SegmentFile] = []
    unsettled: set[int] = set()
    for index in sorted(indices):
        before = known.segments.get(index)
        segment = _look_at(
            directory / segment_name(index), index, before, probe if index <= highest else None
        )
        if segment is not None and segment is not before:
            found.append(segment)
        if index <= highest and not _is_good(segment):
            unsettled.add(index)
    return Reading(
        stamps=playlists.stamps,
        highest_index=highest,
        ended=playlists.ended,
        found=tuple(found),
        lost=frozenset(),
        unsettled=frozenset(unsettled),
    )


def _look_at(
    file: Path, index: int, before: SegmentFile | None, probe: SegmentProbe | None
) -> SegmentFile | None:
    try:
        status = file.lstat()
    except FileNotFoundError:
        return None
    if not stat.S_ISREG(status.st_mode):
        return None
    unchanged = before is not None and (before.bytes, before.arrived_at_ns) == (
        status.st_size,
        status.st_mtime_ns,
    )
    if unchanged and before is not None and (before.probed or probe is None):
        return before
    return SegmentFile(
        index=index,
        bytes=status.st_size,
        arrived_at_ns=status.st_mtime_ns,
        probed=probe is not None,
        span=probe(file) if probe is not None else None,
    )


def _is_good(segment: SegmentFile | None) -> bool:
    return segment is not None and segment.span is not None


def _stamp(playlist: str) -> PlaylistStamp | None:
    try:
        status = os.stat(playlist, follow_symlinks=False)  # noqa: PTH116 - a Path for each, every second, costs more than the look
    except FileNotFoundError:
        return None
    return PlaylistStamp(modified_at_ns=status.st_mtime_ns, bytes=status.st_size)
