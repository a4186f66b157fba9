"""Bringing closed segments to their final names: late, in order, and not atomically."""

import hashlib
import os
import posixpath
import shutil
import time
from collections import deque
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path

from tests.livekit_double.segment_paths import SegmentPaths
from tests.livekit_double.timing import Timing
from tests.livekit_double.worker.encoding_plan import EncodingPlan
from tests.livekit_double.worker.playlists import PlaylistEntry, event_playlist, live_playlist
from tests.livekit_double.worker.segments import Segment, write_transport_stream

_NANOSECONDS = 1_000_000_000
_HOUR_SECONDS = 3600
_INDEX_AT_LEAST_EVERY_SECONDS = 60


@dataclass(frozen=True, slots=True)
class _Closed:
    segment: Segment
    temporary: Path
    due: float


class Publication:
    """The output of one run: temporary files, segments, playlists. Used by one thread."""

    def __init__(
        self,
        paths: SegmentPaths,
        plan: EncodingPlan,
        timing: Timing,
        *,
        egress_id: str,
        temporary_directory: Path,
        has_manifest: bool,
    ) -> None:
        """Prepares an output; nothing is written yet.

        Args:
            paths: final names.
            plan: what the segments hold.
            timing: delays.
            egress_id: names the directory below `temporary_directory` and the manifest.
            temporary_directory: the worker's scratch directory.
            has_manifest: whether a manifest is written at a regular end.
        """
        self._paths = paths
        self._plan = plan
        self._timing = timing
        self._scratch = temporary_directory / egress_id
        self._closed: deque[_Closed] = deque()
        self._entries: list[PlaylistEntry] = []
        self._started_monotonic = 0.0
        self._started_at_ns = 0
        self._index_written = 0.0
        self._lateness_ns = _program_date_time_lateness_ns(egress_id)
        self.segments: list[str] = []
        self.bytes_published = 0
        self.manifest_path = (
            posixpath.join(paths.playlist_directory, f"{egress_id}.json") if has_manifest else ""
        )

    def begin(self, started_at_ns: int, started_monotonic: float) -> None:
        """Says when the first frame was captured, on both clocks."""
        self._started_at_ns = started_at_ns
        self._started_monotonic = started_monotonic
        self._scratch.mkdir(parents=True, exist_ok=True)

    def close_segment(self, segment: Segment, late_seconds: float = 0.0) -> None:
        """Writes a segment to the scratch directory; its final name follows one segment later.

        Args:
            segment: what to write.
            late_seconds: how much later than its PTS say it was captured.
        """
        temporary = self._scratch / posixpath.basename(self._final_path(segment))
        write_transport_stream(str(temporary), segment, self._plan)
        due = (
            self._started_monotonic
            + float(segment.end)
            + late_seconds
            + self._plan.segment_seconds
            + self._timing.arrival_lag_seconds
        )
        self._closed.append(_Closed(segment, temporary, due))

    def next_due(self) -> float:
        """When the next segment is to be published, on the monotonic clock; infinity if none waits."""
        return self._closed[0].due if self._closed else float("inf")

    def expedite(self, due: float) -> None:
        """Nothing that is closed now waits longer than until `due`."""
        self._closed = deque(
            _Closed(each.segment, each.temporary, min(each.due, due)) for each in self._closed
        )

    def publish_next(self) -> None:
        """Copies the oldest waiting segment to its final name, then rewrites both playlists in place."""
        closed = self._closed.popleft()
        final = self._final_path(closed.segment)
        Path(self._paths.playlist_directory).mkdir(mode=0o755, parents=True, exist_ok=True)
        Path(final).parent.mkdir(mode=0o755, parents=True, exist_ok=True)
        # Create, write, close: a reader can see the file half written.
        with closed.temporary.open("rb") as source, Path(final).open("wb") as target:
            shutil.copyfileobj(source, target)
        self.bytes_published += closed.temporary.stat().st_size
        closed.temporary.unlink()
        self.segments.append(final)
        self._entries.append(self._entry(closed.segment, final))
        self._write_playlists(ended=False)

    def finish(self) -> None:
        """Publishes what waits, and ends both playlists."""
        while self._closed:
            self.publish_next()
        if self._entries:
            self._write_playlists(ended=True)
        self.discard()

    def write_manifest(self, text: str) -> None:
        """Writes the manifest beside the playlists, unless the request switched it off."""
        if self.manifest_path:
            Path(self._paths.playlist_directory).mkdir(mode=0o755, parents=True, exist_ok=True)
            _rewrite_in_place(self.manifest_path, text)

    def discard(self) -> None:
        """Removes the scratch directory with everything that was not published."""
        shutil.rmtree(self._scratch, ignore_errors=True)

    def _final_path(self, segment: Segment) -> str:
        return self._paths.segment(
            segment.index, datetime.fromtimestamp(self._media_wall_ns(segment) / _NANOSECONDS, UTC)
        )

    def _media_wall_ns(self, segment: Segment) -> int:
        return self._started_at_ns + int(segment.start * _NANOSECONDS)

    def _entry(self, segment: Segment, final: str) -> PlaylistEntry:
        return PlaylistEntry(
            uri=posixpath.relpath(final, self._paths.playlist_directory),
            seconds=float(segment.end - segment.start),
            program_date_time_ns=self._media_wall_ns(segment) + self._lateness_ns,
        )

    def _write_playlists(self, *, ended: bool) -> None:
        now = time.monotonic()
        hours = int((now - self._started_monotonic) // _HOUR_SECONDS)
        if (
            ended
            or len(self._entries) == 1
            or len(self._entries) % (hours + 1) == 0
            or now - self._index_written >= _INDEX_AT_LEAST_EVERY_SECONDS
        ):
            time.sleep(self._timing.index_lag_seconds)
            text = event_playlist(self._entries, self._plan.segment_seconds, ended=ended)
            _rewrite_in_place(self._paths.playlist, text)
            self._index_written = now
        if self._paths.live_playlist:
            time.sleep(self._timing.live_lag_seconds)
            text = live_playlist(self._entries, self._plan.segment_seconds, ended=ended)
            _rewrite_in_place(self._paths.live_playlist, text)


def _rewrite_in_place(path: str, text: str) -> None:
    # Truncate, then write: an empty playlist can be seen in between, as with the real worker.
    descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o644)
    with os.fdopen(descriptor, "w") as file:
        file.write(text)


def _program_date_time_lateness_ns(egress_id: str) -> int:
    # Measured 0.60-1.32 s after the capture, another value in each run.
    drawn = int.from_bytes(hashlib.sha256(egress_id.encode()).digest()[:4], "big") / 2**32
    return int((0.6 + 0.7 * drawn) * _NANOSECONDS)
