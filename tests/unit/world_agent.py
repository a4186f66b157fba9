"""The agent of a simulated world: what lies on the buffer volume, as far as it has looked."""

from __future__ import annotations

from replay_operator.api.agent import BufferCoverage, Coverage, RunCoverage, RunFile
from replay_operator.api.replaycapture import Clock
from replay_operator.controller.agent_client import AgentUnavailable
from replay_operator.domain.layout import RunPath
from tests.builders import BUFFER_UID, NAMESPACE, at
from tests.unit.world_faults import Faults
from tests.unit.world_fleet import Fleet, Record
from tests.unit.world_livekit import SEGMENT_SECONDS
from tests.unit.world_time import SimulatedTime

FORGOTTEN_SECONDS = 300.0


class SimulatedAgent:
    """It is the agent's client for the operator."""

    def __init__(self, time: SimulatedTime, faults: Faults, fleet: Fleet) -> None:
        self._time = time
        self._faults = faults
        self._fleet = fleet

    async def put_run(self, path: RunPath, run: RunFile) -> None:
        self._reach()

    async def coverage(self, _since: str | None = None) -> Coverage:
        self._reach()
        runs = tuple(run for r in self._fleet.records if (run := self._on_disk(r)) is not None)
        return Coverage(
            as_of=self._time.now(),
            complete=self._faults.agent == "complete",
            epoch=1,
            seq=1,
            buffers=(BufferCoverage(path=f"{NAMESPACE}/{BUFFER_UID}", bytes=0, runs=runs),) if runs else (),
        )

    def _reach(self) -> None:
        if self._faults.agent == "away":
            raise AgentUnavailable("connection refused")

    def _on_disk(self, record: Record) -> RunCoverage | None:
        seen = [a for a in record.arrivals if a <= self._time.seconds - self._faults.agent_lag]
        if not seen or seen[-1] < self._time.seconds - FORGOTTEN_SECONDS:
            return None
        return RunCoverage(
            run=record.run,
            segments=len(seen),
            first_index=0,
            last_index=len(seen) - 1,
            oldest=at(seen[0] - 2 * SEGMENT_SECONDS - 0.65),
            newest=at(seen[-1] - SEGMENT_SECONDS - 0.65),
            arrived_at=at(seen[-1]),
            ended=record.ended,
            clock=Clock.STARTED_AT,
        )
