"""One reconcile of a ReplayBuffer: observe, decide, act, write status if it differs."""

from __future__ import annotations

import logging
import secrets
from collections.abc import Callable
from dataclasses import dataclass, replace
from datetime import datetime, timedelta

from replay_operator.api.agent import RunFile
from replay_operator.api.replaybuffer import ReplayBuffer, StorageStatus
from replay_operator.controller.admission import AdmissionBook
from replay_operator.controller.agent_client import AgentClient, AgentUnavailable
from replay_operator.controller.coverage import CoverageWatch
from replay_operator.controller.egresses import EgressBook
from replay_operator.controller.rooms import RoomLookup
from replay_operator.controller.store import ObjectStore
from replay_operator.controller.writer import StatusWriter
from replay_operator.domain.breaker import Breaker
from replay_operator.domain.buffer_status import buffer_status
from replay_operator.domain.egress import Egress, EgressState, StartRequest
from replay_operator.domain.layout import RunPath, buffer_path, run_name
from replay_operator.domain.lifecycle import (
    Decision,
    Start,
    Stop,
    after_failed_start,
    decide,
    needs_source,
)
from replay_operator.domain.observation import LiveKitView, Observation, SourceView, StartFailure, StartMemory
from replay_operator.domain.source import resolve
from replay_operator.domain.starts import after_failure
from replay_operator.livekit.errors import (
    BadEgressRequest,
    EgressWorkerSilent,
    LiveKitError,
    LiveKitRefused,
    NoEgressCapacity,
    RoomNotFound,
)
from replay_operator.livekit.poller import SnapshotPoller
from replay_operator.livekit.port import LiveKit
from replay_operator.livekit.workers import FleetWatch

log = logging.getLogger(__name__)

