"""What surrounds one buffer, in simulated time: LiveKit, its workers, a room, the agent's disk, the API.

Times are seconds since the history began. Figures are those measured on the real LiveKit (DESIGN §6). Nothing
waits for real: a call that takes time moves the clock, and everything else goes on meanwhile.
"""

from __future__ import annotations

import heapq
import itertools
from collections import deque
from collections.abc import Callable
from copy import deepcopy
from dataclasses import dataclass, field, replace
from datetime import datetime
from typing import Any

from replay_operator.api.agent import BufferCoverage, Coverage, RunCoverage, RunFile
from replay_operator.api.replaycapture import Clock
from replay_operator.cluster.gateway import Conflict
from replay_operator.controller.agent_client import AgentUnavailable
from replay_operator.domain.egress import (
    Egress,
    EgressState,
    Participant,
    PublishedTrack,
    StartRequest,
    TrackKind,
    datetime_to_ns,
)
from replay_operator.domain.fleet import FleetPod, WorkerView
from replay_operator.domain.layout import RunPath, parse_filename_prefix
from replay_operator.livekit.errors import (
    EgressWorkerSilent,
    LiveKitFailed,
    LiveKitUnreachable,
    NoEgressCapacity,
    RoomNotFound,
)
from tests.builders import BUFFER_UID, NAMESPACE, at, buffer_body
from tests.fleet_pods import pod_body

Json = dict[str, Any]

SEGMENT_SECONDS = 6
ROOT = "/buffer"
WORKERS = 3
PLACES = 4
ROOM_CLOSES_SECONDS = 20.0
DRAIN_SECONDS = 90.0
STILL_ACCEPTS_SECONDS = 2.0
WISH = {"participant": {"identity": "alice", "video": "ScreenShare", "audio": "Microphone"}}
KINDS = {"SCREEN_SHARE": TrackKind.VIDEO, "MICROPHONE": TrackKind.AUDIO}


class Crash(BaseException):
    """The operator process ends here, between two of its steps."""


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


@dataclass(frozen=True)
class LostStart:
    """A start whose answer never comes: the caller gives up, the egress may come true all the same."""

    given_up_after: float
    true_after: float | None


@dataclass
class Faults:
    """What is wrong now, and what will go wrong at the next call."""

    livekit_away: bool = False
    agent: str = "complete"  # or "scanning", "away"
    agent_lag: float = 0.0
    runs_break_after: float | None = None
    starts: deque[str | LostStart] = field(default_factory=deque)  # "full", "failed", or a LostStart
    stops_unanswered: int = 0
    lists: deque[str] = field(default_factory=deque)  # "empty" or "lacks one"
    crash_at: str = ""

    @property
    def persist(self) -> bool:
        return self.livekit_away or self.agent != "complete" or self.runs_break_after is not None


