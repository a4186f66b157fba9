"""Where the light worker puts its segments: on a real volume, or only in the answers of a stand-in agent."""

from __future__ import annotations

import os
import shutil
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Protocol

from replay_operator.api.agent import BufferCoverage, RunCoverage
from replay_operator.api.replaycapture import Clock
from replay_operator.domain.egress import ns_to_datetime
from replay_operator.domain.layout import INDEX_PLAYLIST, LIVE_PLAYLIST, RunPath, segment_name
from tests.livekit_double.worker.playlists import PlaylistEntry, event_playlist, live_playlist


@dataclass(slots=True)
class LightRun:
    """One egress. `media_started_at_ns` is the capture time of PTS 3600 s."""

    path: RunPath
    segment_seconds: int
    media_started_at_ns: int = 0
    entries: list[PlaylistEntry] = field(default_factory=list)


class Recordings(Protocol):
    """Takes what a worker has recorded."""

    def publish(self, run: LightRun) -> None:
        """Add the next segment of a run."""
        ...

    def end(self, run: LightRun) -> None:
        """Say that no more come."""
        ...


class VolumeRecordings:
    """Links prepared segments into the run directories and rewrites both playlists in place.

    All runs share the inode of a segment, and its time of change with it: an agent may read an arrival as
    later than it was, by as much as another run's link came after it and before the look.
    """

    def __init__(self, root: Path, segments: list[Path]) -> None:
        """Take the volume.

        Args:
            root: Mount point of the buffer volume.
            segments: What is linked, by index.
        """
        self._root = root
        self._segments = segments
        self._linkable = True

    def publish(self, run: LightRun) -> None:
        """Add the next segment of a run."""
        index = len(run.entries)
        if index >= len(self._segments):
            raise IndexError(f"only {len(self._segments)} segments were prepared: raise --segments")
        directory = self._root / run.path.relative
        os.utime(self._segments[index])
        self._place(self._segments[index], directory / segment_name(index))
        _note(run)
        self._write(run, ended=False)

    def end(self, run: LightRun) -> None:
        """Say that no more come."""
        if run.entries:
            self._write(run, ended=True)

    def _place(self, segment: Path, target: Path) -> None:
        if self._linkable:
            try:
                os.link(segment, target)
            except OSError:
                self._linkable = False  # another device, or no more links: copies do as well
            else:
                return
        shutil.copyfile(segment, target)

    def _write(self, run: LightRun, *, ended: bool) -> None:
        directory = self._root / run.path.relative
        for name, playlist in ((INDEX_PLAYLIST, event_playlist), (LIVE_PLAYLIST, live_playlist)):
            (directory / name).write_text(playlist(run.entries, run.segment_seconds, ended=ended))


class CoverageRecordings:
    """Keeps no files: tells what an agent would tell if there were some."""

    def __init__(self) -> None:
        self._runs: dict[str, dict[str, RunCoverage]] = {}
        self._told: dict[str, tuple[int, str]] = {}
        self._mark = 0

    def publish(self, run: LightRun) -> None:
        """Add the next segment of a run."""
        _note(run)
        self._tell(run, ended=False)

    def end(self, run: LightRun) -> None:
        """Say that no more come."""
        if run.entries:
            self._tell(run, ended=True)

    def coverage_json(self, *, epoch: int, seq: int, since: str | None) -> str:
        """Give the body of `GET /v1/coverage`.

        Args:
            epoch: Of the policy in force.
            seq: Of the policy in force.
            since: Mark of the answer that the asker holds.
        """
        as_of = datetime.now(UTC).isoformat()
        after = int(since) if since else 0
        buffers = ",".join(text for mark, text in self._told.values() if mark > after)
        goes_on = f'"since":"{since}",' if since else ""
        return (
            f'{{"asOf":"{as_of}","complete":true,"epoch":{epoch},"seq":{seq},'
            f'"mark":"{self._mark}",{goes_on}"buffers":[{buffers}]}}'
        )

    def _tell(self, run: LightRun, *, ended: bool) -> None:
        oldest = ns_to_datetime(run.media_started_at_ns)
        last = len(run.entries) - 1
        runs = self._runs.setdefault(run.path.buffer, {})
        runs[run.path.run] = RunCoverage(
            run=run.path.run,
            segments=last + 1,
            first_index=0,
            last_index=last,
            oldest=oldest,
            newest=oldest + timedelta(seconds=(last + 1) * run.segment_seconds),
            arrived_at=datetime.now(UTC),
            ended=ended,
            clock=Clock.STARTED_AT,
        )
        buffer = BufferCoverage(path=run.path.buffer, bytes=0, runs=tuple(runs.values()))
        self._mark += 1
        self._told[run.path.buffer] = (self._mark, buffer.model_dump_json(by_alias=True, exclude_none=True))


def _note(run: LightRun) -> None:
    index = len(run.entries)
    start_ns = run.media_started_at_ns + index * run.segment_seconds * 1_000_000_000
    run.entries.append(PlaylistEntry(segment_name(index), float(run.segment_seconds), start_ns))
