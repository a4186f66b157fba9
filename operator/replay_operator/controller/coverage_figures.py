"""Follows the agent's words for the figures that tell whether anybody's moment is being lost."""

from __future__ import annotations

from collections.abc import Callable
from datetime import datetime

from replay_operator.api.agent import Coverage, RunCoverage
from replay_operator.api.meta import find_condition
from replay_operator.api.replaybuffer import ReplayBuffer
from replay_operator.controller.store import ObjectStore
from replay_operator.domain.coverage_figures import (
    NOTHING_TO_RECORD,
    SHOULD_RECORD,
    Newest,
    hole_seconds,
    newest_of,
    percentiles,
    worst_shift_seconds,
)
from replay_operator.domain.layout import buffer_path
from replay_operator.domain.observation import CoverageView
from replay_operator.domain.status_contract import RECORDING
from replay_operator.metrics import OperatorMetrics


class CoverageFigures:
    """Holes are counted as words of the agent come, ages are taken when somebody scrapes.

    A hole that began under another process is counted by this one, as far as it knows the run before it: the
    first word tells what there was.
    """

    def __init__(
        self,
        *,
        buffers: ObjectStore[ReplayBuffer],
        coverage_of: Callable[[str], CoverageView],
        segment_seconds: int,
        metrics: OperatorMetrics,
    ) -> None:
        """Take what is needed.

        Args:
            buffers: All buffers.
            coverage_of: Gives what lies on disk of a buffer, by its directory.
            segment_seconds: Of buffers that name none.
            metrics: Where the figures go.
        """
        self._buffers = buffers
        self._coverage_of = coverage_of
        self._segment_seconds = segment_seconds
        self._metrics = metrics
        self._runs: dict[str, dict[str, RunCoverage]] = {}
        self._reached: dict[str, datetime] = {}
        self._looked_at = -1
        self._idle: set[str] = set()
        metrics.metrics.before_each_page(self.measure)

    def heard(self, coverage: Coverage) -> None:
        """Take in a word of the agent.

        Args:
            coverage: Everything, or what has changed.
        """
        self._look_at_buffers()
        told = {buffer.path: {run.run: run for run in buffer.runs} for buffer in coverage.buffers}
        gone = self._runs.keys() - told.keys() if coverage.since is None else coverage.gone
        for path in gone:
            self._runs.pop(path, None)
        for path, runs in told.items():
            self._take(path, runs)

    def measure(self) -> None:
        """Set the gauges from what is known now."""
        found = [newest for buffer in self._buffers if (newest := self._newest(buffer)) is not None]
        for percentile, age in percentiles([newest.age_seconds for newest in found]).items():
            self._metrics.newest_age_seconds.labels(percentile=percentile).set(age)
        self._metrics.stale_buffers.set(sum(newest.is_stale for newest in found))
        self._metrics.clock_shift_seconds.set(
            worst_shift_seconds(run for runs in self._runs.values() for run in runs.values())
        )

    def _take(self, path: str, runs: dict[str, RunCoverage]) -> None:
        known, reached = self._runs.get(path, {}), self._reached.get(path)
        self._runs[path] = runs
        newest = newest_of(runs.values())
        if newest is not None:
            self._reached[path] = max(newest, reached or newest)
        if runs.keys() <= known.keys():
            return
        if path not in self._idle:
            self._metrics.uncovered_seconds.inc(hole_seconds(reached, known, runs))
        self._idle.discard(path)

    def _look_at_buffers(self) -> None:
        """Remember whom nothing was to be recorded of since the last run: what comes next closes no hole."""
        if self._looked_at == self._buffers.changes:
            return
        self._looked_at = self._buffers.changes
        states = {_path(buffer): _state(buffer) for buffer in self._buffers}
        self._idle |= {path for path, state in states.items() if state in NOTHING_TO_RECORD}
        self._idle &= states.keys()
        self._reached = {path: reached for path, reached in self._reached.items() if path in states}

    def _newest(self, buffer: ReplayBuffer) -> Newest | None:
        if _state(buffer) not in SHOULD_RECORD:
            return None
        view = self._coverage_of(_path(buffer))
        newest = newest_of(view.runs.values())
        if newest is None or view.as_of is None:
            return None
        # By the agent's clock, when it looked: a silent agent is not a silent recording.
        age = (view.as_of - newest).total_seconds()
        return Newest(max(0.0, age), buffer.status.segment_seconds or self._segment_seconds)


def _state(buffer: ReplayBuffer) -> str | None:
    condition = find_condition(buffer.status.conditions, RECORDING)
    return condition.reason if condition else None


def _path(buffer: ReplayBuffer) -> str:
    return buffer_path(buffer.metadata.namespace, buffer.metadata.uid)
