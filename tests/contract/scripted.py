"""A clock, a LiveKit and an agent that do what the test says, and remember what they were asked."""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Callable
from dataclasses import dataclass, field, replace
from datetime import datetime, timedelta

from replay_operator.api.agent import (
    BufferCoverage,
    ClipDeletion,
    Coverage,
    Policy,
    PolicyAck,
    RunCoverage,
    RunFile,
    VolumeSpace,
)
from replay_operator.api.replaycapture import Clock
from replay_operator.controller.agent_client import AgentClient, AgentUnavailable, NotItsClip
from replay_operator.domain.egress import (
    Egress,
    EgressState,
    Participant,
    PublishedTrack,
    StartRequest,
    TrackKind,
)
from replay_operator.domain.layout import RunPath
from replay_operator.livekit.errors import LiveKitError, LiveKitUnreachable
from tests.builders import NOW


class HandClock:
    """A time that passes only when the test lets it."""

    def __init__(self, now: datetime = NOW) -> None:
        self.now = now

    def __call__(self) -> datetime:
        return self.now

    def go_on(self, seconds: float) -> None:
        self.now += timedelta(seconds=seconds)


ALICE = Participant("alice", (PublishedTrack("TR_VC1", TrackKind.VIDEO, "SCREEN_SHARE"),))


@dataclass
class ScriptedLiveKit:
    """The port, with egresses that live until somebody stops them.

    Attributes:
        egresses: What LiveKit holds and has not ended, by id.
        hidden: Egresses that a list leaves out though they are there.
        failing_starts: Errors of the next starts, and whether each makes an egress all the same.
        failing_stops: Errors of stops, by egress id.
        born_over: Every egress that a start makes is over at once, like this.
        away: Nothing is answered.
    """

    clock: HandClock
    egresses: dict[str, Egress] = field(default_factory=dict)
    hidden: set[str] = field(default_factory=set)
    failing_starts: deque[tuple[LiveKitError, bool]] = field(default_factory=deque)
    failing_stops: dict[str, LiveKitError] = field(default_factory=dict)
    failing_gets: deque[LiveKitError] = field(default_factory=deque)
    rooms: dict[str, tuple[Participant, ...]] = field(default_factory=lambda: {"standup": (ALICE,)})
    born_over: EgressState | None = None
    away: bool = False
    lists: int = 0
    lookups: int = 0
    starts: list[StartRequest] = field(default_factory=list)
    stops: list[str] = field(default_factory=list)

    async def list_active(self) -> tuple[Egress, ...]:
        self.lists += 1
        self._answer()
        return tuple(
            egress
            for id_, egress in self.egresses.items()
            if id_ not in self.hidden and not egress.state.is_over
        )

    async def get_egress(self, egress_id: str) -> Egress | None:
        self._answer()
        if self.failing_gets:
            raise self.failing_gets.popleft()
        return self.egresses.get(egress_id)

    async def list_room(self, room: str) -> tuple[Egress, ...]:
        self._answer()
        return tuple(egress for egress in self.egresses.values() if egress.room == room)

    async def start(self, request: StartRequest) -> Egress:
        self.starts.append(request)
        self._answer()
        error, makes_egress = self.failing_starts.popleft() if self.failing_starts else (None, True)
        egress = Egress(
            id=f"EG_{len(self.starts)}",
            room=request.room,
            state=self.born_over or EgressState.STARTING,
            filename_prefix=request.filename_prefix,
            started_at_ns=int(self.clock.now.timestamp() * 1e9),
            video_track=request.tracks.video,
            audio_track=request.tracks.audio,
        )
        if makes_egress:
            self.egresses[egress.id] = egress
        if error is not None:
            raise error
        return egress

    async def stop(self, egress_id: str) -> None:
        self.stops.append(egress_id)
        self._answer()
        if egress_id in self.failing_stops:
            raise self.failing_stops[egress_id]
        self.egresses.pop(egress_id, None)

    async def participants(self, room: str) -> tuple[Participant, ...] | None:
        self.lookups += 1
        self._answer()
        return self.rooms.get(room)

    async def aclose(self) -> None:
        return

    def frames_flow(self) -> None:
        """Every egress becomes active now: its clock is known from here on."""
        now = int(self.clock.now.timestamp() * 1e9)
        for id_, egress in self.egresses.items():
            if not egress.media_started_at_ns:
                self.egresses[id_] = replace(egress, state=EgressState.ACTIVE, media_started_at_ns=now)

    def _answer(self) -> None:
        if self.away:
            raise LiveKitUnreachable("LiveKit is away")


