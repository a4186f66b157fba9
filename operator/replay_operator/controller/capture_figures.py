"""Counts captures, and measures how long they took once the agent has told of their last segment."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime, timedelta

from replay_operator.api.capture_job import CaptureErrorReason
from replay_operator.api.replaycapture import ReplayCapture
from replay_operator.domain.capture_observation import CaptureObservation
from replay_operator.domain.capture_timing import last_arrived_before, tail_arrived
from replay_operator.domain.captures import CaptureDecision, Refusal
from replay_operator.domain.observation import CoverageView
from replay_operator.domain.status_contract import STALLED, CaptureState
from replay_operator.metrics import OperatorMetrics

AGENT_FOLLOWS = timedelta(seconds=5)
"""The Job sees a segment before the agent tells of it: what the agent has not told so long after the clip was
ready, the clip was cut without."""

GIVEN_UP = timedelta(minutes=2)
"""An agent that is away for so long leaves a capture unmeasured rather than measured wrongly."""

CREATION_CUT = timedelta(seconds=0.5)
"""creationTimestamp is cut to whole seconds: on average by half of one."""


@dataclass(frozen=True, slots=True)
class _Ready:
    """A capture whose clip is ready, and when."""

    uid: str
    path: str
    end: datetime
    asked_at: datetime
    at: datetime
    segment_seconds: int


class CaptureFigures:
    """The figures of captures: counted by the status that was written, so a restart counts none twice."""

    def __init__(self, coverage_of: Callable[[str], CoverageView], metrics: OperatorMetrics) -> None:
        """Take what is needed.

        Args:
            coverage_of: Gives what lies on disk of a buffer, by its directory.
            metrics: Where the figures go.
        """
        self._coverage_of = coverage_of
        self._metrics = metrics
        self._unmeasured: list[_Ready] = []
        for reason in (*CaptureErrorReason, *Refusal):
            # Shown as 0 from the start: a rate does not see a series begin with 1.
            metrics.capture_errors.labels(error_type=reason.value)

    def count(
        self, before: ReplayCapture, decision: CaptureDecision, seen: CaptureObservation, now: datetime
    ) -> None:
        """Count what a decision about a capture brought; call it when its status is written.

        Args:
            before: The capture that was decided about.
            decision: The decision.
            seen: What it looked at.
            now: Time of the decision.
        """
        if not before.status.conditions:
            self._metrics.capture_attempts.inc()
        if decision.state is CaptureState.FAILED:
            reason = next(c.reason for c in decision.status.conditions if c.type == STALLED)
            self._metrics.capture_errors.labels(error_type=reason).inc()
        source, wanted = decision.status.source, decision.status.range
        if decision.state is not CaptureState.READY or source is None or wanted is None:
            return
        self._metrics.captures.inc()
        asked_at = before.metadata.creation_timestamp + CREATION_CUT
        uid, seconds = before.metadata.uid, seen.segment_seconds
        self._unmeasured.append(_Ready(uid, source.path, wanted.end, asked_at, now, seconds))

    def measure(self, now: datetime) -> None:
        """Measure the finished captures whose last segment the agent has told of.

        Args:
            now: The time.
        """
        self._unmeasured = [
            ready for ready in self._unmeasured if not self._is_measured(ready) and now - ready.at < GIVEN_UP
        ]

    def _is_measured(self, ready: _Ready) -> bool:
        coverage = self._coverage_of(ready.path)
        arrived = tail_arrived(ready.end, ready.segment_seconds, coverage)
        if arrived is None and coverage.as_of is not None and coverage.as_of > ready.at + AGENT_FOLLOWS:
            arrived = last_arrived_before(ready.end, coverage)
        if arrived is None:
            return False
        wish = max(ready.asked_at, ready.end)
        begun = max(ready.asked_at, arrived)
        self._metrics.capture_seconds.observe(
            max(0.0, (ready.at - begun).total_seconds()), {"capture_uid": ready.uid}
        )
        self._metrics.capture_tail_seconds.observe(max(0.0, (arrived - wish).total_seconds()))
        return True
