"""Reads the directories of a buffer: which runs there are, their complete segments, and their clocks."""

from __future__ import annotations

import os
import stat
import time
from collections.abc import Iterable
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from itertools import islice
from pathlib import Path

from pydantic import ValidationError

from replay_operator.api.agent import RunFile
from replay_operator.api.capture_job import CaptureErrorReason
from replay_operator.api.replaycapture import Clock
from replay_operator.domain.layout import INDEX_FILE, RUN_FILE, is_manifest, segment_index
from replay_operator.media.failure import CaptureFailedError
from replay_operator.media.playlists import Playlist, parse_playlist
from replay_operator.media.run_clock import (
    MAX_MANIFEST_BYTES,
    NANOSECONDS_PER_SECOND,
    Arrival,
    WrittenClocks,
    manifest_started_at_ns,
    playlist_started_at_ns,
    run_clock,
    unix_ns,
)
from replay_operator.media.segment_file import FileStamp, read_segment
from replay_operator.media.segment_index import MAX_INDEX_BYTES, IndexRecord, read_index
from replay_operator.media.timeline import (
    MEDIA_EPOCH_TICKS,
    TICKS_PER_SECOND,
    expected_ticks,
    nanoseconds_after_epoch,
)
from replay_operator.media.ts_grid import TS_PACKET_BYTES, NotMpegTsError
from replay_operator.media.ts_probe import SegmentScan, scan_segment

_DEFAULT_SEGMENT_SECONDS = 4
"""What egress takes when segment_duration is not set; only used to place a playlist entry roughly."""
_PLAYLIST_DELAYS_SECONDS = (0.05, 0.2, 0.5)
"""A playlist is empty for a few milliseconds (measured: at most 96), on a network file system for longer."""
_UNIX_EPOCH = datetime.fromtimestamp(0, UTC)


@dataclass(frozen=True, slots=True)
class SegmentFile:
    """One complete segment on disk. `record` is what the run's index has of this very file."""

    index: int
    path: Path
    stamp: FileStamp
    record: IndexRecord | None = None

    @property
    def size_bytes(self) -> int:
        """Its size."""
        return self.stamp.size_bytes


