"""Reads the directories of a buffer: which runs there are, their complete segments, and their clocks."""

from __future__ import annotations

import json
import time
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path

from pydantic import ValidationError

from replay_operator.api.agent import RunFile
from replay_operator.api.capture_job import CaptureErrorReason
from replay_operator.api.replaycapture import Clock
from replay_operator.domain.layout import RUN_FILE, segment_index
from replay_operator.media.failure import CaptureFailedError
from replay_operator.media.playlists import Playlist, parse_playlist
from replay_operator.media.timeline import MEDIA_EPOCH_TICKS, TICKS_PER_SECOND
from replay_operator.media.ts_grid import TS_PACKET_BYTES

NANOSECONDS_PER_SECOND = 1_000_000_000
_DEFAULT_SEGMENT_SECONDS = 4
"""What egress takes when segment_duration is not set; only used to place a playlist entry roughly."""
_PLAYLIST_DELAYS_SECONDS = (0.05, 0.2, 0.5)
"""A playlist is empty for a few milliseconds (measured: at most 96), on a network file system for longer."""
_UNIX_EPOCH = datetime.fromtimestamp(0, UTC)
_MAX_MANIFEST_BYTES = 16 * 1024 * 1024


@dataclass(frozen=True, slots=True)
class SegmentFile:
    """One complete segment on disk."""

    index: int
    path: Path
    size_bytes: int


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
        return MEDIA_EPOCH_TICKS + index * self.segment_seconds * TICKS_PER_SECOND

    def ticks_at(self, moment: datetime) -> int:
        """Give the place of a capture time on the run's timeline."""
        since_start_ns = _unix_ns(moment) - self.media_started_at_ns
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
    segments = [s for i in sorted(by_index) if (s := _segment(i, directory / by_index[i])) is not None]
    run_file = _run_file(directory)
    segment_seconds = run_file.segment_seconds if run_file else _target_seconds(playlists)
    clock = _clock(directory, names, run_file, playlists, segment_seconds)
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


def _is_run(directory: Path) -> bool:
    return directory.is_dir() and any(
        n.name == RUN_FILE or n.suffix == ".m3u8" or segment_index(n.name) is not None
        for n in directory.iterdir()
    )


def _playlists(directory: Path) -> list[Playlist]:
    """Read all playlists of a run, again when every one is caught while it is rewritten."""
    for delay_seconds in _PLAYLIST_DELAYS_SECONDS:
        playlists = _read_playlists(directory)
        if not playlists or _highest_index(playlists) >= 0:
            return playlists
        time.sleep(delay_seconds)
    return _read_playlists(directory)


def _read_playlists(directory: Path) -> list[Playlist]:
    return [parse_playlist(_text(p)) for p in sorted(directory.glob("*.m3u8"))]


def _highest_index(playlists: list[Playlist]) -> int:
    return max((h for p in playlists if (h := p.highest_index) is not None), default=-1)


def _segment(index: int, path: Path) -> SegmentFile | None:
    try:
        size = path.stat().st_size
        if size == 0 or size % TS_PACKET_BYTES:
            return None
        with path.open("rb") as file:
            return SegmentFile(index, path, size) if file.read(1) == b"\x47" else None
    except FileNotFoundError:
        return None


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


def _target_seconds(playlists: list[Playlist]) -> int:
    targets = [p.target_duration_seconds for p in playlists if p.target_duration_seconds]
    return max(targets, default=_DEFAULT_SEGMENT_SECONDS)


def _clock(
    directory: Path,
    names: list[str],
    run_file: RunFile | None,
    playlists: list[Playlist],
    segment_seconds: int,
) -> tuple[int, Clock] | None:
    """Find the run's clock, best source first (DESIGN §6.8)."""
    if run_file is not None and run_file.media_started_at_ns is not None:
        return run_file.media_started_at_ns, Clock.STARTED_AT
    for name in names:
        if name.startswith("EG_") and name.endswith(".json"):
            manifest_ns = _manifest_started_at_ns(directory / name)
            if manifest_ns is not None:
                return manifest_ns, Clock.MANIFEST
    first = min((e for p in playlists for e in p.entries), key=lambda e: e.index, default=None)
    if first is None or first.program_date_time is None:
        return None
    before_ns = first.index * segment_seconds * NANOSECONDS_PER_SECOND
    return _unix_ns(first.program_date_time) - before_ns, Clock.PROGRAM_DATE_TIME


def _manifest_started_at_ns(path: Path) -> int | None:
    try:
        if path.stat().st_size > _MAX_MANIFEST_BYTES:
            return None
        manifest = json.loads(path.read_bytes())
    except (OSError, ValueError):
        return None
    started_at = manifest.get("started_at") if isinstance(manifest, dict) else None
    return started_at if isinstance(started_at, int) and started_at > 0 else None


def _unix_ns(moment: datetime) -> int:
    # Integers all the way: a float has no nanoseconds left in this century.
    since = moment - _UNIX_EPOCH
    return (since.days * 86_400 + since.seconds) * NANOSECONDS_PER_SECOND + since.microseconds * 1000
