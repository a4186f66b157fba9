"""From a decision to the status that a user reads."""

from __future__ import annotations

from datetime import datetime

from replay_operator.api.replaybuffer import (
    EgressStatusRef,
    RecordedTracks,
    ReplayBuffer,
    ReplayBufferStatus,
    StorageStatus,
    WindowStatus,
)
from replay_operator.domain.decision import Decision
from replay_operator.domain.observation import CoverageView
from replay_operator.domain.status_contract import BUFFER_CONTRACT, RESTARTS, BufferState, conditions_of

_WINDOW_ENDS = frozenset({BufferState.SOURCE_GONE, BufferState.SUSPENDED, BufferState.ENDED})
_NOT_YET = RESTARTS | {BufferState.STARTING}


def buffer_status(
    buffer: ReplayBuffer,
    decision: Decision,
    coverage: CoverageView,
    *,
    run: str | None,
    worker: str | None,
    segment_seconds: int,
    storage: StorageStatus,
    now: datetime,
) -> ReplayBufferStatus:
    """Compute the status of a decision. An unchanged buffer gives an unchanged status.

    Args:
        buffer: The resource with its status as it is.
        decision: What was decided.
        coverage: What lies on disk.
        run: The run of the decision's current egress.
        worker: The pod that writes it; None: not known, and what was known of this egress stays.
        segment_seconds: Segment length in force.
        storage: Where the segments lie.
        now: Time of the decision.
    """
    old = buffer.status
    current = decision.current
    egress, tracks = None, None
    if current is not None and run is not None and decision.state not in _NOT_YET:
        started_at = current.media_started_at
        if worker is None and old.egress is not None and old.egress.id == current.id:
            worker = old.egress.worker
        egress = EgressStatusRef(id=current.id, run=run, started_at=started_at, worker=worker)
        tracks = RecordedTracks(video=current.video_track, audio=current.audio_track)
    return ReplayBufferStatus(
        observed_generation=buffer.metadata.generation,
        conditions=conditions_of(
            old.conditions,
            BUFFER_CONTRACT[decision.state],
            reason=decision.state.value,
            message=decision.message,
            generation=buffer.metadata.generation,
            now=now,
        ),
        egress=egress,
        tracks=tracks,
        window=_window(buffer, coverage, ended=decision.state in _WINDOW_ENDS),
        segment_seconds=segment_seconds,
        storage=storage,
    )


def window_bounds(coverage: CoverageView) -> tuple[datetime, datetime] | None:
    """Give the oldest and newest instant on disk, or None when there is nothing."""
    if not coverage.runs:
        return None
    runs = coverage.runs.values()
    return min(r.oldest for r in runs), max(r.newest for r in runs)


def _window(buffer: ReplayBuffer, coverage: CoverageView, *, ended: bool) -> WindowStatus | None:
    bounds = window_bounds(coverage) if coverage.known else None
    if bounds is None:
        return buffer.status.window
    oldest, newest = bounds
    if ended:
        old = buffer.status.window
        if old is not None and old.end is not None:
            return old  # written once: retention moves the start later, but the end is history
        return WindowStatus(seconds=int((newest - oldest).total_seconds()), start=oldest, end=newest)
    quarter = buffer.spec.window_seconds / 4
    filled = min(4, int((newest - oldest).total_seconds() // quarter))
    before = buffer.status.window
    if before is not None and before.end is None:
        filled = max(filled, int(before.seconds // quarter))  # retention's saw-tooth must not cause writes
    return WindowStatus(seconds=int(filled * quarter)) if filled else None
