"""The operator's real parts around one buffer, in the time of a simulated world and without an event loop.

Only the two endless loops that call them are written anew, because they wait on the real clock.
"""

from __future__ import annotations

from collections.abc import Coroutine
from datetime import timedelta
from typing import Any, TypeVar, cast

from replay_operator.api.replaybuffer import ReplayBuffer
from replay_operator.api.replaycapture import ReplayCapture
from replay_operator.cluster.gateway import Conflict, KubernetesGateway
from replay_operator.controller.admission import AdmissionBook
from replay_operator.controller.agent_client import AgentClient
from replay_operator.controller.buffers import BufferReconciler, BufferSettings
from replay_operator.controller.calm import Calm
from replay_operator.controller.coverage import CoverageWatch
from replay_operator.controller.egresses import EgressBook
from replay_operator.controller.flushes import FlushBook
from replay_operator.controller.operator import CONFLICT_SECONDS
from replay_operator.controller.queue import MAX_BACKOFF_SECONDS
from replay_operator.controller.rooms import RoomLookup
from replay_operator.controller.store import ObjectStore
from replay_operator.controller.writer import StatusWriter
from replay_operator.domain.admission import Limits
from replay_operator.livekit import poller, workers
from replay_operator.livekit.errors import LiveKitError
from replay_operator.livekit.poller import SnapshotPoller
from replay_operator.livekit.workers import FleetWatch
from tests.builders import BUFFER_UID, NAMESPACE
from tests.unit.world import World
from tests.unit.world_api_server import Json
from tests.unit.world_faults import Crash
from tests.unit.world_livekit import ROOT, SEGMENT_SECONDS

STEP_SECONDS = 0.5
COVERAGE_SECONDS = 1.0
SWEEP_SECONDS = 5.0
MAX_RUN_AGE = timedelta(seconds=400)

T = TypeVar("T")


def finished(work: Coroutine[Any, Any, T]) -> T:
    """Run to the end what never really waits."""
    try:
        work.send(None)
    except StopIteration as end:
        return cast("T", end.value)
    raise AssertionError("it waits for something that the world does not simulate")


