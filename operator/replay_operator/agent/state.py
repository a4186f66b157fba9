"""What the agent knows of the buffer volume, in memory. Only the event loop changes it."""

from __future__ import annotations

from dataclasses import dataclass, field
from datetime import datetime

from replay_operator.agent.segments import SegmentTable
from replay_operator.api.agent import RunFile
from replay_operator.domain.layout import RunPath
from replay_operator.media.run_clock import WrittenClocks

NOTHING_LISTED = -1
"""Highest index of a run whose playlists have named no segment yet."""

LIVE_SECONDS = 120.0
"""A run counts as live for so long after its last sign: eight of the longest segments (15 s)."""


@dataclass(frozen=True, slots=True)
class PlaylistStamp:
    """What tells that a playlist was written again."""

    modified_at_ns: int
    bytes: int


@dataclass(frozen=True, slots=True)
class KeptIndex:
    """How long the index of a run is, and why it could not be read or written the last time."""

    lines: int
    error: str | None = None


Stamps = tuple[PlaylistStamp | None, ...]


@dataclass(slots=True)
class RunState:
    """One run directory.

    `highest_index` is the highest one that any playlist ever named; it never goes down (DESIGN §6.7).
    `unsettled` are listed segments that were missing or no good MPEG-TS when last looked at.
    `last_sign_seconds` is the monotonic time of the last news of the run. `read_error` is why it could
    not be read at the last look.
    `kept_index` tells of the run's index file; None before that was read. `written` are the clocks that
    egress wrote, looked up only when `run.json` does not tell the time.
    """

    path: RunPath
    last_sign_seconds: float
    run_file: RunFile | None = None
    highest_index: int = NOTHING_LISTED
    ended: bool = False
    stamps: Stamps | None = None
    segments: SegmentTable = field(default_factory=SegmentTable)
    unsettled: frozenset[int] = frozenset()
    read_error: str | None = None
    kept_index: KeptIndex | None = None
    written: WrittenClocks = field(default_factory=WrittenClocks)

    @property
    def bytes(self) -> int:
        """The size of all its segment files."""
        return self.segments.size_bytes

    def is_live(self, now_seconds: float) -> bool:
        """Say whether the run may still be written.

        Args:
            now_seconds: Monotonic seconds of this call.
        """
        return not self.ended and now_seconds - self.last_sign_seconds < LIVE_SECONDS


@dataclass(slots=True)
class VolumeState:
    """All run directories: buffer path to run name to state. A buffer without runs is an empty directory.

    `trimmed_since` tells of buffers that lose segments inside their window to the free space floor.
    """

    buffers: dict[str, dict[str, RunState]] = field(default_factory=dict)
    trimmed_since: dict[str, datetime] = field(default_factory=dict)

    def runs(self) -> list[RunState]:
        """Give the runs of all buffers."""
        return [run for runs in self.buffers.values() for run in runs.values()]

    def run(self, path: RunPath) -> RunState | None:
        """Give one run, or None when it is not known.

        Args:
            path: The run.
        """
        return self.buffers.get(path.buffer, {}).get(path.run)

    def add(self, run: RunState) -> None:
        """Take in a run.

        Args:
            run: Its state.
        """
        self.buffers.setdefault(run.path.buffer, {})[run.path.run] = run

    def forget(self, path: RunPath) -> None:
        """Drop a run whose directory is gone.

        Args:
            path: The run.
        """
        self.buffers.get(path.buffer, {}).pop(path.run, None)
