"""Deletes segments, counts them by why, and says once a round what the volume refused."""

from __future__ import annotations

import logging
from collections.abc import Iterable, Mapping, Sequence

from replay_operator.agent.file_work import FileWork
from replay_operator.agent.metrics import AgentMetrics
from replay_operator.agent.state import RunState
from replay_operator.agent.volume import Volume
from replay_operator.domain.retention import StoredSegment

_logger = logging.getLogger(__name__)


class Remover:
    """The one way in which segments leave the buffer volume. The caller holds the guard of the volume."""

    def __init__(self, volume: Volume, files: FileWork, metrics: AgentMetrics) -> None:
        """Take what is needed.

        Args:
            volume: The buffer volume.
            files: The way to file operations.
            metrics: Where deletions are counted.
        """
        self._volume = volume
        self._files = files
        self._metrics = metrics

    async def remove(
        self, runs: Mapping[str, RunState], segments: Iterable[StoredSegment], *, reason: str
    ) -> int:
        """Delete segments of one buffer, and give how many bytes went.

        Args:
            runs: The buffer's runs by name.
            segments: What goes, in the order in which it goes within each run.
            reason: Why, as the metrics say it.
        """
        of_run: dict[str, list[int]] = {}
        for segment in segments:
            of_run.setdefault(segment.run, []).append(segment.index)
        return sum([await self.remove_from(runs[name], of_run[name], reason=reason) for name in of_run])

    async def remove_from(self, run: RunState, indices: Sequence[int], *, reason: str) -> int:
        """Delete segments of one run, and give how many bytes went.

        Args:
            run: The run.
            indices: Which segments, in the order in which they go.
            reason: Why, as the metrics say it.
        """
        if not indices:
            return 0
        removal = await self._files.run(self._volume.remove_segments, run.path, indices)
        gone_bytes = run.segments.drop(removal.gone)
        self._metrics.deleted_segments.labels(reason).inc(len(removal.gone))
        self._metrics.deleted_bytes.labels(reason).inc(gone_bytes)
        if removal.error is not None:
            self.refused(run.path.relative, removal.error)
        return gone_bytes

    def refused(self, path: str, error: OSError) -> None:
        """Count and say what the volume would not delete.

        Args:
            path: What, relative to the volume.
            error: Why.
        """
        self._metrics.deletion_errors.inc()
        _logger.warning(
            "%s on the buffer volume cannot be deleted, look at its owner and mode: %s", path, error
        )
