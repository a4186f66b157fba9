"""Looks at the disk itself for segments that the agent should have deleted."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Sequence
from pathlib import Path

from benchmarks.load.journal import Journal, Measure
from benchmarks.load.pacing import Recorded
from replay_operator.domain.layout import segment_name

_LOOK_SECONDS = 1.0


class OverdueWatch:
    """Knows the oldest segment of each buffer. Buffers with pins are none of its business."""

    def __init__(self, volume: Path, buffers: Sequence[Recorded], journal: Journal) -> None:
        """Take what is watched.

        Args:
            volume: The buffer volume.
            buffers: Those from which nobody captures.
            journal: Where the most overdue segment of each look is noted.
        """
        self._volume = volume
        self._oldest = dict.fromkeys(buffers, 0)
        self._journal = journal

    async def run(self) -> None:
        """Look for ever."""
        while True:
            await asyncio.sleep(_LOOK_SECONDS)
            self._journal.note(Measure.OVERDUE, time.time(), await asyncio.to_thread(self._look))

    def _look(self) -> float:
        return max((self._overdue_seconds(buffer) for buffer in self._oldest), default=0.0)

    def _overdue_seconds(self, buffer: Recorded) -> float:
        directory = self._volume / buffer.path.relative
        while True:
            index = self._oldest[buffer]
            may_go_seconds = buffer.media_end_ns(index) / 1e9 + buffer.window_seconds
            overdue_seconds = time.time() - may_go_seconds
            if overdue_seconds <= 0:
                return 0.0
            if (directory / segment_name(index)).exists():
                return overdue_seconds
            self._oldest[buffer] = index + 1