class SimulatedOperator:
    """One operator process, from its start to its crash."""

    def __init__(self, world: World) -> None:
        self.world = world
        self.crashed = False
        self.busy = False
        self.delays: list[float | None] = []  # what each reconcile of a buffer that exists has answered
        self._due: float | None = None
        self._is_recheck = False
        self._failures = 0
        self._next = {"list": 0.0, "coverage": 0.0, "fleet": 0.0, "sweep": 0.0}
        self._build()
        if world.api_server.body is not None:
            self.buffers.put(world.api_server.body)
            self.wake()
        for worker in world.fleet.workers:
            self.fleet.pod("ADDED", worker.body())
        world.fleet.on_pod = self.fleet.pod
        self._step()

    def _build(self) -> None:
        world = self.world
        gateway, agent = cast("KubernetesGateway", world.api_server), cast("AgentClient", world.agent)
        self.buffers = ObjectStore(ReplayBuffer)
        self.poller = SnapshotPoller(world.livekit, self._egresses_changed, world.time.now)
        self.book = EgressBook(namespace=NAMESPACE, root=ROOT, snapshot=lambda: self.poller.snapshot)
        self.fleet = FleetWatch(world.fleet.ask, self._egresses_changed)
        self.coverage = CoverageWatch(
            agent,
            interval=timedelta(seconds=COVERAGE_SECONDS),
            clock=world.time.now,
            on_change=lambda _: self.wake(),
            on_answer=lambda: None,
        )
        self.calm = Calm(self.coverage, world.time.now)
        self.rooms = RoomLookup(world.livekit, world.time.now)
        self.reconciler = BufferReconciler(
            settings=BufferSettings(NAMESPACE, "replay-buffers", ROOT, SEGMENT_SECONDS, MAX_RUN_AGE),
            buffers=self.buffers,
            livekit=world.livekit,
            poller=self.poller,
            egresses=self.book,
            fleet=self.fleet,
            rooms=self.rooms,
            agent=agent,
            admission=AdmissionBook(self.buffers, Limits()),
            why_no_volume=lambda: "",
            flushes=FlushBook(lambda _: self.wake()),
            coverage=self.coverage,
            writer=StatusWriter(gateway, self.buffers, ObjectStore(ReplayCapture), world.time.now),
            calm=self.calm,
            is_listed=lambda: True,
            clock=world.time.now,
        )

    def hear(self, body: Json | None) -> None:
        """Take in what the watch says of the buffer; None: it was deleted."""
        if body is None:
            self.buffers.drop(BUFFER_UID)
        else:
            self.buffers.heard(body)
        self.wake()

    def hint(self) -> None:
        """Take in a webhook: something has happened in the room."""
        self.rooms.note_change("standup")
        self.poller.poke()
        self.wake()

    def crash(self) -> None:
        self.crashed = True
        self.world.faults.disturb()

    def _egresses_changed(self, egress_ids: frozenset[str]) -> None:
        if BUFFER_UID in self.book.buffers_of(egress_ids):
            self.wake()

    def wake(self) -> None:
        """Reconcile as soon as possible, as the queue does with a key that is added."""
        self._is_recheck = False
        self._plan(0.0)

    def _look_again(self, delay: float) -> None:
        """Reconcile later, unless it turns out to be too early then."""
        self._is_recheck = self._is_recheck or self._due is None
        self._plan(max(delay, 0.01))  # a look at the very instant of a limit would repeat for ever

    def _plan(self, delay: float) -> None:
        due = self.world.time.seconds + delay
        self._due = due if self._due is None else min(due, self._due)
        self.world.time.after(self._due - self.world.time.seconds, self._reconcile_if_due)

    def _reconcile_if_due(self) -> None:
        if self.crashed or self.busy or self._due is None or self._due > self.world.time.seconds:
            return
        self._due = None
        later = self.calm.seconds(BUFFER_UID) if self._is_recheck else None
        self._is_recheck = False
        if later is not None:
            self._look_again(later)
            return
        self.busy = True
        try:
            self._reconcile()
        except Crash:
            self.crash()
        finally:
            self.busy = False
        if self._due is not None:
            self._plan(max(0.0, self._due - self.world.time.seconds))

    def _reconcile(self) -> None:
        there = self.buffers.get(BUFFER_UID) is not None
        try:
            delay = finished(self.reconciler.reconcile(BUFFER_UID))
        except Conflict:
            delay = CONFLICT_SECONDS
        except LiveKitError:
            self._failures += 1
            delay = min(MAX_BACKOFF_SECONDS, 0.5 * 2**self._failures)
        else:
            self._failures = 0
            if there:
                self.delays.append(delay)
        if delay is not None:
            self._look_again(delay)

    def _step(self) -> None:
        """Do what the endless loops do: ask LiveKit, the agent and the workers in turn."""
        if self.crashed:
            return
        self._list()
        if self._is_time("coverage", COVERAGE_SECONDS):
            finished(self.coverage.refresh())
        if self.fleet._poked.is_set() or self._is_time("fleet", workers.INTERVAL_SECONDS):
            self.fleet._poked.clear()
            for pod in tuple(self.fleet.fleet.pods.values()):
                finished(self.fleet._ask_one(pod))
        if self.poller.snapshot.complete and self._is_time("sweep", SWEEP_SECONDS):
            for uid in self.book.all_buffers():
                if self.buffers.get(uid) is None:
                    self.wake()
        self.world.time.after(STEP_SECONDS, self._step)

    def _list(self) -> None:
        waits_out_failure = self.poller.unreachable_since is not None
        if self.poller._poked.is_set() and not waits_out_failure:
            self._next["list"] = self.world.time.seconds
        if self._is_time("list", poller.INTERVAL_SECONDS):
            finished(self.poller._poll())
            if self.poller._failures:
                backoff = poller.backoff_seconds(
                    self.poller._failures,
                    gap_seconds=poller.GAP_SECONDS,
                    max_seconds=poller.MAX_BACKOFF_SECONDS,
                )
                self._next["list"] = self.world.time.seconds + backoff

    def _is_time(self, what: str, interval_seconds: float) -> bool:
        if self.world.time.seconds < self._next[what]:
            return False
        self._next[what] = self.world.time.seconds + interval_seconds
        return True
