"""One reconcile of a ReplayBuffer: observe, decide, act, write status if it differs."""

from __future__ import annotations

import logging
from collections.abc import Callable
from dataclasses import dataclass, replace
from datetime import datetime, timedelta

from replay_operator.api.replaybuffer import ReplayBuffer, StorageStatus
from replay_operator.controller.admission import AdmissionBook
from replay_operator.controller.agent_client import AgentClient
from replay_operator.controller.calm import Calm
from replay_operator.controller.coverage import CoverageWatch
from replay_operator.controller.egresses import EgressBook
from replay_operator.controller.flushes import FlushBook
from replay_operator.controller.records import EgressRecords
from replay_operator.controller.rooms import RoomLookup
from replay_operator.controller.runs import RunStarter
from replay_operator.controller.store import ObjectStore
from replay_operator.controller.writer import StatusWriter
from replay_operator.domain.breaker import Breaker
from replay_operator.domain.buffer_status import buffer_status
from replay_operator.domain.decision import Decision, Stop
from replay_operator.domain.health import length_in_force
from replay_operator.domain.layout import RunPath, buffer_path
from replay_operator.domain.lifecycle import decide, needs_source
from replay_operator.domain.observation import Observation, SourceView, StartMemory
from replay_operator.domain.source import resolve, still_published
from replay_operator.domain.starts import place_came_free, waits_for_place
from replay_operator.domain.status_contract import RESTARTS, BufferState
from replay_operator.livekit.errors import (
    EgressWorkerSilent,
    LiveKitError,
)
from replay_operator.livekit.poller import SnapshotPoller
from replay_operator.livekit.port import LiveKit
from replay_operator.livekit.workers import FleetWatch

log = logging.getLogger(__name__)

FIRST_LIST = timedelta(seconds=0.2)
RETRY_TELLING = timedelta(seconds=2)

_LAST_RUN_MATTERS = RESTARTS | {
    BufferState.STARTING,
    BufferState.WAITING_FOR_CAPACITY,
    BufferState.WAITING_FOR_STORAGE,
    BufferState.WAITING_FOR_LIVEKIT,
}


@dataclass(frozen=True, slots=True)
class BufferSettings:
    """What the install decides about every buffer."""

    namespace: str
    claim: str
    root: str
    segment_seconds: int
    max_run_age: timedelta


