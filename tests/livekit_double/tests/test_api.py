"""Who may call, what is listed, which worker is taken, and faults on demand."""

import asyncio
import time
from collections.abc import AsyncIterator, Callable
from pathlib import Path
from typing import Any

import aiohttp
import jwt
import pytest
from livekit import api
from livekit.protocol import egress, models, room

from tests.livekit_double.fixtures import API_KEY, API_SECRET, QUICK, DoubleInProcess, start_double
from tests.livekit_double.server.faults import Fault, FaultKind
from tests.livekit_double.tests.requests import SOURCES, request_for
from tests.livekit_double.tests.waiting import reaches, until

LIST = "/twirp/livekit.Egress/ListEgress"


@pytest.fixture
async def http(livekit_double: DoubleInProcess) -> AsyncIterator[aiohttp.ClientSession]:
    async with aiohttp.ClientSession(livekit_double.url) as session:
        yield session


def _token(secret: str = API_SECRET, issuer: str = API_KEY, expires_in: int = 60, **video: Any) -> str:
    claims = {"iss": issuer, "exp": int(time.time()) + expires_in, "video": video}
    return jwt.encode(claims, secret, algorithm="HS256")


async def _post(http: aiohttp.ClientSession, path: str, authorization: str | None) -> tuple[int, str]:
    headers = {"Authorization": authorization} if authorization is not None else {}
    async with http.post(path, json={}, headers=headers) as answer:
        return answer.status, await answer.text()


# Parameters are made when pytest collects; a token is signed only when its test runs, or it
# would have expired in a run that is longer than its life.
@pytest.mark.parametrize(
    ("authorization", "says"),
    [
        (lambda: "Basic abc", "Must start with Bearer"),
        (lambda: "Bearer nonsense", "invalid authorization token"),
        (lambda: f"Bearer {_token(issuer='other', roomRecord=True)}", "invalid API key"),
        (lambda: f"Bearer {_token(secret='x' * 32, roomRecord=True)}", "invalid token"),
        (lambda: f"Bearer {_token(expires_in=-120, roomRecord=True)}", "invalid token"),
    ],
)
async def test_a_bad_token_is_answered_with_401_and_plain_text(
    http: aiohttp.ClientSession, authorization: Callable[[], str], says: str
) -> None:
    status, text = await _post(http, LIST, authorization())
    assert status == 401
    assert says in text


@pytest.mark.parametrize(
    ("path", "video"),
    [
        (LIST, None),
        (LIST, {"roomAdmin": True, "room": "standup"}),
        ("/twirp/livekit.RoomService/ListRooms", {"roomCreate": True}),
        ("/twirp/livekit.RoomService/CreateRoom", {"roomList": True}),
        ("/twirp/livekit.RoomService/ListParticipants", {"roomAdmin": True, "room": "other"}),
    ],
)
async def test_a_missing_grant_is_unauthenticated(
    http: aiohttp.ClientSession, path: str, video: dict[str, Any] | None
) -> None:
    authorization = f"Bearer {_token(**video)}" if video is not None else None
    status, text = await _post(http, path, authorization)
    assert (status, text) == (401, '{"code": "unauthenticated", "msg": "permissions denied"}')


async def test_json_is_answered_with_every_field_by_its_proto_name(http: aiohttp.ClientSession) -> None:
    status, text = await _post(http, LIST, f"Bearer {_token(roomRecord=True)}")
    assert status == 200
    assert '"next_page_token"' in text or '"items": []' in text


async def test_an_unknown_route_is_a_bad_route(http: aiohttp.ClientSession) -> None:
    status, text = await _post(http, "/twirp/livekit.Egress/StartWarp", f"Bearer {_token()}")
    assert status == 404
    assert '"bad_route"' in text


