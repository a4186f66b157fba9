"""The runs of buffers: start one, and hand its clock to the agent."""

from __future__ import annotations

import logging
import secrets
from collections.abc import Callable
from dataclasses import dataclass, replace
from datetime import datetime, timedelta

from replay_operator.api.agent import RunFile
from replay_operator.api.replaybuffer import ReplayBuffer
from replay_operator.api.replaycapture import Clock
from replay_operator.controller.agent_client import AgentClient, AgentUnavailable
from replay_operator.controller.egresses import EgressBook
from replay_operator.controller.records import EgressRecords
from replay_operator.domain.decision import Decision, Start, after_failed_start
from replay_operator.domain.egress import Egress, StartRequest
from replay_operator.domain.endings import ending_of
from replay_operator.domain.layout import RunPath, run_name
from replay_operator.domain.observation import Observation
from replay_operator.domain.starts import after_failure
from replay_operator.domain.status_contract import BufferState
from replay_operator.livekit.errors import (
    BadEgressRequest,
    LiveKitError,
    LiveKitRefused,
    NoEgressCapacity,
)
from replay_operator.livekit.port import LiveKit

log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class _Failure:
    state: BufferState
    message: str
    outcome_unknown: bool = False


class RunStarter:
    """Makes a run's directory, starts its egress, and tells the agent the run's clock."""

    def __init__(
        self,
        *,
        namespace: str,
        root: str,
        livekit: LiveKit,
        agent: AgentClient,
        egresses: EgressBook,
        records: EgressRecords,
        why_no_volume: Callable[[], str],
        clock: Callable[[], datetime],
    ) -> None:
        self._namespace = namespace
        self._root = root
        self._livekit = livekit
        self._agent = agent
        self._egresses = egresses
        self._records = records
        self._why_no_volume = why_no_volume
        self._clock = clock
        self._told: dict[str, int] = {}

    async def start(
        self, buffer: ReplayBuffer, action: Start, decision: Decision, segment_seconds: int
    ) -> Decision:
        """Carry out a start.

        Args:
            buffer: Whose run.
            action: What to start.
            decision: What was decided.
            segment_seconds: Segment length of the run.

        Returns:
            The decision, turned into a wait when the start failed.
        """
        run = run_name(self._clock(), secrets.token_hex(3))
        path = RunPath(self._namespace, buffer.metadata.uid, run)
        request = StartRequest(
            room=buffer.spec.room,
            tracks=action.pair,
            filename_prefix=path.filename_prefix(self._root),
            segment_seconds=segment_seconds,
            encoding=buffer.spec.encoding,
        )
        try:
            await self._agent.put_run(path, _run_file(buffer, segment_seconds))
        except AgentUnavailable as error:
            why = " ".join(filter(None, (str(error), self._why_no_volume())))
            return self._failed(decision, _Failure(BufferState.WAITING_FOR_STORAGE, why))
        egress = await self._ask(request)
        if isinstance(egress, _Failure):
            return self._failed(decision, egress)
        about = {"buffer": buffer.metadata.name, "egress": egress.id, "run": run}
        log.info("ReplayBuffer %(buffer)s: egress %(egress)s writes run %(run)s", about, extra=about)
        self._egresses.note_started(egress, self._clock())
        return replace(decision, recheck=self._clock() + timedelta(seconds=2 * segment_seconds))

    async def tell_clock(self, buffer: ReplayBuffer, egress: Egress | None, seen: Observation) -> bool:
        """Hand the run's own clock to the agent as soon as LiveKit tells it (DESIGN §6.8).

        Args:
            buffer: Whose run.
            egress: The egress that writes it; None: there is none.
            seen: What was observed of the buffer.

        Returns:
            Whether nothing is left to tell now.
        """
        path = self._egresses.run_of(egress) if egress else None
        if egress is None or path is None or not egress.media_started_at_ns:
            return True
        if self._told.get(buffer.metadata.uid) == egress.media_started_at_ns:
            return True
        run = seen.coverage.runs.get(path.run)
        if run is not None and run.clock is Clock.STARTED_AT:  # the process before this one has told it
            self._told[buffer.metadata.uid] = egress.media_started_at_ns
            return True
        try:
            await self._agent.put_run(path, _run_file(buffer, seen.segment_seconds, egress))
        except AgentUnavailable as error:
            log.warning("the clock of run %s could not be told yet: %s", path.run, error)
            return False
        self._told[buffer.metadata.uid] = egress.media_started_at_ns
        return True

    def forget(self, buffer_uid: str) -> None:
        """Drop what is remembered of a buffer that is gone.

        Args:
            buffer_uid: Whose.
        """
        self._told.pop(buffer_uid, None)

    async def _ask(self, request: StartRequest) -> Egress | _Failure:
        try:
            return await self._livekit.start(request)
        except NoEgressCapacity as error:
            # LiveKit has asked every worker and waited for all of them: nobody will start it later.
            return _Failure(BufferState.WAITING_FOR_CAPACITY, str(error))
        except (LiveKitRefused, BadEgressRequest) as error:
            return _Failure(BufferState.REFUSED, str(error))
        except LiveKitError as error:
            failure = _Failure(BufferState.WAITING_FOR_LIVEKIT, str(error), error.outcome_unknown)
        found = await self._records.find(request) if failure.outcome_unknown else None
        if found is None:
            return failure
        if not found.state.is_over:
            return found
        ending = ending_of(found)
        return _Failure(ending.state, ending.message)

    def _failed(self, decision: Decision, failure: _Failure) -> Decision:
        memory = after_failure(
            decision.memory,
            failure.state,
            failure.message,
            self._clock(),
            outcome_unknown=failure.outcome_unknown,
        )
        return after_failed_start(decision, memory)


def _run_file(buffer: ReplayBuffer, segment_seconds: int, egress: Egress | None = None) -> RunFile:
    return RunFile(
        room=buffer.spec.room,
        buffer=buffer.metadata.name,
        segment_seconds=segment_seconds,
        egress_id=egress.id if egress else None,
        media_started_at_ns=egress.media_started_at_ns if egress else None,
        video_track=egress.video_track if egress else None,
        audio_track=egress.audio_track if egress else None,
    )
