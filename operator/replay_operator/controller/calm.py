"""Buffers that record and only wait for their next segment: nothing need be decided when it comes."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime, timedelta

from replay_operator.api.replaybuffer import ReplayBuffer
from replay_operator.controller.coverage import CoverageWatch
from replay_operator.domain.buffer_status import window_bounds
from replay_operator.domain.decision import Decision
from replay_operator.domain.egress import ns_to_datetime
from replay_operator.domain.health import stale_limit
from replay_operator.domain.layout import buffer_path
from replay_operator.domain.lifecycle import needs_source
from replay_operator.domain.observation import CoverageView, Observation, StartMemory
from replay_operator.domain.renewal import is_clock_wrong, max_age
from replay_operator.domain.status_contract import BufferState

LONGEST = timedelta(minutes=2)
"""At least so often a buffer is decided about all the same, whatever was forgotten here."""


@dataclass(frozen=True, slots=True)
class _Rest:
    path: str
    run: str
    started_at: datetime
    segment_seconds: int
    next_quarter: datetime | None
    until: datetime


class Calm:
    """Knows which re-checks may move on with the segments.

    The re-check of a recording buffer is the moment at which its run would be silent for too long. When it
    comes, segments have come too, nearly always; then only that moment has moved. Whatever else a decision
    looks at wakes the buffer when it changes: LiveKit's list, the fleet's pods, the object, the runs on disk.
    """

    def __init__(self, coverage: CoverageWatch, clock: Callable[[], datetime]) -> None:
        self._coverage = coverage
        self._clock = clock
        self._rests: dict[str, _Rest] = {}

    def note(self, buffer: ReplayBuffer, decision: Decision, seen: Observation) -> None:
        """Take in what was decided last about a buffer, after everything else about it was done.

        Args:
            buffer: Which one.
            decision: What was decided, and carried out.
            seen: What it was decided from.
        """
        rest = self._rest(buffer, decision, seen)
        if rest is None:
            self.forget(buffer.metadata.uid)
        else:
            self._rests[buffer.metadata.uid] = rest

    def forget(self, uid: str) -> None:
        """Let the next re-check of a buffer be a real one."""
        self._rests.pop(uid, None)

    def seconds(self, uid: str) -> float | None:
        """Give how long nothing need be decided about a buffer whose re-check is due.

        Returns:
            Seconds, or None: it must be looked at now.
        """
        rest = self._rests.get(uid)
        if rest is None:
            return None
        view = self._coverage.of(rest.path)
        run = view.runs.get(rest.run)
        if not view.known or run is None or run.ended:
            return None
        if rest.next_quarter is not None and run.newest >= rest.next_quarter:
            return None
        now = self._clock()
        if is_clock_wrong(run, now - rest.started_at, rest.segment_seconds):
            return None
        due = min(run.arrived_at + stale_limit(rest.segment_seconds), rest.until)
        left = (due - now).total_seconds()
        return left if left > 0 else None

    def _rest(self, buffer: ReplayBuffer, decision: Decision, seen: Observation) -> _Rest | None:
        current = decision.current
        if current is None or decision.state is not BufferState.RECORDING or decision.actions:
            return None
        if len(seen.livekit.egresses) != 1 or decision.memory != StartMemory():
            return None  # a hand-over goes on, or waits for its next try
        if seen.flush_until is not None or current.id in seen.starved:
            return None  # what follows from these comes with time alone
        if needs_source(buffer, seen, self._clock()):
            return None  # a track that is missing comes without a word from anybody
        run = seen.coverage.runs.get(seen.runs.get(current.id, ""))
        if run is None or decision.recheck != run.arrived_at + stale_limit(seen.segment_seconds):
            return None  # something else is due: a hand-over, another try
        started_at = ns_to_datetime(current.started_at_ns)
        return _Rest(
            path=buffer_path(buffer.metadata.namespace, buffer.metadata.uid),
            run=run.run,
            started_at=started_at,
            segment_seconds=seen.segment_seconds,
            next_quarter=_next_quarter(buffer, seen.coverage),
            until=min(self._clock() + LONGEST, started_at + max_age(buffer, seen.max_run_age)),
        )


def _next_quarter(buffer: ReplayBuffer, coverage: CoverageView) -> datetime | None:
    """Give the newest instant with which the status must say that the window is fuller; None: it is full."""
    quarter = buffer.spec.window_seconds / 4
    said = buffer.status.window.seconds if buffer.status.window is not None else 0
    bounds = window_bounds(coverage)
    if bounds is None or said >= buffer.spec.window_seconds:
        return None
    return bounds[0] + timedelta(seconds=(said // quarter + 1) * quarter)
