"""Answers "what lies on the buffer volume" from memory, and what has changed since an earlier answer."""

from __future__ import annotations

import secrets
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime

from replay_operator.agent.clock_shift import clock_shift_milliseconds
from replay_operator.agent.state import RunState, Stamps, VolumeState
from replay_operator.agent.timeline import at, run_clock
from replay_operator.api.agent import BufferCoverage, Coverage, PolicyAck, RunCoverage, RunFile, VolumeSpace

GONE_KEPT = 1000
"""Names of vanished buffers that are kept for answers about changes. With more, old marks get the whole."""

_NEVER = datetime(1970, 1, 1, tzinfo=UTC)


@dataclass(frozen=True, slots=True)
class _Sign:
    """What differs when anything of a run differs, without a look at its hundreds of segments.

    Every reading of a run brings other stamps or another newest segment, retention makes the segments fewer,
    and a told clock brings another `run_file`.
    """

    run: RunState
    run_file: RunFile | None
    stamps: Stamps | None
    newest: bytes
    segments: int
    ended: bool

    def holds_for(self, run: RunState) -> bool:
        return (
            self.run is run
            and self.stamps is run.stamps
            and self.run_file is run.run_file
            and self.segments == len(run.segments)
            and self.newest == run.segments.newest
            and self.ended == run.ended
        )


@dataclass(frozen=True, slots=True)
class _Run:
    """What was last worked out of a run."""

    sign: _Sign
    bytes: int
    coverage: RunCoverage | None


@dataclass(frozen=True, slots=True)
class _Buffer:
    """What was last worked out of a buffer, and the look that found it changed."""

    runs: Mapping[str, _Run]
    coverage: BufferCoverage
    look: int


class CoverageBook:
    """Works out again only what has changed: five thousand buffers bring five hundred segments a second.

    A mark names this agent process and one look at its state. Whoever asks with a mark of another process, or
    with one that is too old, gets the whole; so nobody is remembered here, and a lost answer is asked for
    again with the mark of the answer before.
    """

    def __init__(self) -> None:
        self._process = secrets.token_hex(4)
        self._look = 0
        self._oldest_look = 0
        self._buffers: dict[str, _Buffer] = {}
        self._gone: dict[str, int] = {}

    def coverage(
        self,
        state: VolumeState,
        *,
        scanned_at: datetime | None,
        policy: PolicyAck,
        since: str | None = None,
        space: VolumeSpace | None = None,
    ) -> Coverage:
        """Describe every buffer on the volume, or those that have changed.

        Args:
            state: What the scan knows.
            scanned_at: When the last whole scan ended, None before the first one has.
            policy: Which policy is in force.
            since: Mark of the answer that the asker holds, None when it holds none.
            space: How full the volume is, None when nobody has looked.
        """
        self._take(state)
        after = self._look_of(since)
        buffers = (buffer for buffer in self._buffers.values() if after is None or buffer.look > after)
        gone = (path for path, look in self._gone.items() if after is not None and look > after)
        return Coverage(
            as_of=scanned_at or _NEVER,
            complete=scanned_at is not None,
            epoch=policy.epoch,
            seq=policy.seq,
            mark=f"{self._process}.{self._look}",
            since=None if after is None else since,
            buffers=tuple(sorted((buffer.coverage for buffer in buffers), key=lambda found: found.path)),
            gone=tuple(sorted(gone)),
            space=space,
        )

    def _look_of(self, mark: str | None) -> int | None:
        process, _, look = (mark or "").partition(".")
        if process != self._process or not look.isdecimal():
            return None
        return number if self._oldest_look <= (number := int(look)) <= self._look else None

    def _take(self, state: VolumeState) -> None:
        self._look += 1
        for path, runs in state.buffers.items():
            known = self._buffers.get(path)
            trimmed_since = state.trimmed_since.get(path)
            if known is None or known.coverage.trimmed_since != trimmed_since or not _holds(known.runs, runs):
                self._work_out(path, runs, known, trimmed_since)
        for path in self._buffers.keys() - state.buffers.keys():
            del self._buffers[path]
            self._gone[path] = self._look
        if len(self._gone) > GONE_KEPT:
            self._gone.clear()
            self._oldest_look = self._look

    def _work_out(
        self,
        path: str,
        runs: Mapping[str, RunState],
        known: _Buffer | None,
        trimmed_since: datetime | None,
    ) -> None:
        before = known.runs if known else {}
        now = {
            name: kept if (kept := before.get(name)) is not None and kept.sign.holds_for(run) else _run(run)
            for name, run in sorted(runs.items())
        }
        coverage = BufferCoverage(
            path=path,
            bytes=sum(run.bytes for run in now.values()),
            runs=tuple(run.coverage for run in now.values() if run.coverage is not None),
            trimmed_since=trimmed_since,
        )
        same = known is not None and known.coverage == coverage
        self._buffers[path] = _Buffer(now, coverage, known.look if known and same else self._look)
        self._gone.pop(path, None)


def _holds(known: Mapping[str, _Run], runs: Mapping[str, RunState]) -> bool:
    return len(known) == len(runs) and all(
        name in known and known[name].sign.holds_for(run) for name, run in runs.items()
    )


def _run(run: RunState) -> _Run:
    sign = _Sign(run, run.run_file, run.stamps, run.segments.newest, len(run.segments), run.ended)
    return _Run(sign, run.bytes, _described(run))


def _described(run: RunState) -> RunCoverage | None:
    complete = run.segments.summary()
    if complete is None:
        return None
    clock = run_clock(run, complete.first)
    if clock is None:
        return None
    started_at_ns, source = clock
    return RunCoverage(
        run=run.path.run,
        segments=complete.count,
        first_index=complete.first_index,
        last_index=complete.last_index,
        oldest=at(started_at_ns + complete.start_ns),
        newest=at(started_at_ns + complete.end_ns),
        arrived_at=at(complete.arrived_at_ns),
        ended=run.ended,
        clock=source,
        segment_seconds=run.run_file.segment_seconds if run.run_file is not None else None,
        clock_shift_milliseconds=clock_shift_milliseconds(complete.first, complete.last, complete.count),
    )
