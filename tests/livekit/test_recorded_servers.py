"""What the adapter makes of the answers of each livekit-server that was recorded."""

from __future__ import annotations

import json
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from typing import Any

import aiohttp
import pytest
from aiohttp import web
from aiohttp.test_utils import TestServer
from google.protobuf.json_format import ParseDict
from livekit.protocol.egress import ListEgressResponse
from livekit.protocol.room import ListParticipantsResponse, ListRoomsResponse

from replay_operator.api.replaybuffer import Encoding, EncodingPreset
from replay_operator.domain.egress import Participant, PublishedTrack, RecordedPair, StartRequest, TrackKind
from replay_operator.livekit.adapter import LiveKitAdapter
from replay_operator.livekit.errors import (
    LiveKitError,
    LiveKitRefused,
    NoEgressCapacity,
    RoomNotFound,
)
from tests.livekit.questions import QUESTIONS
from tests.livekit.recording import RECORDED_SERVERS
from tests.testbed.binaries import LIVEKIT_SERVER_VERSION

VERSIONS = sorted(path.stem for path in RECORDED_SERVERS.glob("*.jsonl"))
MESSAGES = {
    "ListEgress": ListEgressResponse,
    "ListParticipants": ListParticipantsResponse,
    "ListRooms": ListRoomsResponse,
}
START = StartRequest(
    room="standup",
    tracks=RecordedPair(video="TR_V", audio=None),
    filename_prefix="/out/ns/uid/run/seg",
    segment_seconds=4,
    encoding=Encoding(preset=EncodingPreset.H264_720P_30),
)

Recorded = Mapping[str, Mapping[str, Any]]


@pytest.fixture(params=VERSIONS)
def recorded(request: pytest.FixtureRequest) -> Recorded:
    """One server's answers, by question."""
    lines = (RECORDED_SERVERS / f"{request.param}.jsonl").read_text().splitlines()
    return {row["question"]: row for row in map(json.loads, lines)}


@asynccontextmanager
async def adapter_to(recorded: Recorded, played: Mapping[str, str]) -> AsyncIterator[LiveKitAdapter]:
    """Give an adapter whose calls are answered as the questions were: question by Twirp method."""

    async def answer(request: web.Request) -> web.Response:
        method = request.path.rsplit("/", 1)[-1]
        row = recorded[played[method]]
        if error := row.get("error"):
            return web.json_response({"code": error["code"], "msg": error["message"]}, status=error["status"])
        body = ParseDict(row["answer"], MESSAGES[method]()).SerializeToString()
        return web.Response(body=body, content_type="application/protobuf")

    app = web.Application()
    app.router.add_route("*", "/{anything:.*}", answer)
    async with TestServer(app) as server:
        adapter = LiveKitAdapter(
            aiohttp.ClientSession(),
            url=str(server.make_url("/")),
            api_key="APItest",
            api_secret="a-secret-of-at-least-thirty-two-characters",
        )
        try:
            yield adapter
        finally:
            await adapter.aclose()


def test_the_server_of_the_test_bed_and_one_more_at_least_were_asked_everything(recorded: Recorded) -> None:
    assert LIVEKIT_SERVER_VERSION in VERSIONS
    assert len(VERSIONS) > 1
    assert recorded.keys() == QUESTIONS.keys()


async def test_nothing_is_listed_and_an_unknown_egress_is_none(recorded: Recorded) -> None:
    async with adapter_to(recorded, {"ListEgress": "list nothing"}) as adapter:
        assert await adapter.list_active() == ()
    async with adapter_to(recorded, {"ListEgress": "look up an unknown egress"}) as adapter:
        assert await adapter.get_egress("EG_neverStarted") is None


async def test_stopping_an_unknown_egress_is_no_error(recorded: Recorded) -> None:
    async with adapter_to(recorded, {"StopEgress": "stop an unknown egress"}) as adapter:
        await adapter.stop("EG_neverStarted")


@pytest.mark.parametrize(
    ("question", "error"),
    [
        ("start in an unknown room", RoomNotFound),
        ("start without a worker", NoEgressCapacity),
    ],
)
async def test_a_start_that_cannot_be_says_why(
    recorded: Recorded, question: str, error: type[LiveKitError]
) -> None:
    async with adapter_to(recorded, {"StartTrackCompositeEgress": question}) as adapter:
        with pytest.raises(error) as raised:
            await adapter.start(START)
    assert type(raised.value) is error
    # A worker may have taken it after all; the other one was refused before any was asked.
    assert raised.value.outcome_unknown is (error is NoEgressCapacity)


async def test_a_call_without_its_grant_is_a_refusal(recorded: Recorded) -> None:
    async with adapter_to(recorded, {"ListEgress": "list without the grant"}) as adapter:
        with pytest.raises(LiveKitRefused):
            await adapter.list_active()


async def test_people_and_what_they_publish_are_read(recorded: Recorded) -> None:
    async with adapter_to(recorded, {"ListParticipants": "participants"}) as adapter:
        people = await adapter.participants("standup")
    assert people is not None
    (alice,) = people
    tracks = {track.source: track for track in alice.tracks}
    screen, microphone = tracks["SCREEN_SHARE"], tracks["MICROPHONE"]
    assert alice == Participant("alice", alice.tracks)
    assert screen == PublishedTrack(screen.sid, TrackKind.VIDEO, "SCREEN_SHARE", muted=False)
    assert microphone == PublishedTrack(microphone.sid, TrackKind.AUDIO, "MICROPHONE", muted=True)
    assert len(tracks) == len(alice.tracks) == 2


async def test_a_room_that_is_not_there_is_known_from_an_empty_one(recorded: Recorded) -> None:
    nowhere = {"ListParticipants": "participants of an unknown room", "ListRooms": "rooms by an unknown name"}
    async with adapter_to(recorded, nowhere) as adapter:
        assert await adapter.participants("nobody-made-this-room") is None
    async with adapter_to(recorded, {**nowhere, "ListRooms": "rooms"}) as adapter:
        assert await adapter.participants("standup") == ()
