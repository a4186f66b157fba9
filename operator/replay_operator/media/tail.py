"""Waits on the buffer volume for the segment that holds the last instant of a range (DESIGN §7).

The Job is made before that segment is due, so that the start of its pod costs no time.
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from pathlib import Path

from replay_operator.api.capture_job import CaptureRequest
from replay_operator.domain.capture_timing import ARRIVAL_SLACK, FRAME_TOLERANCE
from replay_operator.domain.layout import RUN_FILE
from replay_operator.media.playlists import parse_playlist
from replay_operator.media.runs import Run, read_run
from replay_operator.media.selection import read_and_scan

POLL_SECONDS = 0.1
"""Looking costs a few `stat` calls for each run; a run is read again only when its playlists have changed."""

SILENCE_GRACE = timedelta(seconds=6)
"""A run without a new segment for 2 x segmentSeconds + 3 s is dead (DESIGN §6.3). The operator stops it then;
where its picture has ended and its sound goes on, that alone brings the sound, within 3 s more."""

NEXT_RUN_GRACE = timedelta(seconds=2)
"""The directory of the run that holds an instant is made before it; this is for clocks that differ."""

_log = logging.getLogger(__name__)
_Stamps = tuple[tuple[str, int, int], ...]


def newest_instant(runs: Sequence[Run]) -> datetime | None:
    """Give the end of the newest media that can be read, or None when there is none.

    Args:
        runs: The runs of a buffer.
    """
    return max((newest for run in runs if (newest := _newest_of(run)) is not None), default=None)


def await_tail(
    request: CaptureRequest,
    *,
    clock: Callable[[], datetime],
    pause: Callable[[float], None],
    meanwhile: Callable[[], None] = lambda: None,
) -> None:
    """Wait until the last instant of the range is on disk, or will not come any more.

    Args:
        request: `wait_until` is the bound; without it nothing is waited for.
        clock: Gives the time.
        pause: Sleeps so many seconds.
        meanwhile: Does what can be done already; called before each sleep.
    """
    watch = TailWatch(Path(request.buffer_directory), request.end)
    if request.wait_until is not None:
        _log.info("looking for %s on the buffer volume, until %s", request.end, request.wait_until)
    while request.wait_until is not None and (now := clock()) < request.wait_until and not watch.is_over(now):
        meanwhile()
        pause(min(POLL_SECONDS, (request.wait_until - now).total_seconds()))


@dataclass(frozen=True, slots=True)
class _RunTail:
    """How far one run reaches, and when it counts as silent. `newest` is None while it has no segment."""

    newest: datetime | None = None
    silent_after: datetime | None = None
    ended: bool = False

    def goes_on(self, now: datetime) -> bool:
        return not self.ended and (self.silent_after is None or now <= self.silent_after)


@dataclass
class TailWatch:
    """Looks again and again at the end of a buffer."""

    directory: Path
    end: datetime
    _known: dict[Path, tuple[_Stamps, _RunTail]] = field(default_factory=dict)

    def is_over(self, now: datetime) -> bool:
        """Tell whether waiting can end: the instant is on disk, or no run goes on that could bring it.

        Args:
            now: The time.
        """
        tails = self._look()
        if any(t.newest is not None and t.newest >= self.end - FRAME_TOLERANCE for t in tails):
            return True
        could_still_begin = now < self.end + NEXT_RUN_GRACE
        return bool(tails) and not could_still_begin and not any(tail.goes_on(now) for tail in tails)

    def _look(self) -> list[_RunTail]:
        try:
            return [self._run(path) for path in self.directory.iterdir() if path.is_dir()]
        except OSError:
            return []  # the capture itself will say what is wrong with the volume

    def _run(self, directory: Path) -> _RunTail:
        stamps = _stamps(directory)
        known = self._known.get(directory)
        if known is None or known[0] != stamps:
            known = self._known[directory] = (stamps, _read_tail(directory))
        return known[1]


def _stamps(directory: Path) -> _Stamps:
    files = [*directory.glob("*.m3u8"), directory / RUN_FILE]
    found = [(file.name, file.stat()) for file in sorted(files) if file.exists()]
    return tuple((name, status.st_mtime_ns, status.st_size) for name, status in found)


def _read_tail(directory: Path) -> _RunTail:
    ended = any(parse_playlist(file.read_text(errors="replace")).ended for file in directory.glob("*.m3u8"))
    run = read_run(directory)
    newest = None if run is None else _newest_of(run)
    if run is None or newest is None:
        return _RunTail(ended=ended)
    # That came to the disk up to segmentSeconds + 0.7 s after its end; 2 x segmentSeconds later it is silent.
    silent_after = newest + timedelta(seconds=3 * run.segment_seconds) + ARRIVAL_SLACK + SILENCE_GRACE
    return _RunTail(newest, silent_after, ended)


def _newest_of(run: Run) -> datetime | None:
    scans = (read_and_scan(run, file) for file in reversed(run.segments))
    return next((run.instant(scan.end) for scan in scans if scan is not None), None)