async def test_participants_show_their_tracks_and_the_egress_joins_hidden(
    livekit_double: DoubleInProcess, client: api.LiveKitAPI, tmp_path: Path
) -> None:
    request = request_for(livekit_double, tmp_path)
    started = await client.egress.start_track_composite_egress(request)
    answer = await client.room.list_participants(room.ListParticipantsRequest(room="standup"))
    people = {each.identity: each for each in answer.participants}
    assert people[started.egress_id].kind == models.ParticipantInfo.Kind.EGRESS
    assert people[started.egress_id].permission.hidden
    assert {track.sid for track in people["alice"].tracks} == {request.video_track_id, request.audio_track_id}
    rooms = await client.room.list_rooms(room.ListRoomsRequest())
    assert [(each.name, each.num_participants, each.active_recording) for each in rooms.rooms] == [
        ("standup", 1, True)
    ]


async def test_a_source_published_again_gets_another_track_id(livekit_double: DoubleInProcess) -> None:
    livekit_double.rooms.join("standup", "alice", SOURCES)
    first = livekit_double.rooms.track_sid("standup", "alice", "CAMERA")
    livekit_double.rooms.unpublish("standup", first)
    assert livekit_double.rooms.publish("standup", "alice", "CAMERA") != first


async def test_rooms_are_created_listed_and_deleted_and_people_removed(
    livekit_double: DoubleInProcess, client: api.LiveKitAPI
) -> None:
    await client.room.create_room(room.CreateRoomRequest(name="townhall"))
    livekit_double.rooms.join("townhall", "bob")
    await client.room.remove_participant(room.RoomParticipantIdentity(room="townhall", identity="bob"))
    with pytest.raises(api.ServerError) as gone:
        await client.room.get_participant(room.RoomParticipantIdentity(room="townhall", identity="bob"))
    assert (gone.value.code, gone.value.status) == ("not_found", 404)
    await client.room.delete_room(room.DeleteRoomRequest(room="townhall"))
    assert not (await client.room.list_rooms(room.ListRoomsRequest(names=["townhall"]))).rooms


async def test_list_filters_by_room_and_by_active_and_knows_ended_ones(
    livekit_double: DoubleInProcess, client: api.LiveKitAPI, tmp_path: Path
) -> None:
    started = await client.egress.start_track_composite_egress(request_for(livekit_double, tmp_path))
    await reaches(client, started.egress_id, egress.EgressStatus.EGRESS_ACTIVE)

    async def listed(**filters: Any) -> list[str]:
        answer = await client.egress.list_egress(egress.ListEgressRequest(**filters))
        return [item.egress_id for item in answer.items]

    assert await listed(active=True, room_name="standup") == [started.egress_id]
    assert await listed(room_name="other") == []
    await client.egress.stop_egress(egress.StopEgressRequest(egress_id=started.egress_id))
    await reaches(client, started.egress_id, egress.EgressStatus.EGRESS_COMPLETE)
    assert await listed(active=True) == []
    assert await listed() == [started.egress_id]
    with pytest.raises(api.ServerError) as unknown:
        await listed(egress_id="EG_unknown")
    assert unknown.value.code == "not_found"


async def test_the_busy_worker_is_packed_before_the_idle_one(
    livekit_double: DoubleInProcess, client: api.LiveKitAPI, tmp_path: Path
) -> None:
    await livekit_double.add_worker(capacity=2)
    livekit_double.server.fleet.links["worker-0"].capacity = 2
    for identity in ("alice", "bob", "carol"):
        request = request_for(livekit_double, tmp_path / identity, identity=identity)
        await client.egress.start_track_composite_egress(request)
    loads = sorted(len(livekit_double.server.records.running_on(f"worker-{number}")) for number in (0, 1))
    assert loads == [1, 2]


async def test_a_held_answer_comes_after_the_egress_has_been_registered(
    livekit_double: DoubleInProcess, client: api.LiveKitAPI, tmp_path: Path
) -> None:
    livekit_double.server.faults.add(Fault("StartTrackCompositeEgress", FaultKind.HOLD, seconds=30))
    call = asyncio.create_task(
        client.egress.start_track_composite_egress(request_for(livekit_double, tmp_path))
    )
    await until(lambda: bool(livekit_double.server.records.select()), "the egress is registered")
    assert not call.done()
    call.cancel()