class ScriptedAgent(AgentClient):
    """An agent that holds what it is told and reports what the test lays on its volume."""

    def __init__(self, clock: HandClock) -> None:
        self.clock = clock
        self.away = False
        self.policies: list[Policy] = []
        self.policy_came = asyncio.Event()
        self.run_files: list[tuple[RunPath, RunFile]] = []
        self.while_run_is_put: Callable[[], None] = lambda: None
        self.runs: dict[str, dict[str, RunCoverage]] = {}
        self.trimmed_since: dict[str, datetime] = {}
        self.space: VolumeSpace | None = None
        self.deleted_clips: list[ClipDeletion] = []
        self.dropped_clips: list[ClipDeletion] = []
        self.refused_clip: str | None = None

    async def put_policy(self, policy: Policy) -> PolicyAck:
        self._answer()
        self.policies.append(policy)
        self.policy_came.set()
        return PolicyAck(epoch=policy.epoch, seq=policy.seq)

    async def put_run(self, path: RunPath, run: RunFile) -> None:
        self._answer()
        self.while_run_is_put()
        self.run_files.append((path, run))

    async def delete_clip(self, deletion: ClipDeletion) -> None:
        self._answer()
        self.deleted_clips.append(deletion)
        if self.refused_clip is not None:
            raise NotItsClip(self.refused_clip)

    async def drop_clip(self, deletion: ClipDeletion) -> None:
        self._answer()
        self.dropped_clips.append(deletion)
        if self.refused_clip is not None:
            raise NotItsClip(self.refused_clip)

    async def coverage(self, since: str | None = None) -> Coverage:
        self._answer()
        return Coverage(
            as_of=self.clock.now,
            complete=True,
            epoch=1,
            seq=1,
            buffers=tuple(
                BufferCoverage(
                    path=path,
                    bytes=1,
                    runs=tuple(runs.values()),
                    trimmed_since=self.trimmed_since.get(path),
                )
                for path, runs in self.runs.items()
            ),
            space=self.space,
        )

    def pinned(self) -> set[str]:
        """The captures whose range is held now."""
        policy = self.policies[-1] if self.policies else None
        return {pin.capture_uid for line in policy.buffers for pin in line.pins} if policy else set()

    def segment_arrives(self, path: RunPath, *, since: datetime, newest: datetime | None = None) -> None:
        """A segment of a run is complete now; its media ends seven seconds ago unless said otherwise."""
        self.runs.setdefault(path.buffer, {})[path.run] = RunCoverage(
            run=path.run,
            segments=1,
            first_index=0,
            last_index=0,
            oldest=since,
            newest=newest or max(since, self.clock.now - timedelta(seconds=7)),
            arrived_at=self.clock.now,
            ended=False,
            clock=Clock.STARTED_AT if path.run in dict(self.told_clocks()) else Clock.ARRIVAL,
            segment_seconds=next((file.segment_seconds for put, file in self.run_files if put == path), None),
        )

    def told_clocks(self) -> list[tuple[str, int]]:
        """Each time that a run was told its clock: its name, and the time in nanoseconds."""
        return [
            (path.run, run.media_started_at_ns) for path, run in self.run_files if run.media_started_at_ns
        ]

    def _answer(self) -> None:
        if self.away:
            raise AgentUnavailable("the agent is away")
