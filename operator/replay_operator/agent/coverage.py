"""Answers "what lies on the buffer volume" from memory."""

from __future__ import annotations

from datetime import UTC, datetime

from replay_operator.agent.clock_shift import clock_shift_milliseconds
from replay_operator.agent.state import RunState, VolumeState
from replay_operator.agent.timeline import at, run_clock
from replay_operator.api.agent import BufferCoverage, Coverage, PolicyAck, RunCoverage

_NEVER = datetime(1970, 1, 1, tzinfo=UTC)


def coverage(state: VolumeState, *, scanned_at: datetime | None, policy: PolicyAck) -> Coverage:
    """Describe every buffer on the volume.

    Args:
        state: What the scan knows.
        scanned_at: When the last whole scan ended, None before the first one has.
        policy: Which policy is in force.
    """
    return Coverage(
        as_of=scanned_at or _NEVER,
        complete=scanned_at is not None,
        epoch=policy.epoch,
        seq=policy.seq,
        buffers=tuple(_buffer(path, list(runs.values())) for path, runs in sorted(state.buffers.items())),
    )


def stored_bytes(runs: list[RunState]) -> int:
    """Add up the sizes of all segment files of some runs.

    Args:
        runs: The runs.
    """
    return sum(segment.bytes for run in runs for segment in run.segments.values())


def _buffer(path: str, runs: list[RunState]) -> BufferCoverage:
    described = (_run(run) for run in sorted(runs, key=lambda run: run.path.run))
    return BufferCoverage(path=path, bytes=stored_bytes(runs), runs=tuple(filter(None, described)))


def _run(run: RunState) -> RunCoverage | None:
    complete = run.complete_segments()
    clock = run_clock(run, complete)
    if clock is None or not complete:
        return None
    started_at_ns, source = clock
    spans = [segment.span for segment in complete if segment.span is not None]
    return RunCoverage(
        run=run.path.run,
        segments=len(complete),
        first_index=complete[0].index,
        last_index=complete[-1].index,
        oldest=at(started_at_ns + min(span.start_ns for span in spans)),
        newest=at(started_at_ns + max(span.end_ns for span in spans)),
        arrived_at=at(max(segment.arrived_at_ns for segment in complete)),
        ended=run.ended,
        clock=source,
        clock_shift_milliseconds=clock_shift_milliseconds(complete),
    )