class World:
    """Everything but the operator. It is LiveKit, the agent and the API server for it."""

    def __init__(self) -> None:
        self.seconds = 0.0
        self.faults = Faults()
        self.disturbed_at = 0.0
        self.unclear_until = 0.0  # until when an egress may appear that the operator cannot know of
        self.tracks: dict[str, str] = {}
        self.present = False
        self.left_at = -ROOM_CLOSES_SECONDS
        self.records: list[Record] = []
        self.starts: list[float] = []
        self.body: Json | None = buffer_body(source=WISH, windowSeconds=30, segmentSeconds=SEGMENT_SECONDS)
        self.writes: list[tuple[float, frozenset[str]]] = []
        self.on_pod: Callable[[str, Json], None] = lambda _type, _body: None
        self.on_hint: Callable[[], object] = lambda: None
        self._numbers = itertools.count(1)
        self._events: list[tuple[float, int, Callable[[], object]]] = []
        self.workers = [self._new_worker() for _ in range(WORKERS)]

    # Time

    def now(self) -> datetime:
        return at(self.seconds)

    def after(self, seconds: float, happens: Callable[[], object]) -> None:
        heapq.heappush(self._events, (self.seconds + seconds, next(self._numbers), happens))

    def pass_time(self, seconds: float) -> None:
        until = self.seconds + seconds
        while self._events and self._events[0][0] <= until:
            due, _, happens = heapq.heappop(self._events)
            self.seconds = max(self.seconds, due)
            happens()
        self.seconds = max(self.seconds, until)

    def disturb(self) -> None:
        """Note that something has just gone wrong or changed: bounds count from the last time."""
        self.disturbed_at = self.seconds

    def _crash_if_told(self, point: str) -> None:
        if self.faults.crash_at == point:
            self.faults.crash_at = ""
            raise Crash(point)

    # The room

    @property
    def room_is_open(self) -> bool:
        return self.present or self.seconds - self.left_at < ROOM_CLOSES_SECONDS

    def publish(self, source: str) -> None:
        self.present = True
        self.tracks[source] = f"TR_{source[:2]}{next(self._numbers)}"
        self.on_hint()

    def unpublish(self, source: str) -> None:
        sid = self.tracks.pop(source, None)
        for record in self.records:
            if sid is not None and sid == (record.egress.video_track or record.egress.audio_track):
                record.stuck = True  # ACTIVE for ever, and no segment comes any more (livekit-measured §3)
        self.on_hint()

    def leave(self) -> None:
        self.present, self.left_at = False, self.seconds
        self.tracks.clear()
        for record in self.records:
            if record.is_live:
                self.after(0.8, lambda r=record: self._end(r, 2.2))  # type: ignore[misc] # mypy sees no default
        self.on_hint()

    # Workers

    def _new_worker(self) -> Worker:
        return Worker(f"egress-{next(self._numbers)}")

    def kill_worker(self, worker: Worker, *, noticed_after: float) -> None:
        worker.alive = False
        self.after(noticed_after, lambda: self._replace_worker(worker))

    def doom_worker(self, worker: Worker) -> None:
        worker.terminating_since = self.seconds
        worker.version += 1
        self.on_pod("MODIFIED", worker.body())
        self.after(STILL_ACCEPTS_SECONDS, lambda: self._drain(worker))

    def _drain(self, worker: Worker) -> None:
        held = [r for r in self.records if r.worker is worker and r.is_listed]
        assert worker.terminating_since is not None
        if held and worker.alive and self.seconds - worker.terminating_since < DRAIN_SECONDS:
            self.after(1.0, lambda: self._drain(worker))
            return
        if worker.alive:
            for record in held:
                record.go_to(EgressState.FAILED)
            worker.alive = False
            self._replace_worker(worker)

    def _replace_worker(self, worker: Worker) -> None:
        if worker not in self.workers:
            return
        self.disturb()
        self.on_pod("DELETED", worker.body())
        self.workers[self.workers.index(worker)] = new = self._new_worker()
        self.on_pod("ADDED", new.body())

    def kill_handler(self, record: Record) -> None:
        record.go_to(EgressState.FAILED)
        record.ended = True
        self.on_hint()

    def _free_worker(self) -> Worker | None:
        def load(worker: Worker) -> int:
            return sum(r.is_live and r.worker is worker for r in self.records)

        def accepts(worker: Worker) -> bool:
            since = worker.terminating_since
            return worker.alive and (since is None or self.seconds - since < STILL_ACCEPTS_SECONDS)

        free = [w for w in self.workers if accepts(w) and load(w) < PLACES]
        return max(free, key=load, default=None)  # the busy one is packed first (livekit-measured §3)

    async def ask_worker(self, pod: FleetPod) -> WorkerView | None:
        worker = next((w for w in self.workers if w.name == pod.uid), None)
        if worker is None or not worker.alive:
            return None
        held = (r.egress.id for r in self.records if r.worker is worker and r.is_listed)
        return WorkerView(pod, frozenset(held), available_cores=1.0)

    # LiveKit

    async def start(self, request: StartRequest) -> Egress:
        self._crash_if_told("before a start")
        self._reach()
        self.starts.append(self.seconds)
        if not self.room_is_open:
            raise RoomNotFound("requested room does not exist")
        fate = self.faults.starts.popleft() if self.faults.starts else ""
        if fate:
            self.disturb()
        if fate == "failed":
            self.pass_time(0.5)
            raise LiveKitFailed("the handler could not be launched")
        if fate == "full" or self._free_worker() is None:
            self.pass_time(22.1)
            raise NoEgressCapacity("no response from servers")
        if isinstance(fate, LostStart):
            self._lose(request, fate)
            raise LiveKitUnreachable("no answer")
        if self.faults.crash_at == "inside a start":
            self.unclear_until = self.seconds + 1.0
            self.after(0.3, lambda: self._create(request))
            self._crash_if_told("inside a start")
        self.pass_time(0.57)
        record = self._create(request)
        if record is None:
            raise NoEgressCapacity("the last worker has just gone")
        self._crash_if_told("after a start")
        return record.egress

    def _lose(self, request: StartRequest, fate: LostStart) -> None:
        if fate.true_after is not None:
            self.unclear_until = max(self.unclear_until, self.seconds + fate.true_after)
            self.after(fate.true_after, lambda: self._create(request))
        if self.faults.crash_at == "inside a start":
            self._crash_if_told("inside a start")
        self.pass_time(fate.given_up_after)
        self.disturb()

    def _create(self, request: StartRequest) -> Record | None:
        worker, path = self._free_worker(), parse_filename_prefix(request.filename_prefix, ROOT)
        assert path is not None
        assert all(path.run != r.run for r in self.records), "a prefix is used twice: egress overwrites"
        if worker is None:
            return None
        egress = Egress(
            id=f"EG_{next(self._numbers)}",
            room=request.room,
            state=EgressState.STARTING,
            filename_prefix=request.filename_prefix,
            started_at_ns=datetime_to_ns(self.now()),
            video_track=request.tracks.video,
            audio_track=request.tracks.audio,
        )
        record = Record(egress, worker, path.run)
        self.records.append(record)
        wished = {request.tracks.video, request.tracks.audio} - {None}
        if wished <= set(self.tracks.values()):
            self.after(0.9, lambda: self._activate(record))
        else:
            self.after(32.0, lambda: self._end(record, 0.0))
        return record

    def _activate(self, record: Record) -> None:
        if not record.is_live:
            return
        media = datetime_to_ns(at(self.seconds - 0.3))
        record.egress = replace(record.egress, state=EgressState.ACTIVE, media_started_at_ns=media)
        if self.faults.runs_break_after is not None:
            self.after(self.faults.runs_break_after, lambda: self.kill_handler(record))
        self.after(2 * SEGMENT_SECONDS + 0.35, lambda: self._segment(record))

    def _segment(self, record: Record) -> None:
        if record.is_live and not record.stuck:
            record.arrivals.append(self.seconds)
            self.after(SEGMENT_SECONDS, lambda: self._segment(record))

    def _end(self, record: Record, seconds: float) -> None:
        if not record.is_live:
            return
        record.go_to(EgressState.ENDING)
        self.on_hint()
        self.after(seconds, lambda: self._complete(record))

    def _complete(self, record: Record) -> None:
        if record.worker.alive and record.egress.state is EgressState.ENDING:
            record.go_to(EgressState.COMPLETE)
            record.ended = True
            self.on_hint()

    async def stop(self, egress_id: str) -> None:
        self._reach()
        record = next((r for r in self.records if r.egress.id == egress_id), None)
        if record is not None and record.is_live:
            self.pass_time(0.02)
            self._end(record, 0.3)
        else:
            self.pass_time(3.0)
            if record is not None and record.is_listed and not record.worker.alive:
                raise EgressWorkerSilent(f"the worker of {egress_id} does not answer")
        self._crash_if_told("after a stop")
        if self.faults.stops_unanswered:
            self.faults.stops_unanswered -= 1
            raise LiveKitUnreachable("no answer")

    async def list_active(self) -> tuple[Egress, ...]:
        self._reach()
        listed = tuple(r.egress for r in self.records if r.is_listed)
        lie = self.faults.lists.popleft() if self.faults.lists else ""
        if lie:
            self.disturb()
            self.unclear_until = max(self.unclear_until, self.seconds + 1.0)
        return () if lie == "empty" else listed[:-1] if lie else listed

    async def get_egress(self, egress_id: str) -> Egress | None:
        self._reach()
        return next((r.egress for r in self.records if r.egress.id == egress_id), None)

    async def list_room(self, room: str) -> tuple[Egress, ...]:
        self._reach()
        return tuple(r.egress for r in self.records if r.egress.room == room)

    async def participants(self, room: str) -> tuple[Participant, ...] | None:
        self._reach()
        if not self.room_is_open:
            return None
        tracks = tuple(PublishedTrack(sid, KINDS[source], source) for source, sid in self.tracks.items())
        return (Participant("alice", tracks),) if self.present else ()

    async def aclose(self) -> None:
        return

    def _reach(self) -> None:
        self.seconds += 0.001  # no two calls are made at the same instant
        if self.faults.livekit_away:
            raise LiveKitUnreachable("connection refused")

    # The agent

    async def put_run(self, path: RunPath, run: RunFile) -> None:
        if self.faults.agent == "away":
            raise AgentUnavailable("connection refused")

    async def coverage(self, _since: str | None = None) -> Coverage:
        if self.faults.agent == "away":
            raise AgentUnavailable("connection refused")
        runs = tuple(run for r in self.records if (run := self._on_disk(r)) is not None)
        return Coverage(
            as_of=self.now(),
            complete=self.faults.agent == "complete",
            epoch=1,
            seq=1,
            buffers=(BufferCoverage(path=f"{NAMESPACE}/{BUFFER_UID}", bytes=0, runs=runs),) if runs else (),
        )

    def _on_disk(self, record: Record) -> RunCoverage | None:
        seen = [a for a in record.arrivals if a <= self.seconds - self.faults.agent_lag]
        if not seen or seen[-1] < self.seconds - 300.0:
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

    # The API server

    def edit(self, **spec: Any) -> None:
        assert self.body is not None
        metadata = self.body["metadata"]
        self.body = deepcopy(self.body) | {
            "spec": self.body["spec"] | spec,
            "metadata": metadata
            | {
                "generation": metadata["generation"] + 1,
                "resourceVersion": str(int(metadata["resourceVersion"]) + 1),
            },
        }

    async def patch_status(self, type_: object, namespace: str, name: str, patch: Json) -> Json | None:
        self._crash_if_told("before a status write")
        if self.body is None:
            return None
        metadata = self.body["metadata"]
        if patch["metadata"]["resourceVersion"] != metadata["resourceVersion"]:
            raise Conflict(409, "the object has been modified")
        self.writes.append((self.seconds, frozenset(patch["status"])))
        version = str(int(metadata["resourceVersion"]) + 1)
        self.body = self.body | {
            "status": _merged(self.body.get("status", {}), patch["status"]),
            "metadata": metadata | {"resourceVersion": version},
        }
        return deepcopy(self.body)

    async def create(self, type_: object, namespace: str, body: Json) -> None:
        return


def _merged(old: Json, patch: Json) -> Json:
    result = dict(old)
    for key, value in patch.items():
        if value is None:
            result.pop(key, None)
        elif isinstance(value, dict):
            result[key] = _merged(result.get(key) or {}, value)
        else:
            result[key] = value
    return result