class BufferReconciler:
    """Gathers what is known about a buffer and carries out what the domain decides."""

    def __init__(
        self,
        *,
        settings: BufferSettings,
        buffers: ObjectStore[ReplayBuffer],
        livekit: LiveKit,
        poller: SnapshotPoller,
        egresses: EgressBook,
        fleet: FleetWatch,
        rooms: RoomLookup,
        agent: AgentClient,
        coverage: CoverageWatch,
        admission: AdmissionBook,
        why_no_volume: Callable[[], str],
        flushes: FlushBook,
        writer: StatusWriter,
        calm: Calm,
        is_listed: Callable[[], bool],
        clock: Callable[[], datetime],
    ) -> None:
        self._settings = settings
        self._buffers = buffers
        self._livekit = livekit
        self._poller = poller
        self._egresses = egresses
        self._records = EgressRecords(livekit, egresses)
        self._runs = RunStarter(
            namespace=settings.namespace,
            root=settings.root,
            livekit=livekit,
            agent=agent,
            egresses=egresses,
            records=self._records,
            why_no_volume=why_no_volume,
            clock=clock,
        )
        self._fleet = fleet
        self._rooms = rooms
        self._coverage = coverage
        self._admission = admission
        self._flushes = flushes
        self._writer = writer
        self._calm = calm
        self._is_listed = is_listed
        self._clock = clock
        self._breaker = Breaker()
        self._memories: dict[str, StartMemory] = {}
        self._looked_up: dict[str, datetime] = {}
        self._places_free_at: datetime | None = None

    def places_came_free(self, places: int) -> frozenset[str]:
        """Let so many of those that wait for a place try again, oldest first; give who they are.

        Args:
            places: How many recordings more the workers can carry now.
        """
        self._places_free_at = self._clock()
        waiting = [
            b for uid, m in self._memories.items() if waits_for_place(m) and (b := self._buffers.get(uid))
        ]
        waiting.sort(key=lambda b: (b.metadata.creation_timestamp, b.metadata.uid))
        for buffer in waiting[:places]:
            self._memories[buffer.metadata.uid] = place_came_free(self._memories[buffer.metadata.uid])
        return frozenset(buffer.metadata.uid for buffer in waiting[:places])

    async def reconcile(self, uid: str) -> float | None:
        """Bring one buffer forward.

        Args:
            uid: The buffer's uid; one that is gone is cleaned up after.

        Returns:
            Seconds until it must be looked at again, or None.
        """
        self._calm.forget(uid)  # whatever comes in between, the next look is a real one
        buffer = self._buffers.get(uid)
        if buffer is None:
            # Before the first list "not there" means "not heard of yet": stopping would lose a recording.
            if self._is_listed() and uid not in self._buffers.unreadable:
                await self._clean_up(uid)
            return None
        if not self._poller.snapshot.complete and self._poller.unreachable_since is None:
            return FIRST_LIST.total_seconds()  # a moment after a start nothing is known, and nothing is said
        seen = await self._observe(buffer)
        decision = decide(buffer, seen, self._clock())
        if buffer.status.observed_generation == 0:
            buffer = await self._write(buffer, decision, seen)  # a user sees it at once, starts take seconds
        if seen.source.known and not decision.actions and decision.memory == StartMemory():
            self._looked_up[uid] = self._clock()  # else what was seen there is still to be acted on
        acted = await self._act(buffer, decision, seen.wanted_segment_seconds)
        self._memories[uid] = acted.memory
        if acted.state not in _LAST_RUN_MATTERS:
            self._records.forget(uid)
        await self._write(buffer, acted, seen)
        told = await self._runs.tell_clock(buffer, acted.current, seen)
        if told:
            self._calm.note(buffer, acted, seen)
        return self._delay(acted, told=told)

    def _delay(self, decision: Decision, *, told: bool) -> float | None:
        times = [t for t in (decision.recheck, None if told else self._clock() + RETRY_TELLING) if t]
        return max(0.0, (min(times) - self._clock()).total_seconds()) if times else None

    async def _observe(self, buffer: ReplayBuffer) -> Observation:
        uid = buffer.metadata.uid
        view = await self._records.view(buffer)
        runs = {e.id: path.run for e in view.egresses if (path := self._egresses.run_of(e))}
        coverage = self._coverage.of(buffer_path(self._settings.namespace, uid))
        wanted_segment_seconds = buffer.spec.segment_seconds or self._settings.segment_seconds
        seen = Observation(
            livekit=view,
            source=SourceView(),
            coverage=coverage,
            segment_seconds=length_in_force(wanted_segment_seconds, coverage, runs.values()),
            wanted_segment_seconds=wanted_segment_seconds,
            runs=runs,
            prefix_of=lambda run: RunPath(self._settings.namespace, uid, run).filename_prefix(
                self._settings.root
            ),
            memory=self._memories.get(uid, StartMemory()),
            workers={id_: worker for id_ in runs if (worker := self._fleet.worker_of(id_))},
            doomed=frozenset(id_ for id_ in runs if self._fleet.is_doomed(id_)),
            lost=frozenset(id_ for id_ in runs if self._fleet.is_lost(id_)),
            starved=frozenset(id_ for id_ in runs if self._fleet.is_starved(id_)),
            max_run_age=self._settings.max_run_age,
            flush_until=self._flushes.until(uid),
            source_due=self._is_source_due(buffer),
            refusal=self._admission.refusal(uid),
            may_restart=lambda: self._breaker.allow(
                uid, runs=len(self._egresses.all_buffers()), now=self._clock()
            ),
        )
        if seen.flush_until is not None and any(not e.media_started_at_ns for e in view.egresses):
            self._poller.poke()  # the list tells of the next run's first frame, and somebody waits for it
        if not needs_source(buffer, seen, self._clock()):
            return seen
        audit = not needs_source(buffer, replace(seen, source_due=False), self._clock())
        return replace(seen, source=await self._look_up(buffer, audit=audit))

    async def _look_up(self, buffer: ReplayBuffer, *, audit: bool) -> SourceView:
        source = buffer.spec.source
        try:
            people = await self._rooms.participants(buffer.spec.room, audit=audit)
        except LiveKitError as error:
            log.warning("room %s of ReplayBuffer %s: %s", buffer.spec.room, buffer.metadata.name, error)
            return SourceView()
        pair = still_published(source.tracks, people) if source.tracks else None
        if source.participant is not None:
            pair = resolve(source.participant, people)
        return SourceView(pair=pair, known=True)

    def _is_source_due(self, buffer: ReplayBuffer) -> bool:
        """Tell whether the source must be looked at though all seems well.

        A microphone that is published again beside a screen leaves the old run healthy and silent: only the
        room tells.
        """
        looked_up = self._looked_up.setdefault(buffer.metadata.uid, self._clock())
        return self._rooms.is_due(buffer.spec.room, looked_up)

    async def _act(self, buffer: ReplayBuffer, decision: Decision, segment_seconds: int) -> Decision:
        begun = self._clock()
        for action in decision.actions:
            if isinstance(action, Stop):
                await self._stop(action.egress.id, action.why)
            else:
                decision = await self._runs.start(buffer, action, decision, segment_seconds)
                self._poller.poke()
                self._fleet.poke()
        # LiveKit asks around for 22 s before it says that nobody has a place (livekit-measured §3).
        if waits_for_place(decision.memory) and self._places_free_at and self._places_free_at > begun:
            return replace(decision, memory=place_came_free(decision.memory), recheck=self._clock())
        return decision

    async def _stop(self, egress_id: str, why: str) -> None:
        failure = await self._try_stop(egress_id, why)
        if failure is not None:
            log.warning("egress %s could not be stopped now: %s", egress_id, failure)
        else:
            self._poller.poke()

    async def _clean_up(self, uid: str) -> None:
        self._memories.pop(uid, None)
        self._looked_up.pop(uid, None)
        self._records.forget(uid)
        self._runs.forget(uid)
        failures = [
            await self._try_stop(egress.id, "its ReplayBuffer was deleted")
            for egress in self._egresses.view(uid).egresses
        ]  # the others must not wait for one that cannot be stopped
        for failure in failures:
            if failure is not None:
                raise failure

    async def _try_stop(self, egress_id: str, why: str) -> LiveKitError | None:
        """Stop an egress; give why that must be tried again, or None."""
        if self._egresses.is_silent(egress_id, self._clock()):
            return None
        log.info("stopping egress %s: %s", egress_id, why, extra={"egress": egress_id})
        try:
            await self._livekit.stop(egress_id)
        except EgressWorkerSilent as error:
            # Nobody is there to stop, and LiveKit lists it for ever: it is asked for again much later.
            log.warning("egress %s has nobody to stop: %s", egress_id, error)
            self._egresses.note_silent(egress_id, self._clock())
        except LiveKitError as error:
            return error
        else:
            self._egresses.note_stopped(egress_id, self._clock())
        return None

    async def _write(self, buffer: ReplayBuffer, decision: Decision, seen: Observation) -> ReplayBuffer:
        path = self._egresses.run_of(decision.current) if decision.current else None
        status = buffer_status(
            buffer,
            decision,
            seen.coverage,
            run=path.run if path else None,
            worker=seen.workers.get(decision.current.id) if decision.current else None,
            segment_seconds=seen.segment_seconds,
            storage=StorageStatus(
                claim_name=self._settings.claim,
                path=buffer_path(self._settings.namespace, buffer.metadata.uid),
            ),
            now=self._clock(),
        )
        return await self._writer.write_buffer(buffer, status)
