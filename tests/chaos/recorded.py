"""What a buffer volume holds of a stretch of time, read from the segments themselves."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path

from replay_operator.api.replaycapture import Track
from replay_operator.media.runs import NANOSECONDS_PER_SECOND, Run, read_buffer
from replay_operator.media.timeline import (
    MEDIA_EPOCH_TICKS,
    MIN_PAUSE_TICKS,
    TICKS_PER_SECOND,
    Interval,
    merged,
    pauses,
    without,
)
from replay_operator.media.ts_probe import scan_segment

_NS_PER_TICK = NANOSECONDS_PER_SECOND / TICKS_PER_SECOND
_JOIN_NS = int(MIN_PAUSE_TICKS * _NS_PER_TICK)
"""A shorter pause is no hole: neither for a capture, nor here."""


class RecordedTime:
    """Capture times that complete segments cover, in Unix nanoseconds. A segment is scanned once."""

    def __init__(self, volume: Path) -> None:
        """Take the buffer volume's directory."""
        self._volume = volume
        self._scanned: dict[Path, dict[Track, list[Interval]]] = {}

    def of(self, buffer_path: str, *tracks: Track) -> list[Interval]:
        """Give what is covered of a buffer by any run.

        Args:
            buffer_path: The buffer's directory, relative to the volume.
            tracks: Any of these tracks counts; both when none is named.
        """
        directory = self._volume / buffer_path
        if not directory.is_dir():
            return []
        runs = read_buffer(directory)
        spans = [_at_clock(run, span) for run in runs for span in self._spans(run, tracks or tuple(Track))]
        return merged(Interval(span.start, span.end + _JOIN_NS) for span in spans)

    def newest_ns(self, buffer_path: str) -> int:
        """Give the newest instant on disk, 0 when there is none."""
        return max((covered.end - _JOIN_NS for covered in self.of(buffer_path)), default=0)

    def _spans(self, run: Run, tracks: tuple[Track, ...]) -> list[Interval]:
        scans = [self._scan(segment.path) for segment in run.segments]
        return [span for scan in scans for track in tracks for span in scan.get(track, [])]

    def _scan(self, path: Path) -> dict[Track, list[Interval]]:
        if path not in self._scanned:
            self._scanned[path] = {
                scan.track: without([Interval(scan.start, scan.end)], pauses(scan.pts, scan.frame_ticks))
                for scan in scan_segment(path.read_bytes()).tracks
            }
        return self._scanned[path]


def _at_clock(run: Run, span: Interval) -> Interval:
    def unix_ns(ticks: int) -> int:
        since_start_ns = (ticks - MEDIA_EPOCH_TICKS) * NANOSECONDS_PER_SECOND // TICKS_PER_SECOND
        return run.media_started_at_ns + since_start_ns

    return Interval(unix_ns(span.start), unix_ns(span.end))


def lost_seconds(published: Iterable[Interval], covered: Iterable[Interval]) -> float:
    """Give how much source time no segment covers, in seconds.

    Args:
        published: When there was something to record, Unix nanoseconds.
        covered: What the segments hold, Unix nanoseconds.
    """
    return sum(hole.ticks for hole in without(published, covered)) / NANOSECONDS_PER_SECOND
