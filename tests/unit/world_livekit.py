"""LiveKit in a simulated world: a room with alice in it, and the egress API. Figures are those measured."""

from __future__ import annotations

import itertools
from collections.abc import Callable
from dataclasses import dataclass, replace

from replay_operator.domain.egress import (
    Egress,
    EgressState,
    Participant,
    PublishedTrack,
    StartRequest,
    TrackKind,
    datetime_to_ns,
)
from replay_operator.domain.layout import parse_filename_prefix
from replay_operator.livekit.errors import (
    EgressWorkerSilent,
    LiveKitFailed,
    LiveKitUnreachable,
    NoEgressCapacity,
    RoomNotFound,
)
from tests.builders import at
from tests.unit.world_faults import Faults, LostStart
from tests.unit.world_fleet import Fleet, Record
from tests.unit.world_time import SimulatedTime

SEGMENT_SECONDS = 6
ROOT = "/buffer"
ROOM_CLOSES_SECONDS = 20.0
KINDS = {"SCREEN_SHARE": TrackKind.VIDEO, "MICROPHONE": TrackKind.AUDIO}


@dataclass(frozen=True)
class _Lost:
    """A start without an answer: when it was sent, until when it may come true, what recorded then."""

    at: float
    until: float
    beside: list[Record]


class SimulatedLiveKit:
    """It is a `LiveKit` for the operator. `on_hint` is its webhook: something has happened."""

    def __init__(self, time: SimulatedTime, faults: Faults, fleet: Fleet) -> None:
        self.tracks: dict[str, str] = {}
        self.present = False
        self.starts: list[float] = []
        self.hasty_starts: list[float] = []  # when the lost start was sent that might still have come true
        self._lost: _Lost | None = None
        self.on_hint: Callable[[], object] = lambda: None
        self.on_stop: Callable[[Record], object] = lambda _record: None
        self._time = time
        self._faults = faults
        self._fleet = fleet
        self._left_at = -ROOM_CLOSES_SECONDS
        self._numbers = itertools.count(1)

    # The room

    @property
    def _room_is_open(self) -> bool:
        return self.present or self._time.seconds - self._left_at < ROOM_CLOSES_SECONDS

    def publish(self, source: str) -> None:
        self.present = True
        self.tracks[source] = f"TR_{source[:2]}{next(self._numbers)}"
        self.on_hint()

    def unpublish(self, source: str) -> None:
        sid = self.tracks.pop(source, None)
        for record in self._fleet.records:
            if sid is not None and sid == (record.egress.video_track or record.egress.audio_track):
                record.stuck = True  # ACTIVE for ever, and no segment comes any more (livekit-measured §3)
        self.on_hint()

    def leave(self) -> None:
        self.present, self._left_at = False, self._time.seconds
        self.tracks.clear()
        for record in self._fleet.live():
            self._time.after(0.8, lambda r=record: self._end(r, 2.2))  # type: ignore[misc] # mypy sees no default
        self.on_hint()

    async def participants(self, room: str) -> tuple[Participant, ...] | None:
        self._reach()
        if not self._room_is_open or self._faults.livekit_blank:
            return None
        tracks = tuple(PublishedTrack(sid, KINDS[source], source) for source, sid in self.tracks.items())
        return (Participant("alice", tracks),) if self.present else ()

    # The egress API

    async def start(self, request: StartRequest) -> Egress:
        self._faults.crash_if_told("before a start")
        self._reach()
        self.starts.append(self._time.seconds)
        self._note_haste()
        if not self._room_is_open or self._faults.livekit_blank:
            raise RoomNotFound("requested room does not exist")
        fate = self._faults.starts.popleft() if self._faults.starts else ""
        if fate:
            self._faults.disturb()
        if fate == "failed":
            self._time.advance(0.5)
            raise LiveKitFailed("the handler could not be launched")
        if fate == "full" or self._fleet.free_worker() is None:
            self._time.advance(22.1)
            raise NoEgressCapacity("no response from servers")
        if isinstance(fate, LostStart):
            self._lose(request, fate)
            raise LiveKitUnreachable("no answer")
        if self._faults.crash_at == "inside a start":
            self._faults.unclear_for(1.0)
            self._time.after(0.3, lambda: self._create(request))
            self._faults.crash_if_told("inside a start")
        self._time.advance(0.57)
        record = self._create(request)
        if record is None:
            raise NoEgressCapacity("the last worker has just gone")
        self._faults.crash_if_told("after a start")
        return record.egress

    async def stop(self, egress_id: str) -> None:
        self._reach()
        record = next((r for r in self._known() if r.egress.id == egress_id), None)
        if record is not None and record.is_live:
            self.on_stop(record)
            self._time.advance(0.02)
            self._end(record, 0.3)
        else:
            self._time.advance(3.0)
            if record is not None and record.is_listed and not record.worker.alive:
                raise EgressWorkerSilent(f"the worker of {egress_id} does not answer")
        self._faults.crash_if_told("after a stop")
        if self._faults.stops_unanswered:
            self._faults.stops_unanswered -= 1
            raise LiveKitUnreachable("no answer")

    async def list_active(self) -> tuple[Egress, ...]:
        self._reach()
        listed = tuple(r.egress for r in self._known() if r.is_listed)
        lie = self._faults.lists.popleft() if self._faults.lists else ""
        if lie:
            self._faults.disturb()
            self._faults.unclear_for(1.0)
        return () if lie == "empty" else listed[:-1] if lie else listed

    async def get_egress(self, egress_id: str) -> Egress | None:
        self._reach()
        return next((r.egress for r in self._known() if r.egress.id == egress_id), None)

    async def list_room(self, room: str) -> tuple[Egress, ...]:
        self._reach()
        return tuple(r.egress for r in self._known() if r.egress.room == room)

    def _known(self) -> list[Record]:
        return [] if self._faults.livekit_blank else self._fleet.records

    async def aclose(self) -> None:
        return

    def _reach(self) -> None:
        self._time.seconds += 0.001  # no two calls are made at the same instant
        if self._faults.livekit_away:
            raise LiveKitUnreachable("connection refused")

    # The life of an egress

    def start_twice(self, record: Record) -> None:
        """Let another operator, which leads no more, have started the same recording once more."""
        run = record.run[:-1] + ("1" if record.run.endswith("0") else "0")
        if all(r.run != run for r in self._fleet.records):
            prefix = record.request.filename_prefix.replace(record.run, run)
            self._create(replace(record.request, filename_prefix=prefix))

    def kill_handler(self, record: Record) -> None:
        record.go_to(EgressState.FAILED)
        record.ended = True
        self.on_hint()

    def _note_haste(self) -> None:
        """Note a start beside a lost one. The end of a run that went on meanwhile is no haste."""
        lost = self._lost
        if lost is not None and self._time.seconds < lost.until and all(r.is_live for r in lost.beside):
            self.hasty_starts.append(lost.at)

    def _lose(self, request: StartRequest, fate: LostStart) -> None:
        if fate.true_after is not None:
            self._faults.unclear_for(fate.true_after)
            now = self._time.seconds
            self._lost = _Lost(now, now + fate.true_after, beside=self._fleet.live())
            self._time.after(fate.true_after, lambda: self._create(request))
        self._faults.crash_if_told("inside a start")
        self._time.advance(fate.given_up_after)
        self._faults.disturb()

    def _create(self, request: StartRequest) -> Record | None:
        worker, path = self._fleet.free_worker(), parse_filename_prefix(request.filename_prefix, ROOT)
        assert path is not None
        assert all(path.run != r.run for r in self._fleet.records), "a prefix twice: egress overwrites"
        if worker is None:
            return None
        egress = Egress(
            id=f"EG_{next(self._numbers)}",
            room=request.room,
            state=EgressState.STARTING,
            filename_prefix=request.filename_prefix,
            started_at_ns=datetime_to_ns(self._time.now()),
            video_track=request.tracks.video,
            audio_track=request.tracks.audio,
        )
        record = Record(egress, worker, path.run, request)
        self._fleet.records.append(record)
        wished = {request.tracks.video, request.tracks.audio} - {None}
        if wished <= set(self.tracks.values()):
            self._time.after(0.9, lambda: self._activate(record))
        else:
            self._time.after(32.0, lambda: self._end(record, 0.0))
        return record

    def _activate(self, record: Record) -> None:
        if not record.is_live:
            return
        media = datetime_to_ns(at(self._time.seconds - 0.3))
        record.egress = replace(record.egress, state=EgressState.ACTIVE, media_started_at_ns=media)
        if self._faults.runs_break_after is not None:
            self._time.after(self._faults.runs_break_after, lambda: self.kill_handler(record))
        self._time.after(2 * SEGMENT_SECONDS + 0.35, lambda: self._segment(record))

    def _segment(self, record: Record) -> None:
        if record.is_live and not record.stuck:
            record.arrivals.append(self._time.seconds)
            self._time.after(SEGMENT_SECONDS, lambda: self._segment(record))

    def _end(self, record: Record, seconds: float) -> None:
        if not record.is_live:
            return
        record.go_to(EgressState.ENDING)
        self.on_hint()
        self._time.after(seconds, lambda: self._complete(record))

    def _complete(self, record: Record) -> None:
        if record.worker.alive and record.egress.state is EgressState.ENDING:
            record.go_to(EgressState.COMPLETE)
            record.ended = True
            self.on_hint()
