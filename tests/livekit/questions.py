"""What any livekit-server can be asked when it has no egress worker, for recordings and for the double."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass
from types import MappingProxyType
from typing import Any

from google.protobuf import json_format
from google.protobuf.message import Message
from livekit.api import AccessToken, LiveKitAPI, ServerError, VideoGrants
from livekit.protocol import egress as proto_egress
from livekit.protocol import room as proto_room

NOWHERE = "nobody-made-this-room"
NO_EGRESS = "EG_neverStarted"


@dataclass(frozen=True, slots=True)
class Standup:
    """A room with one participant, who shows a screen and has a muted microphone.

    Attributes:
        room: Its name.
        video: The id of the screen's track.
        api_key: For a token of a question's own.
        api_secret: Its secret.
    """

    room: str
    video: str
    api_key: str
    api_secret: str


Question = Callable[[LiveKitAPI, Standup], Awaitable[Message]]


def _start(room: str, video: str) -> proto_egress.TrackCompositeEgressRequest:
    return proto_egress.TrackCompositeEgressRequest(
        room_name=room,
        video_track_id=video,
        segment_outputs=[
            proto_egress.SegmentedFileOutput(
                filename_prefix="/out/ns/uid/run/seg",
                playlist_name="seg.m3u8",
                live_playlist_name="seg-live.m3u8",
                segment_duration=4,
            )
        ],
    )


async def _list_nothing(api: LiveKitAPI, standup: Standup) -> Message:
    return await api.egress.list_egress(proto_egress.ListEgressRequest(active=True))


async def _look_up_unknown(api: LiveKitAPI, standup: Standup) -> Message:
    return await api.egress.list_egress(proto_egress.ListEgressRequest(egress_id=NO_EGRESS))


async def _stop_unknown(api: LiveKitAPI, standup: Standup) -> Message:
    return await api.egress.stop_egress(proto_egress.StopEgressRequest(egress_id=NO_EGRESS))


async def _start_nowhere(api: LiveKitAPI, standup: Standup) -> Message:
    return await api.egress.start_track_composite_egress(_start(NOWHERE, standup.video))


async def _start_without_worker(api: LiveKitAPI, standup: Standup) -> Message:
    return await api.egress.start_track_composite_egress(_start(standup.room, standup.video))


async def _participants(api: LiveKitAPI, standup: Standup) -> Message:
    return await api.room.list_participants(proto_room.ListParticipantsRequest(room=standup.room))


async def _participants_nowhere(api: LiveKitAPI, standup: Standup) -> Message:
    return await api.room.list_participants(proto_room.ListParticipantsRequest(room=NOWHERE))


async def _rooms(api: LiveKitAPI, standup: Standup) -> Message:
    return await api.room.list_rooms(proto_room.ListRoomsRequest(names=[standup.room]))


async def _rooms_nowhere(api: LiveKitAPI, standup: Standup) -> Message:
    return await api.room.list_rooms(proto_room.ListRoomsRequest(names=[NOWHERE]))


async def _without_grant(api: LiveKitAPI, standup: Standup) -> Message:
    grants = VideoGrants(room_list=True)
    token = AccessToken(standup.api_key, standup.api_secret).with_grants(grants).to_jwt()
    service = api.egress
    service._token, kept = token, service._token
    try:
        return await service.list_egress(proto_egress.ListEgressRequest())
    finally:
        service._token = kept


QUESTIONS: Mapping[str, Question] = MappingProxyType(
    {
        "list nothing": _list_nothing,
        "look up an unknown egress": _look_up_unknown,
        "stop an unknown egress": _stop_unknown,
        "start in an unknown room": _start_nowhere,
        "start without a worker": _start_without_worker,
        "participants": _participants,
        "participants of an unknown room": _participants_nowhere,
        "rooms": _rooms,
        "rooms by an unknown name": _rooms_nowhere,
        "list without the grant": _without_grant,
    }
)


async def answer_to(question: Question, api: LiveKitAPI, standup: Standup) -> dict[str, Any]:
    """Ask, and write down what is said, be it an error.

    Args:
        question: One of `QUESTIONS`.
        api: Asks a server.
        standup: What is there.
    """
    try:
        message = await question(api, standup)
    except ServerError as error:
        return {"error": {"code": error.code, "message": error.message, "status": error.status}}
    answer = json_format.MessageToDict(message, preserving_proto_field_name=True)
    for room in answer.get("rooms", []):
        room.pop("turn_password", None)  # of a server that is gone, and yet nothing to write down
    return {"answer": answer}