FIRST_LIST = timedelta(seconds=0.2)
RETRY_TELLING = timedelta(seconds=2)


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
        writer: StatusWriter,
        is_listed: Callable[[], bool],
        clock: Callable[[], datetime],
    ) -> None:
        self._settings = settings
        self._buffers = buffers
        self._livekit = livekit
        self._poller = poller
        self._egresses = egresses
        self._fleet = fleet
        self._rooms = rooms
        self._agent = agent
        self._coverage = coverage
        self._admission = admission
        self._writer = writer
        self._is_listed = is_listed
        self._clock = clock
        self._breaker = Breaker()
        self._memories: dict[str, StartMemory] = {}
        self._told: dict[str, int] = {}

    async def reconcile(self, uid: str) -> float | None:
        """Bring one buffer forward.

        Args:
            uid: The buffer's uid; one that is gone is cleaned up after.

        Returns:
            Seconds until it must be looked at again, or None.
        """
        buffer = self._buffers.get(uid)
        if buffer is None:
            # Before the first list "not there" means "not heard of yet": stopping would lose a recording.
            if self._is_listed():
                await self._clean_up(uid)
            return None
        if not self._poller.snapshot.complete and self._poller.unreachable_since is None:
            return FIRST_LIST.total_seconds()  # a moment after a start nothing is known, and nothing is said
        seen = await self._observe(buffer)
        decision = decide(buffer, seen, self._clock())
        if buffer.status.observed_generation == 0:
            buffer = await self._write(buffer, decision, seen)  # a user sees it at once, starts take seconds
        acted = await self._act(buffer, decision, seen.segment_seconds)
        self._memories[uid] = acted.memory
        await self._write(buffer, acted, seen)
        told = await self._tell_clock(buffer, acted, seen.segment_seconds)
        return self._delay(acted, told=told)

    def _delay(self, decision: Decision, *, told: bool) -> float | None:
        times = [t for t in (decision.recheck, None if told else self._clock() + RETRY_TELLING) if t]
        return max(0.0, (min(times) - self._clock()).total_seconds()) if times else None

    async def _observe(self, buffer: ReplayBuffer) -> Observation:
        uid = buffer.metadata.uid
        view = await self._confirm(buffer, self._egresses.view(uid))
        runs = {e.id: path.run for e in view.egresses if (path := self._egresses.run_of(e))}
        seen = Observation(
            livekit=view,
            source=SourceView(),
            coverage=self._coverage.of(buffer_path(self._settings.namespace, uid)),
            segment_seconds=buffer.spec.segment_seconds or self._settings.segment_seconds,
            runs=runs,
            prefix_of=lambda run: RunPath(self._settings.namespace, uid, run).filename_prefix(
                self._settings.root
            ),
            memory=self._memories.get(uid, StartMemory()),
            workers={id_: worker for id_ in runs if (worker := self._fleet.worker_of(id_))},
            doomed=frozenset(id_ for id_ in runs if self._fleet.is_doomed(id_)),
            lost=frozenset(id_ for id_ in runs if self._fleet.is_lost(id_)),
            max_run_age=self._settings.max_run_age,
            refusal=self._admission.refusal(uid),
            may_restart=lambda: self._breaker.allow(
                uid, runs=len(self._egresses.all_buffers()), now=self._clock()
            ),
        )
        if not needs_source(buffer, seen, self._clock()):
            return seen
        return replace(seen, source=await self._look_up(buffer))

    async def _confirm(self, buffer: ReplayBuffer, view: LiveKitView) -> LiveKitView:
        """Ask for the egress itself when the list suddenly lacks it (DESIGN §6.6)."""
        known = buffer.status.egress
        if known is None or view.asked_at is None or any(e.id == known.id for e in view.egresses):
            return view
        if self._egresses.was_stopped(known.id):
            return view
        try:
            found = await self._livekit.get_egress(known.id)
        except LiveKitError as error:
            log.warning("egress %s is not in LiveKit's list and cannot be asked for: %s", known.id, error)
            return replace(view, asked_at=None)
        if found is None or found.state.is_over or found.state is EgressState.ENDING:
            return view
        log.warning("LiveKit's list lacks egress %s, which is active: the list is not believed", known.id)
        return replace(view, egresses=(*view.egresses, found))

    async def _look_up(self, buffer: ReplayBuffer) -> SourceView:
        wish = buffer.spec.source.participant
        if wish is None:
            return SourceView()
        try:
            people = await self._rooms.participants(buffer.spec.room)
        except LiveKitError as error:
            log.warning("room %s of ReplayBuffer %s: %s", buffer.spec.room, buffer.metadata.name, error)
            return SourceView()
        return SourceView(pair=resolve(wish, people), known=True)

    async def _act(self, buffer: ReplayBuffer, decision: Decision, segment_seconds: int) -> Decision:
        for action in decision.actions:
            if isinstance(action, Stop):
                await self._stop(action.egress.id, action.why)
            else:
                decision = await self._start(buffer, action, decision, segment_seconds)
        return decision

    async def _start(
        self, buffer: ReplayBuffer, action: Start, decision: Decision, segment_seconds: int
    ) -> Decision:
        run = run_name(self._clock(), secrets.token_hex(3))
        path = RunPath(self._settings.namespace, buffer.metadata.uid, run)
        request = StartRequest(
            room=buffer.spec.room,
            tracks=action.pair,
            filename_prefix=path.filename_prefix(self._settings.root),
            segment_seconds=segment_seconds,
            encoding=buffer.spec.encoding,
        )
        try:
            await self._agent.put_run(path, self._run_file(buffer, segment_seconds))
            egress = await self._livekit.start(request)
        except AgentUnavailable as error:
            return self._failed(decision, StartFailure.STORAGE, str(error), outcome_unknown=False)
        except NoEgressCapacity as error:
            # LiveKit has asked every worker and waited for all of them: nobody will start it later.
            return self._failed(decision, StartFailure.NO_CAPACITY, str(error), outcome_unknown=False)
        except (LiveKitRefused, BadEgressRequest) as error:
            return self._failed(decision, StartFailure.REFUSED, str(error), outcome_unknown=False)
        except RoomNotFound as error:
            return self._failed(decision, StartFailure.LIVEKIT, str(error), outcome_unknown=False)
        except LiveKitError as error:
            return self._failed(
                decision, StartFailure.LIVEKIT, str(error), outcome_unknown=error.outcome_unknown
            )
        finally:
            self._poller.poke()
        log.info("ReplayBuffer %s: egress %s writes run %s", buffer.metadata.name, egress.id, run)
        self._egresses.note_started(egress, self._clock())
        self._fleet.poke()
        return replace(decision, recheck=self._clock() + timedelta(seconds=2 * segment_seconds))

    def _failed(
        self, decision: Decision, failure: StartFailure, message: str, *, outcome_unknown: bool
    ) -> Decision:
        memory = after_failure(
            decision.memory, failure, message, self._clock(), outcome_unknown=outcome_unknown
        )
        return after_failed_start(decision, memory)

    async def _stop(self, egress_id: str, why: str) -> None:
        failure = await self._try_stop(egress_id, why)
        if failure is not None:
            log.warning("egress %s could not be stopped now: %s", egress_id, failure)
        else:
            self._poller.poke()

    async def _clean_up(self, uid: str) -> None:
        self._memories.pop(uid, None)
        self._told.pop(uid, None)
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
        log.info("stopping egress %s: %s", egress_id, why)
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

    async def _tell_clock(self, buffer: ReplayBuffer, decision: Decision, segment_seconds: int) -> bool:
        """Hand the run's own clock to the agent as soon as LiveKit tells it (DESIGN §6.8)."""
        egress = decision.current
        path = self._egresses.run_of(egress) if egress else None
        if egress is None or path is None or not egress.media_started_at_ns:
            return True
        if self._told.get(buffer.metadata.uid) == egress.media_started_at_ns:
            return True
        try:
            await self._agent.put_run(path, self._run_file(buffer, segment_seconds, egress))
        except AgentUnavailable as error:
            log.warning("the clock of run %s could not be told yet: %s", path.run, error)
            return False
        self._told[buffer.metadata.uid] = egress.media_started_at_ns
        return True

    def _run_file(self, buffer: ReplayBuffer, segment_seconds: int, egress: Egress | None = None) -> RunFile:
        return RunFile(
            room=buffer.spec.room,
            buffer=buffer.metadata.name,
            segment_seconds=segment_seconds,
            egress_id=egress.id if egress else None,
            media_started_at_ns=egress.media_started_at_ns if egress else None,
            video_track=egress.video_track if egress else None,
            audio_track=egress.audio_track if egress else None,
        )
