"""The egress workers of a simulated world, what they hold, and how they go."""

from __future__ import annotations

import itertools
from collections.abc import Callable
from dataclasses import dataclass, field, replace
from typing import Any

from replay_operator.domain.egress import Egress, EgressState, StartRequest
from replay_operator.domain.fleet import FleetPod, WorkerView
from tests.builders import at
from tests.fleet_pods import pod_body
from tests.unit.world_faults import Faults
from tests.unit.world_time import SimulatedTime

WORKERS = 3
PLACES = 4
DRAIN_SECONDS = 90.0
STILL_ACCEPTS_SECONDS = 2.0

Json = dict[str, Any]


@dataclass
class Worker:
    """One fleet pod. One that is not alive answers nothing and writes nothing."""

    name: str
    version: int = 1
    alive: bool = True
    terminating_since: float | None = None

    def body(self) -> Json:
        going = None if self.terminating_since is None else at(self.terminating_since + DRAIN_SECONDS)
        return pod_body(
            self.name, uid=self.name, version=self.version, deleted_at=going.isoformat() if going else None
        )


@dataclass
class Record:
    """One egress as LiveKit remembers it, with what its worker really does."""

    egress: Egress
    worker: Worker
    run: str
    request: StartRequest
    arrivals: list[float] = field(default_factory=list)
    stuck: bool = False
    ended: bool = False

    @property
    def is_listed(self) -> bool:
        return not self.egress.state.is_over

    @property
    def is_live(self) -> bool:
        """Whether it holds a place on a worker that lives."""
        return self.worker.alive and self.egress.state in (EgressState.STARTING, EgressState.ACTIVE)

    def go_to(self, state: EgressState) -> None:
        self.egress = replace(self.egress, state=state)


class Fleet:
    """The workers, and the records of all egresses that they ever held."""

    def __init__(self, time: SimulatedTime, faults: Faults) -> None:
        self.records: list[Record] = []
        self.cut_short: list[
            str
        ] = []  # workers that ended while they recorded, though nothing else was wrong
        self.on_pod: Callable[[str, Json], None] = lambda _type, _body: None
        self._time = time
        self._faults = faults
        self._numbers = itertools.count(1)
        self.workers = [self._new_worker() for _ in range(WORKERS)]

    def live(self) -> list[Record]:
        return [record for record in self.records if record.is_live]

    def kill(self, worker: Worker, *, noticed_after: float) -> None:
        worker.alive = False
        self._time.after(noticed_after, lambda: self._replace(worker))

    def doom(self, worker: Worker) -> None:
        """Tell a worker to go, as a drained node or a roll-out does."""
        worker.terminating_since = self._time.seconds
        worker.version += 1
        self.on_pod("MODIFIED", worker.body())
        self._time.after(STILL_ACCEPTS_SECONDS, lambda: self._drain(worker))

    def free_worker(self) -> Worker | None:
        def load(worker: Worker) -> int:
            return sum(r.is_live and r.worker is worker for r in self.records)

        def accepts(worker: Worker) -> bool:
            since = worker.terminating_since
            return worker.alive and (since is None or self._time.seconds - since < STILL_ACCEPTS_SECONDS)

        free = [w for w in self.workers if accepts(w) and load(w) < PLACES]
        return max(free, key=load, default=None)  # the busy one is packed first (livekit-measured §3)

    async def ask(self, pod: FleetPod) -> WorkerView | None:
        worker = next((w for w in self.workers if w.name == pod.uid), None)
        if worker is None or not worker.alive:
            return None
        held = (r.egress.id for r in self.records if r.worker is worker and r.is_listed)
        return WorkerView(pod, frozenset(held), available_cores=1.0)

    def _new_worker(self) -> Worker:
        return Worker(f"egress-{next(self._numbers)}")

    def _drain(self, worker: Worker) -> None:
        held = [r for r in self.records if r.worker is worker and r.is_listed]
        assert worker.terminating_since is not None
        if held and worker.alive and self._time.seconds - worker.terminating_since < DRAIN_SECONDS:
            self._time.after(1.0, lambda: self._drain(worker))
            return
        if worker.alive:
            if held and self._nothing_else_was_wrong(since=worker.terminating_since):
                self.cut_short.append(worker.name)
            for record in held:
                record.go_to(EgressState.FAILED)
            worker.alive = False
            self._replace(worker)

    def _nothing_else_was_wrong(self, *, since: float) -> bool:
        faults = self._faults
        return not faults.persist and max(faults.disturbed_at, faults.unclear_until) <= since

    def _replace(self, worker: Worker) -> None:
        if worker not in self.workers:
            return
        self._faults.disturb()
        self.on_pod("DELETED", worker.body())
        self.workers[self.workers.index(worker)] = new = self._new_worker()
        self.on_pod("ADDED", new.body())
