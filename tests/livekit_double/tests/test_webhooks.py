"""Webhooks: who signs them, what is in them, in which order they come."""

import asyncio
from pathlib import Path
from typing import Any

import aiohttp
import jwt
import pytest
from livekit import api
from livekit.protocol import egress

from tests.livekit_double.fixtures import API_KEY, API_SECRET, QUICK, start_double
from tests.livekit_double.tests.receiver import Receiver, recorded_event
from tests.livekit_double.tests.requests import request_for
from tests.livekit_double.tests.waiting import reaches, until


def _names_of_last(receiver: Receiver) -> tuple[str, str]:
    last = receiver.events()[-1]
    return last["event"], last.get("participant", {}).get("identity", "")


async def test_an_egress_is_told_in_the_recorded_events_and_every_event_is_signed(
    receiver: Receiver, tmp_path: Path
) -> None:
    double = await start_double(tmp_path / "tmp", QUICK, webhook_urls=(receiver.url,))
    await double.add_worker()
    async with api.LiveKitAPI(double.url, API_KEY, API_SECRET, failover=False) as client:
        started = await client.egress.start_track_composite_egress(request_for(double, tmp_path))
        await reaches(client, started.egress_id, egress.EgressStatus.EGRESS_ACTIVE)
        await client.egress.stop_egress(egress.StopEgressRequest(egress_id=started.egress_id))
        await reaches(client, started.egress_id, egress.EgressStatus.EGRESS_COMPLETE)
    double.rooms.leave("standup", "alice")
    await until(lambda: _names_of_last(receiver) == ("participant_left", "alice"), "the last event is there")
    await double.stop()

    verifier = api.WebhookReceiver(api.TokenVerifier(API_KEY, API_SECRET))
    for headers, body in receiver.received:
        assert headers["Content-Type"] == "application/webhook+json"
        verifier.receive(body, headers["Authorization"])
    told = [(each["event"], each.get("egressInfo", {}).get("status")) for each in receiver.events()]
    egress_events = [each for each in told if each[0].startswith("egress")]
    assert egress_events == [
        ("egress_started", None),
        ("egress_updated", "EGRESS_ACTIVE"),
        ("egress_updated", "EGRESS_ENDING"),
        ("egress_ended", "EGRESS_COMPLETE"),
    ]
    assert told[:4] == [
        ("room_started", None),
        ("participant_joined", None),
        ("track_published", None),
        ("track_published", None),
    ]
    assert told[-3:] == [("track_unpublished", None), ("track_unpublished", None), ("participant_left", None)]
    for event, status in (("egress_started", None), ("egress_updated", "EGRESS_ACTIVE")):
        ours = next(
            e
            for e in receiver.events()
            if e.get("egressInfo", {}).get("status") == status and e["event"] == event
        )
        recorded = recorded_event(event, status)
        assert set(ours) == set(recorded)
        assert set(ours["egressInfo"]) == set(recorded["egressInfo"])


async def test_a_receiver_that_is_away_does_not_hold_up_the_server(tmp_path: Path) -> None:
    double = await start_double(tmp_path, QUICK, webhook_urls=("http://127.0.0.1:9/",))
    double.rooms.join("standup", "alice", ["CAMERA"])
    async with api.LiveKitAPI(double.url, API_KEY, API_SECRET, failover=False) as client:
        answer = await asyncio.wait_for(client.egress.list_egress(egress.ListEgressRequest()), 5)
    assert not answer.items
    await double.stop()


async def test_a_webhook_about_nothing_is_sent_on_demand_repeated_or_forged(
    receiver: Receiver, tmp_path: Path
) -> None:
    double = await start_double(tmp_path, QUICK, webhook_urls=(receiver.url,))
    body = {"event": {"event": "participant_left", "participant": {"identity": "EG_1", "kind": "EGRESS"}}}
    async with aiohttp.ClientSession() as session:

        async def send(**options: Any) -> list[int]:
            async with session.post(f"{double.url}/double/webhooks", json=body | options) as answer:
                statuses: list[int] = await answer.json()
                return statuses

        assert await send(copies=2) == [200, 200]
        assert await send(api_secret="another secret of 32 characters!") == [200]
    await double.stop()
    assert [sent.identity for sent in double.server.webhooks.sent] == ["EG_1"] * 3

    verifier = api.WebhookReceiver(api.TokenVerifier(API_KEY, API_SECRET))
    (first_headers, first), (_, second), (forged_headers, forged) = receiver.received
    assert first == second, "a copy has the same id"
    verifier.receive(first, first_headers["Authorization"])
    with pytest.raises(jwt.InvalidSignatureError):
        verifier.receive(forged, forged_headers["Authorization"])