async def test_faults_hit_the_next_calls_of_their_method_and_no_others(
    livekit_double: DoubleInProcess, client: api.LiveKitAPI, tmp_path: Path
) -> None:
    faults = livekit_double.server.faults
    faults.add(Fault("ListEgress", FaultKind.ERROR, count=2, code="internal", message="boom", status=500))
    for _ in range(2):
        with pytest.raises(api.ServerError) as raised:
            await client.egress.list_egress(egress.ListEgressRequest())
        assert (raised.value.message, raised.value.status) == ("boom", 500)
    await client.egress.start_track_composite_egress(request_for(livekit_double, tmp_path))
    faults.add(Fault("ListEgress", FaultKind.EMPTY))
    assert not (await client.egress.list_egress(egress.ListEgressRequest())).items
    faults.add(Fault("ListEgress", FaultKind.DISCONNECT))
    with pytest.raises(aiohttp.ClientError):
        await client.egress.list_egress(egress.ListEgressRequest())
    assert len((await client.egress.list_egress(egress.ListEgressRequest())).items) == 1
    assert livekit_double.server.calls.counts() == {"ListEgress": 5, "StartTrackCompositeEgress": 1}


async def test_no_answer_lasts_until_the_caller_gives_up(
    livekit_double: DoubleInProcess, client: api.LiveKitAPI
) -> None:
    livekit_double.server.faults.add(Fault("ListEgress", FaultKind.NO_ANSWER, seconds=30))
    with pytest.raises(TimeoutError):
        # livekit-api 1.2.2 switches its session's own time-out off in every call.
        await asyncio.wait_for(client.egress.list_egress(egress.ListEgressRequest()), 0.2)


async def test_the_admin_api_has_the_same_levers(
    http: aiohttp.ClientSession, livekit_double: DoubleInProcess
) -> None:
    async def call(method: str, path: str, body: object = None) -> Any:
        async with http.request(method, f"/double/{path}", json=body) as answer:
            assert answer.status == 200, await answer.text()
            return await answer.json()

    await call("POST", "rooms", {"name": "townhall"})
    alice = await call("POST", "rooms/townhall/participants", {"identity": "alice", "tracks": ["CAMERA"]})
    camera = alice["tracks"][0]["sid"]
    await call("POST", f"rooms/townhall/tracks/{camera}/mute", {"muted": True})
    share = await call("POST", "rooms/townhall/participants/alice/tracks", {"source": "SCREEN_SHARE"})
    await call("DELETE", f"rooms/townhall/tracks/{share['sid']}")
    people = (await call("GET", "rooms"))["townhall"]
    assert [(track["sid"], track["muted"]) for track in people[0]["tracks"]] == [(camera, True)]
    await call("DELETE", "rooms/townhall/participants/alice")
    assert livekit_double.rooms.participants("townhall") == []
    await call(
        "POST", "faults", {"method": "ListEgress", "kind": "error", "code": "internal", "message": "boom"}
    )
    assert livekit_double.server.faults.take("ListEgress") is not None
    assert [each["worker_id"] for each in await call("GET", "workers")] == ["worker-0"]
    assert await call("GET", "egress") == []
    assert (await call("GET", "calls"))["counts"] == {}


async def test_a_lost_worker_takes_its_egress_participant_along_but_not_the_record(
    livekit_double: DoubleInProcess, client: api.LiveKitAPI, tmp_path: Path
) -> None:
    started = await client.egress.start_track_composite_egress(request_for(livekit_double, tmp_path))
    await reaches(client, started.egress_id, egress.EgressStatus.EGRESS_ACTIVE)
    await livekit_double.workers[0].die()
    await until(
        lambda: [each.identity for each in livekit_double.rooms.participants("standup")] == ["alice"],
        "the egress participant has left",
    )
    assert livekit_double.server.records.get(started.egress_id).status == egress.EgressStatus.EGRESS_ACTIVE


async def test_a_worker_connects_again_when_its_server_is_back(tmp_path: Path) -> None:
    double = await start_double(tmp_path, QUICK)
    port = int(double.url.rsplit(":", 1)[1])
    worker = await double.add_worker()
    await double.server.stop()
    await until(lambda: not worker.is_connected, "the worker has noticed")
    again = await start_double(tmp_path, QUICK, port=port)
    await asyncio.wait_for(worker.connected(), 5)
    assert list(again.server.fleet.links) == [worker.config.worker_id]
    await worker.die()
    await again.stop()