@dataclass(frozen=True, slots=True)
class Run:
    """The output of one egress, as it lies on disk.

    Attributes:
        segments: The complete ones, by index; at least one.
        lost_indexes: Named by a playlist, but missing or unusable.
        segment_seconds: Asked length of a segment.
        media_started_at_ns: Capture time of PTS 3600 s, Unix nanoseconds.
        clock: Where that comes from.
        file: `run.json`, if the operator wrote one.
    """

    directory: Path
    segments: tuple[SegmentFile, ...]
    lost_indexes: tuple[int, ...]
    segment_seconds: int
    media_started_at_ns: int
    clock: Clock
    file: RunFile | None

    def expected_ticks(self, index: int) -> int:
        """About where on the timeline a segment begins: each is as long as asked (livekit-measured §2)."""
        return expected_ticks(index, self.segment_seconds)

    def ticks_at(self, moment: datetime) -> int:
        """Give the place of a capture time on the run's timeline."""
        since_start_ns = unix_ns(moment) - self.media_started_at_ns
        return MEDIA_EPOCH_TICKS + since_start_ns * TICKS_PER_SECOND // NANOSECONDS_PER_SECOND

    def ticks_after(self, other: Run) -> int:
        """Say how much later this run's timeline begins than another's, by their clocks."""
        later_ns = self.media_started_at_ns - other.media_started_at_ns
        # Rounded, not cut: half a tick is 6 microseconds.
        return (2 * later_ns * TICKS_PER_SECOND + NANOSECONDS_PER_SECOND) // (2 * NANOSECONDS_PER_SECOND)

    def instant(self, ticks: int) -> datetime:
        """Give the capture time of a place on the run's timeline, to the microsecond."""
        since_start_ns = (ticks - MEDIA_EPOCH_TICKS) * NANOSECONDS_PER_SECOND // TICKS_PER_SECOND
        return _UNIX_EPOCH + timedelta(microseconds=(self.media_started_at_ns + since_start_ns) // 1000)


def read_buffer(directory: Path) -> list[Run]:
    """Read all runs of a buffer that have a complete segment and a clock.

    Args:
        directory: The buffer's directory, or the directory of one run.

    Raises:
        CaptureFailedError: BufferUnreadable, when a directory cannot be listed or a file not be read.
    """
    try:
        found = [directory] if _is_run(directory) else sorted(d for d in directory.iterdir() if _is_run(d))
        return [run for d in found if (run := read_run(d)) is not None]
    except OSError as error:
        raise CaptureFailedError(
            CaptureErrorReason.BUFFER_UNREADABLE,
            f"cannot read the buffer's directory {directory}: {error.strerror}. "
            "Check that the buffer volume is mounted and that the buffer has recorded something",
        ) from error


def read_run(directory: Path) -> Run | None:
    """Read one run's directory.

    A segment is complete when its index is not above the highest that any playlist names: the worker
    names them in order, after the copy. Between its copy and its naming it may be half-written.

    Returns:
        The run, or None when it has no complete segment or nothing tells its clock.

    Raises:
        OSError: The directory cannot be read.
    """
    # Playlists first: a segment that arrives between the two steps must not look lost.
    playlists = _playlists(directory)
    highest = _highest_index(playlists)
    names = sorted(p.name for p in directory.iterdir())
    by_index = {i: n for n in names if (i := segment_index(n)) is not None and i <= highest}
    records = read_index(_tail(directory / INDEX_FILE, MAX_INDEX_BYTES)) if by_index else {}
    segments = [
        s for i in sorted(by_index) if (s := _segment(i, directory / by_index[i], records.get(i))) is not None
    ]
    run_file = _run_file(directory)
    segment_seconds = run_file.segment_seconds if run_file else target_seconds(playlists)
    started_at_ns = run_file.media_started_at_ns if run_file else None
    clock = run_clock(
        started_at_ns,
        [] if started_at_ns else _first_arrivals(segments, segment_seconds),
        WrittenClocks(_manifest_ns(directory, names), playlist_started_at_ns(playlists, segment_seconds)),
        ended=any(p.ended for p in playlists),
    )
    if not segments or clock is None:
        return None
    return Run(
        directory=directory,
        segments=tuple(segments),
        lost_indexes=_lost(segments, highest),
        segment_seconds=segment_seconds,
        media_started_at_ns=clock[0],
        clock=clock[1],
        file=run_file,
    )


def scan_file(file: SegmentFile, near_ticks: int) -> SegmentScan | None:
    """Tell what is in a segment, by the index or by reading it. None when it has gone or is no MPEG-TS.

    Args:
        file: The segment.
        near_ticks: About where on the run's timeline it lies.

    Raises:
        OSError: The volume does not answer.
    """
    if file.record is not None and (known := file.record.scan(near_ticks)) is not None:
        return known
    try:
        return scan_segment(read_segment(file.path).data, near_ticks=near_ticks)
    except (FileNotFoundError, NotMpegTsError):
        return None


def _is_run(directory: Path) -> bool:
    return directory.is_dir() and any(
        n.name == RUN_FILE or n.suffix == ".m3u8" or segment_index(n.name) is not None
        for n in directory.iterdir()
    )


def _playlists(directory: Path) -> list[Playlist]:
    """Read all playlists of a run, again when one is caught while it is rewritten.

    Of a run older than an hour only the live one names the newest segments.
    """
    for delay_seconds in _PLAYLIST_DELAYS_SECONDS:
        playlists = _read_playlists(directory)
        if all(playlist.highest_index is not None for playlist in playlists):
            return playlists
        time.sleep(delay_seconds)
    return _read_playlists(directory)


def _read_playlists(directory: Path) -> list[Playlist]:
    return [parse_playlist(_text(p)) for p in sorted(directory.glob("*.m3u8"))]


def _highest_index(playlists: list[Playlist]) -> int:
    return max((h for p in playlists if (h := p.highest_index) is not None), default=-1)


def _segment(index: int, path: Path, record: IndexRecord | None) -> SegmentFile | None:
    try:
        status = path.lstat()
        stamp = FileStamp.of(status)
        if record is not None and record.stamp == stamp:
            return SegmentFile(index, path, stamp, record)
        if not stat.S_ISREG(status.st_mode) or status.st_size == 0 or status.st_size % TS_PACKET_BYTES:
            return None
        with path.open("rb") as file:
            return SegmentFile(index, path, stamp) if file.read(1) == b"\x47" else None
    except FileNotFoundError:
        return None


def _first_arrivals(segments: list[SegmentFile], segment_seconds: int) -> list[Arrival]:
    """Look at the two oldest usable segments: enough to work out a clock from their arrival."""
    scanned = ((s, scan_file(s, expected_ticks(s.index, segment_seconds))) for s in segments)
    arrivals = (
        Arrival(
            index=segment.index,
            arrived_at_ns=segment.stamp.modified_at_ns,
            start_ns=nanoseconds_after_epoch(scan.start),
            end_ns=nanoseconds_after_epoch(scan.end),
        )
        for segment, scan in scanned
        if scan is not None
    )
    return list(islice(arrivals, 2))


def _lost(found: list[SegmentFile], highest: int) -> tuple[int, ...]:
    # What lies before the oldest one was let go by retention: it is not lost.
    if not found:
        return ()
    present = {s.index for s in found}
    return tuple(i for i in range(found[0].index, highest + 1) if i not in present)


def _text(path: Path) -> str:
    try:
        return path.read_text(errors="replace")
    except FileNotFoundError:
        return ""


def _run_file(directory: Path) -> RunFile | None:
    try:
        return RunFile.model_validate_json(_text(directory / RUN_FILE))
    except ValidationError:
        return None


def target_seconds(playlists: Iterable[Playlist]) -> int:
    """Give the length of a segment as the playlists tell it.

    Args:
        playlists: All that could be read.
    """
    targets = [p.target_duration_seconds for p in playlists if p.target_duration_seconds]
    return max(targets, default=_DEFAULT_SEGMENT_SECONDS)


def _manifest_ns(directory: Path, names: list[str]) -> int | None:
    contents = (_tail(directory / n, MAX_MANIFEST_BYTES) for n in names if is_manifest(n))
    return next((ns for content in contents if (ns := manifest_started_at_ns(content)) is not None), None)


def _tail(path: Path, limit_bytes: int) -> bytes:
    """Read the end of a file that need not be there, and that nothing depends on."""
    try:
        with path.open("rb") as file:
            file.seek(max(0, file.seek(0, os.SEEK_END) - limit_bytes))
            return file.read(limit_bytes)
    except OSError:
        return b""
