"""The Twirp routes: authentication, faults and the call log around the two services."""

import asyncio
import time
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass
from typing import Any

from aiohttp import web
from google.protobuf import json_format
from google.protobuf.message import Message
from livekit.protocol import egress, room

from tests.livekit_double.server.egress_service import START_FAULTS, EgressService
from tests.livekit_double.server.faults import Call, CallLog, Fault, FaultKind, Faults
from tests.livekit_double.server.room_service import RoomService
from tests.livekit_double.server.tokens import Grants, TokenRefusedError, verify_token
from tests.livekit_double.server.twirp import TwirpError, read_message, write_message
from tests.livekit_double.server.upstream import Upstream

_StartRequest = egress.TrackCompositeEgressRequest


@dataclass(frozen=True, slots=True)
class _Method:
    request: type[Message]
    call: Callable[[Any], Awaitable[Message]]
    allow: Callable[[Grants, Any], None]


class TwirpRoutes:
    """Serves `/twirp/livekit.<Service>/<Method>`."""

    def __init__(
        self,
        egress_service: EgressService,
        room_service: RoomService,
        keys: Mapping[str, str],
        faults: Faults,
        upstream: Upstream | None = None,
    ) -> None:
        """Makes the routes.

        Args:
            egress_service: answers livekit.Egress.
            room_service: answers livekit.RoomService, unless somebody else has the rooms.
            keys: secrets by API key.
            faults: what the next calls run into.
            upstream: has the rooms; it gets every call that is not one of livekit.Egress.
        """
        self._upstream = upstream
        self._keys = keys
        self._faults = faults
        self._egress = egress_service
        self.log = CallLog()
        self._methods = _egress_methods(egress_service) | _room_methods(room_service)

    def add_to(self, application: web.Application) -> None:
        """Registers the routes."""
        application.router.add_post("/twirp/{service}/{method}", self._serve)

    async def _serve(self, request: web.Request) -> web.StreamResponse:
        try:
            grants = verify_token(request.headers.get("Authorization", ""), self._keys)
        except TokenRefusedError as error:
            return web.Response(status=401, text=str(error))
        try:
            return await self._answer(request, grants)
        except TwirpError as error:
            return error.response()

    async def _answer(self, request: web.Request, grants: Grants) -> web.StreamResponse:
        name = request.match_info["method"]
        if self._upstream is not None and request.match_info["service"] != "livekit.Egress":
            return await self._upstream.pass_on(request)
        method = self._methods.get(f"{request.match_info['service']}/{name}")
        if method is None:
            raise TwirpError("bad_route", f"no handler for path {request.path!r}")
        message = await read_message(request, method.request())
        as_dict = json_format.MessageToDict(message, preserving_proto_field_name=True)
        self.log.calls.append(Call(name, time.time(), as_dict))
        method.allow(grants, message)
        fault = self._faults.take(name, str(as_dict.get("room_name", "")))
        if fault is not None and fault.kind in START_FAULTS and isinstance(message, _StartRequest):
            return write_message(request, await self._egress.start(message, fault))
        if fault is not None and fault.kind != FaultKind.HOLD:
            return await self._fail(request, fault)
        answer = await method.call(message)
        if fault is not None:
            await asyncio.sleep(fault.seconds)
        return write_message(request, answer)

    async def _fail(self, request: web.Request, fault: Fault) -> web.StreamResponse:
        match fault.kind:
            case FaultKind.ERROR:
                raise TwirpError(fault.code, fault.message, fault.status)
            case FaultKind.NO_ANSWER:
                await asyncio.sleep(fault.seconds)
            case FaultKind.EMPTY:
                return web.Response(body=b"", content_type="application/protobuf")
        if request.transport is not None:
            request.transport.close()
        return web.Response(status=500)


def _egress_methods(service: EgressService) -> dict[str, _Method]:
    def allow(grants: Grants, _request: Message) -> None:
        grants.require("roomRecord")

    prefix = "livekit.Egress/"
    return {
        f"{prefix}StartTrackCompositeEgress": _Method(
            egress.TrackCompositeEgressRequest, service.start, allow
        ),
        f"{prefix}ListEgress": _Method(egress.ListEgressRequest, service.list, allow),
        f"{prefix}StopEgress": _Method(egress.StopEgressRequest, service.stop, allow),
    }


def _room_methods(service: RoomService) -> dict[str, _Method]:
    def allow_list(grants: Grants, _request: room.ListRoomsRequest) -> None:
        grants.require("roomList")

    def allow_create(grants: Grants, _request: Message) -> None:
        grants.require("roomCreate")

    def allow_admin(
        grants: Grants, request: room.RoomParticipantIdentity | room.ListParticipantsRequest
    ) -> None:
        grants.require_admin(request.room)

    prefix = "livekit.RoomService/"
    identity = room.RoomParticipantIdentity
    return {
        f"{prefix}ListRooms": _Method(room.ListRoomsRequest, service.list_rooms, allow_list),
        f"{prefix}CreateRoom": _Method(room.CreateRoomRequest, service.create_room, allow_create),
        f"{prefix}DeleteRoom": _Method(room.DeleteRoomRequest, service.delete_room, allow_create),
        f"{prefix}ListParticipants": _Method(
            room.ListParticipantsRequest, service.list_participants, allow_admin
        ),
        f"{prefix}GetParticipant": _Method(identity, service.get_participant, allow_admin),
        f"{prefix}RemoveParticipant": _Method(identity, service.remove_participant, allow_admin),
    }
