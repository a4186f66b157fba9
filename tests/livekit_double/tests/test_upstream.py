"""A double in front of another server, which has the rooms: here of a second double."""

from __future__ import annotations

from collections.abc import AsyncIterator
from pathlib import Path

import pytest
from livekit import api

from tests.livekit_double.fixtures import QUICK, DoubleInProcess, start_double
from tests.livekit_double.tests.requests import small_request


@pytest.fixture
async def behind(tmp_path: Path) -> AsyncIterator[DoubleInProcess]:
    behind = await start_double(tmp_path, QUICK)
    yield behind
    await behind.stop()


@pytest.fixture
async def front(behind: DoubleInProcess, tmp_path: Path) -> AsyncIterator[DoubleInProcess]:
    front = await start_double(tmp_path, QUICK, rooms_url=behind.url)
    yield front
    await front.stop()


@pytest.fixture
async def client(front: DoubleInProcess) -> AsyncIterator[api.LiveKitAPI]:
    async with api.LiveKitAPI(front.url, front.api_key, front.api_secret, failover=False) as client:
        yield client


async def test_rooms_are_those_of_the_server_behind(
    client: api.LiveKitAPI, front: DoubleInProcess, behind: DoubleInProcess
) -> None:
    behind.rooms.join("standup", "alice", ["CAMERA"])
    answer = await client.room.list_participants(api.ListParticipantsRequest(room="standup"))
    assert [each.identity for each in answer.participants] == ["alice"]
    assert not front.rooms.exists("standup")
    assert [call.method for call in behind.server.calls.calls] == ["ListParticipants"]


async def test_errors_of_the_server_behind_are_passed_on(client: api.LiveKitAPI) -> None:
    asked = api.RoomParticipantIdentity(room="nowhere", identity="alice")
    with pytest.raises(api.TwirpError) as refused:
        await client.room.get_participant(asked)
    assert refused.value.status == 404


async def test_egresses_are_its_own_and_it_looks_for_their_rooms_behind(
    client: api.LiveKitAPI, behind: DoubleInProcess, tmp_path: Path
) -> None:
    with pytest.raises(api.TwirpError, match="requested room does not exist"):
        await client.egress.start_track_composite_egress(small_request(tmp_path, video="TR_VCx"))
    behind.rooms.create("standup")
    with pytest.raises(api.TwirpError, match="no response from servers"):  # it has no worker
        await client.egress.start_track_composite_egress(small_request(tmp_path, video="TR_VCx"))
    assert not (await client.egress.list_egress(api.ListEgressRequest())).items


async def test_a_server_behind_that_is_away_is_said(
    client: api.LiveKitAPI, behind: DoubleInProcess, tmp_path: Path
) -> None:
    await behind.server.stop()
    with pytest.raises(api.TwirpError, match="the real livekit-server does not answer"):
        await client.room.list_rooms(api.ListRoomsRequest())
    with pytest.raises(api.TwirpError, match="the real livekit-server does not answer"):
        await client.egress.start_track_composite_egress(small_request(tmp_path, video="TR_VCx"))
