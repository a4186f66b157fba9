"""Follows the runs on the buffer volume: playlists every second, directories every minute.

The scan is the only source of coverage, so a stalled volume shows as an old `scanned_at`, not as dead runs.
"""

from __future__ import annotations

import asyncio
import json
import logging
from collections.abc import Callable
from datetime import datetime

from replay_operator.agent.clock import AgentClock
from replay_operator.agent.file_work import FileWork
from replay_operator.agent.metrics import AgentMetrics
from replay_operator.agent.ownership import read_state, write_state
from replay_operator.agent.run_reader import (
    Known,
    Reading,
    SegmentProbe,
    read_arrivals,
    read_directory,
    stat_playlists,
)
from replay_operator.agent.state import NOTHING_LISTED, KeptIndex, RunState, VolumeState
from replay_operator.agent.volume import Volume
from replay_operator.api.agent import RunFile
from replay_operator.domain.layout import RunPath

HIGHEST_INDICES_FILE = "highest-indices.json"
_HIGHEST_INDICES_LIMIT_BYTES = 4 * 1024 * 1024

_Reader = Callable[[Volume, RunPath, Known, SegmentProbe], Reading]
_logger = logging.getLogger(__name__)


class Scanner:
    """Keeps `state` true to what lies on the volume."""

    def __init__(
        self,
        *,
        volume: Volume,
        files: FileWork,
        clock: AgentClock,
        probe: SegmentProbe,
        metrics: AgentMetrics,
        guard: asyncio.Lock,
        relist_interval_seconds: float,
    ) -> None:
        """Take what is needed; `load` must be called before the first scan.

        Args:
            volume: The buffer volume.
            files: The way to file operations.
            clock: Tells when something was seen.
            probe: Looks into a segment.
            metrics: Where errors are counted.
            guard: Held by whoever makes or removes directories.
            relist_interval_seconds: How often directories are listed.
        """
        self._volume = volume
        self._files = files
        self._clock = clock
        self._probe = probe
        self._metrics = metrics
        self._guard = guard
        self._relist_interval_seconds = relist_interval_seconds
        self._relisted_seconds: float | None = None
        self._remembered: dict[str, int] = {}
        self.state = VolumeState()
        self.scanned_at: datetime | None = None

    async def load(self) -> None:
        """Take up the highest indices that an earlier agent saw.

        Raises:
            OSError: The volume cannot be read.
        """
        content = await self._files.run(
            read_state, self._volume.root, HIGHEST_INDICES_FILE, limit_bytes=_HIGHEST_INDICES_LIMIT_BYTES
        )
        self._remembered = _parse_highest_indices(content) if content else {}

    async def scan(self) -> None:
        """Look once at everything that is due.

        Raises:
            OSError: The volume cannot be listed; what is known stays.
        """
        now_seconds = self._clock.monotonic()
        if (
            self._relisted_seconds is None
            or now_seconds - self._relisted_seconds >= self._relist_interval_seconds
        ):
            await self._relist()
            self._relisted_seconds = now_seconds
        else:
            await self._follow()
        self.scanned_at = self._clock.now()

    async def remember(self) -> None:
        """Store the highest indices when they changed, for the next agent.

        Raises:
            OSError: The volume cannot be written.
        """
        highest = {
            run.path.relative: run.highest_index for run in self.state.runs() if run.highest_index >= 0
        }
        if highest == self._remembered:
            return
        await self._files.run(
            write_state, self._volume.root, HIGHEST_INDICES_FILE, json.dumps(highest).encode()
        )
        self._remembered = highest

    def adopt(self, path: RunPath, run_file: RunFile) -> None:
        """Follow a run whose directory was just made, or whose `run.json` changed.

        Args:
            path: The run.
            run_file: What its `run.json` holds now.
        """
        run = self.state.run(path) or self._new_run(path)
        run.run_file = run_file
        run.last_sign_seconds = self._clock.monotonic()
        self.state.add(run)

    def _new_run(self, path: RunPath) -> RunState:
        return RunState(
            path=path,
            last_sign_seconds=self._clock.monotonic(),
            highest_index=self._remembered.get(path.relative, NOTHING_LISTED),
        )

    async def _follow(self) -> None:
        followed = [run for run in self.state.runs() if not run.ended or run.unsettled]
        if not followed:
            return
        directories = [self._volume.directory(run.path) for run in followed]
        stamps = await self._files.run(stat_playlists, directories)
        changed = [
            run for run, now in zip(followed, stamps, strict=True) if now != run.stamps or run.unsettled
        ]
        await asyncio.gather(*(self._read(run, read_arrivals) for run in changed))

    async def _relist(self) -> None:
        async with self._guard:
            listed = await self._files.run(self._volume.list_buffers)
            new = self._match(listed)
        await asyncio.gather(*(self._read_run_file(run) for run in new))
        for buffer in listed:
            runs = self.state.buffers.get(buffer, {})
            await asyncio.gather(*(self._read(run, read_directory) for run in list(runs.values())))

    async def _read_run_file(self, run: RunState) -> None:
        try:
            stored = await self._files.run(self._volume.read_run_file, run.path)
        except OSError as error:
            self._unreadable(run, error)
        else:
            # An `adopt` that came meanwhile knows better.
            run.run_file = run.run_file or stored

    def _match(self, listed: dict[str, list[RunPath]]) -> list[RunState]:
        """Make the state name exactly the listed directories, and give the runs that are new to it."""
        known, self.state.buffers = self.state.buffers, {buffer: {} for buffer in listed}
        new: list[RunState] = []
        for path in (path for paths in listed.values() for path in paths):
            run = known.get(path.buffer, {}).get(path.run)
            if run is None:
                run = self._new_run(path)
                new.append(run)
            self.state.add(run)
        return new

    async def _read(self, run: RunState, reader: _Reader) -> None:
        run_file = run.run_file
        known = Known(
            highest_index=run.highest_index,
            ended=run.ended,
            unsettled=run.unsettled,
            segments=run.segments.copy(),
            kept_index=run.kept_index,
            segment_seconds=run_file.segment_seconds if run_file is not None else None,
            has_clock=run_file is not None and bool(run_file.media_started_at_ns),
        )
        try:
            reading = await self._files.run(reader, self._volume, run.path, known, self._probe)
        except OSError as error:
            self._unreadable(run, error)
            return
        run.read_error = None
        if reading.stamps != run.stamps or reading.found:
            run.last_sign_seconds = self._clock.monotonic()
        self._warn_of_index(run, reading.kept_index)
        _apply(run, reading)

    def _warn_of_index(self, run: RunState, kept: KeptIndex) -> None:
        before = run.kept_index.error if run.kept_index is not None else None
        if kept.error is not None and kept.error != before:
            self._metrics.scan_errors.inc()
            _logger.warning(
                "the index of run %s cannot be kept, look at the owner and mode of its directory; clips "
                "from it take longer: %s",
                run.path.relative,
                kept.error,
            )

    def _unreadable(self, run: RunState, error: OSError) -> None:
        self._metrics.scan_errors.inc()
        # A broken run is read again every second: one line for each new reason.
        if run.read_error != str(error):
            _logger.warning("run %s cannot be read, it is tried again: %s", run.path.relative, error)
        run.read_error = str(error)


def _apply(run: RunState, reading: Reading) -> None:
    run.stamps = reading.stamps
    run.highest_index = reading.highest_index
    run.ended = reading.ended
    run.unsettled = reading.unsettled
    run.kept_index = reading.kept_index
    run.written = reading.written or run.written
    run.segments.update(reading.found)
    run.segments.drop(reading.lost)


def _parse_highest_indices(content: bytes) -> dict[str, int]:
    try:
        stored = json.loads(content)
    except (ValueError, RecursionError):
        return {}
    if not isinstance(stored, dict):
        return {}
    return {path: index for path, index in stored.items() if isinstance(index, int)}
