"""livekit.Egress: start, list and stop track composites."""

import asyncio
import time
from datetime import UTC, datetime

from google.protobuf import json_format
from livekit.protocol import egress

from tests.livekit_double.identifiers import new_identifier
from tests.livekit_double.segment_paths import resolve_segment_paths, segment_output
from tests.livekit_double.server.egress_records import EgressRecords, is_over, starting_info
from tests.livekit_double.server.faults import Fault, FaultKind
from tests.livekit_double.server.fleet import Fleet, WorkerLink
from tests.livekit_double.server.room_facts import RoomFacts, RoomSight
from tests.livekit_double.server.twirp import WRAPPED, TwirpError
from tests.livekit_double.timing import Timing

# psrpc's own time-out for a worker that does not answer (measured 3.0 s); a live one answers in 15 ms.
_STOP_RPC_SECONDS = 3.0

START_FAULTS = frozenset({FaultKind.NO_LAUNCH, FaultKind.WRONG_CLOCK})
_INTERNAL_ERROR = 500
_STOPPED_TOO_EARLY = 412


class EgressService:
    """The three calls, in the order of checks of the real server."""

    def __init__(self, rooms: RoomSight, records: EgressRecords, fleet: Fleet, timing: Timing) -> None:
        self._rooms = rooms
        self._records = records
        self._fleet = fleet
        self._timing = timing

    async def start(
        self, request: egress.TrackCompositeEgressRequest, fault: Fault | None = None
    ) -> egress.EgressInfo:
        """StartTrackCompositeEgress.

        Args:
            request: what to record.
            fault: one of START_FAULTS.

        Raises:
            TwirpError: 404 unknown room (at once), 503 no worker with room (after 22 s), 400 bad request, 500
                handler that does not come up.
        """
        await self._look(request)
        began = time.monotonic()
        link = self._fleet.choose()
        if link is None:
            await asyncio.sleep(self._timing.no_worker_seconds)
            raise TwirpError("unavailable", f"{WRAPPED}no response from servers")
        busy = self._fleet.load(link.worker_id) > 0
        answer_seconds = self._timing.start_busy_seconds if busy else self._timing.start_idle_seconds
        egress_id = new_identifier("EG_")
        link.reserved.add(egress_id)
        try:
            registered_seconds = max(0.0, answer_seconds - self._timing.registered_before_answer_seconds)
            await asyncio.sleep(registered_seconds)
            if link.interrupted:  # it answers "server is shutting down", and another one is asked
                return await self.start(request, fault)
            info = self._register(request, await self._look(request), egress_id, link)
        finally:
            link.reserved.discard(egress_id)
        await asyncio.sleep(max(0.0, began + answer_seconds - time.monotonic()))
        if fault is not None and fault.kind is FaultKind.NO_LAUNCH:
            self._records.update(_not_launched(info, fault.message))
            raise TwirpError("internal", f"{WRAPPED}{fault.message}")
        if link.interrupted:  # its handler is ended before it has a frame
            self._records.update(_ended_before_it_began(info))
            return info
        await self._hand_over(info, link, clock_offset_seconds=fault.seconds if fault else 0.0)
        return info

    async def list(self, request: egress.ListEgressRequest) -> egress.ListEgressResponse:
        """ListEgress.

        Raises:
            TwirpError: 404 if the egress asked for is unknown.
        """
        items = self._records.select(
            room_name=request.room_name, egress_id=request.egress_id, active=request.active
        )
        return egress.ListEgressResponse(items=items)

    async def stop(self, request: egress.StopEgressRequest) -> egress.EgressInfo:
        """StopEgress.

        Raises:
            TwirpError: 404 unknown, 412 already ended, 408 if its worker is gone.
        """
        link = self._fleet.links.get(self._records.worker_of(request.egress_id))
        info = None
        known = bool(self._records.worker_of(request.egress_id))
        if known and not is_over(self._records.get(request.egress_id)) and link is not None:
            info = await self._fleet.stop(link, request.egress_id, _STOP_RPC_SECONDS)
        if info is not None:
            return info
        await asyncio.sleep(self._timing.stop_refusal_seconds)
        record = self._records.get(request.egress_id)
        if is_over(record):
            status = egress.EgressStatus.Name(record.status)
            raise TwirpError("failed_precondition", f"egress with status {status} cannot be stopped")
        raise TwirpError("deadline_exceeded", f"{WRAPPED}request timed out")

    async def _look(self, request: egress.TrackCompositeEgressRequest) -> RoomFacts:
        facts = await self._rooms.look(request.room_name, request.video_track_id or request.audio_track_id)
        if facts is None:
            raise TwirpError("not_found", f"{WRAPPED}requested room does not exist")
        return facts

    def _register(
        self,
        request: egress.TrackCompositeEgressRequest,
        room: RoomFacts,
        egress_id: str,
        link: WorkerLink,
    ) -> egress.EgressInfo:
        output = segment_output(request)
        if not request.audio_track_id and not request.video_track_id:
            raise _missing_field("audio_track_id or video_track_id")
        if output is None:
            raise _missing_field("output")
        paths = resolve_segment_paths(
            output,
            room_id=room.sid,
            room_name=room.name,
            publisher_identity=room.publisher,
            now=datetime.now(UTC),
        )
        info = starting_info(
            request, egress_id=egress_id, room_id=room.sid, paths=paths, now_ns=time.time_ns()
        )
        self._records.add(info, link.worker_id)
        return info

    async def _hand_over(
        self, info: egress.EgressInfo, link: WorkerLink, *, clock_offset_seconds: float
    ) -> None:
        room = await self._look(info.track_composite)
        await link.send(
            {
                "type": "start",
                "info": json_format.MessageToDict(info),
                "publisher": room.publisher,
                "tracks": dict(room.tracks),
                "media_url": self._rooms.media_url,
                "clock_offset_seconds": clock_offset_seconds,
            }
        )


def _not_launched(info: egress.EgressInfo, error: str) -> egress.EgressInfo:
    failed = egress.EgressInfo()
    failed.CopyFrom(info)
    failed.status = egress.EgressStatus.EGRESS_FAILED
    failed.error, failed.error_code = error, _INTERNAL_ERROR
    failed.ended_at = failed.updated_at = time.time_ns()
    return failed


def _ended_before_it_began(info: egress.EgressInfo) -> egress.EgressInfo:
    ended = egress.EgressInfo()
    ended.CopyFrom(info)
    ended.status = egress.EgressStatus.EGRESS_ABORTED
    ended.details = "End reason: Process killed"
    ended.error, ended.error_code = "Stop called before pipeline could start", _STOPPED_TOO_EARLY
    ended.ended_at = ended.updated_at = time.time_ns()
    return ended


def _missing_field(name: str) -> TwirpError:
    return TwirpError("invalid_argument", f"{WRAPPED}request has missing or invalid field: {name}")
