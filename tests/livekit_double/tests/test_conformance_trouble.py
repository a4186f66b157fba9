"""Holds what happens when a process dies, fails or restarts against the recordings."""

import asyncio
from pathlib import Path
from typing import Any

import aiohttp
import pytest
from livekit import api
from livekit.protocol import egress

from tests.livekit_double.fixtures import DoubleInProcess
from tests.livekit_double.server.faults import Fault, FaultKind
from tests.livekit_double.tests.receiver import Receiver, recorded_departure, recorded_event
from tests.livekit_double.tests.recordings import as_recorded, normalised, recorded_statuses
from tests.livekit_double.tests.requests import SOURCES, request_for
from tests.livekit_double.tests.waiting import StatusHistory, info_of, reaches, segments_in, until

ACTIVE = egress.EgressStatus.EGRESS_ACTIVE
COMPLETE = egress.EgressStatus.EGRESS_COMPLETE
FAILED = egress.EgressStatus.EGRESS_FAILED


async def _start(double: DoubleInProcess, client: api.LiveKitAPI, directory: Path) -> str:
    started = await client.egress.start_track_composite_egress(request_for(double, directory))
    await reaches(client, started.egress_id, ACTIVE)
    return str(started.egress_id)


def _departure_of(receiver: Receiver, egress_id: str) -> dict[str, Any] | None:
    left = receiver.events("participant_left")
    return next((each for each in left if each["participant"]["identity"] == egress_id), None)


def _form(event: dict[str, Any]) -> tuple[set[str], set[str], list[Any]]:
    person = event["participant"]
    said = [person[name] for name in ("state", "kind", "disconnectReason", "permission")]
    return set(event), set(person), said


async def test_a_killed_publisher_ends_the_egress_as_recorded(
    livekit_double: DoubleInProcess, client: api.LiveKitAPI, tmp_path: Path, receiver: Receiver
) -> None:
    request = request_for(livekit_double, tmp_path)
    history = StatusHistory(livekit_double)
    started = await client.egress.start_track_composite_egress(request)
    await segments_in(tmp_path, 1)
    livekit_double.server.lose_publisher("standup", "alice")
    assert await history.until_over(client, started.egress_id) == recorded_statuses("publisher-killed")
    departure = _departure_of(receiver, "alice")
    assert departure is not None
    assert departure["participant"]["disconnectReason"] == "CONNECTION_TIMEOUT"


async def test_a_killed_worker_leaves_the_recorded_record_and_only_a_webhook_tells_of_it(
    livekit_double: DoubleInProcess, client: api.LiveKitAPI, tmp_path: Path, receiver: Receiver
) -> None:
    egress_id = await _start(livekit_double, client, tmp_path)
    await livekit_double.workers[0].die()
    await until(lambda: _departure_of(receiver, egress_id) is not None, "the egress participant has left")
    assert _form(_departure_of(receiver, egress_id) or {}) == _form(recorded_departure())
    info = await info_of(client, egress_id)
    assert [normalised(as_recorded(info))] == recorded_statuses("worker-killed")
    assert not [e for e in receiver.events("egress_ended") if e["egressInfo"]["egressId"] == egress_id]


async def test_the_participant_of_a_killed_handler_times_out_after_its_record_has_ended(
    livekit_double: DoubleInProcess, client: api.LiveKitAPI, tmp_path: Path, receiver: Receiver
) -> None:
    egress_id = await _start(livekit_double, client, tmp_path)
    await livekit_double.server.kill_handler(egress_id)
    await until(lambda: _departure_of(receiver, egress_id) is not None, "the egress participant has left")
    assert _form(_departure_of(receiver, egress_id) or {}) == _form(recorded_departure())
    names = [each["event"] for each in receiver.events()]
    assert names.index("egress_ended") < names.index("participant_left")


async def test_a_worker_short_of_cpu_is_told_in_the_recorded_webhooks(
    livekit_double: DoubleInProcess, client: api.LiveKitAPI, tmp_path: Path, receiver: Receiver
) -> None:
    egress_id = await _start(livekit_double, client, tmp_path)
    await segments_in(tmp_path, 1)
    await livekit_double.server.end_egress(egress_id)
    await until(lambda: bool(receiver.events("egress_ended")), "the end is told")
    recording = "webhooks/cpu-exhausted.jsonl"
    for name, status in (("egress_updated", "EGRESS_ENDING"), ("egress_ended", "EGRESS_COMPLETE")):
        ours = receiver.events(name)[-1]["egressInfo"]
        recorded = recorded_event(name, status, recording=recording)["egressInfo"]
        assert (ours["status"], ours["details"]) == (status, recorded["details"])
        assert set(ours) == set(recorded)
        assert set(ours["segments"]) == set(recorded["segments"])


async def test_a_restarted_server_keeps_its_records_and_ends_the_egress_as_recorded(
    livekit_double: DoubleInProcess, client: api.LiveKitAPI, tmp_path: Path, receiver: Receiver
) -> None:
    egress_id = await _start(livekit_double, client, tmp_path)
    await segments_in(tmp_path, 1)
    before = {track.sid for track in livekit_double.rooms.participant("standup", "alice").tracks}
    seen_before = len(receiver.received)
    back = livekit_double.server.restart(away_seconds=0.5)
    await until(lambda: not livekit_double.workers[0].is_connected, "the worker has noticed")
    with pytest.raises(aiohttp.ClientConnectionError):
        await client.egress.list_egress(egress.ListEgressRequest())
    await back
    history = StatusHistory(livekit_double)
    # Recorded: first the refused connection, then ACTIVE and COMPLETE (ENDING was too short to be seen).
    refused, *recorded = recorded_statuses("livekit-server-restarted")
    assert "exc" in refused
    seen = await history.until_over(client, egress_id)
    assert [seen[0], seen[-1]] == recorded
    after = {track.sid for track in livekit_double.rooms.participant("standup", "alice").tracks}
    assert len(after) == len(before)
    assert not after & before
    await until(lambda: bool(receiver.events("egress_ended")), "the end is told")
    told = [each["event"] for each in receiver.events()[seen_before:]]
    assert told[:4] == ["room_started", "participant_joined", "track_published", "track_published"]
    assert "participant_left" not in told[:4]


async def test_what_is_recorded_while_the_server_is_away_is_kept(
    livekit_double: DoubleInProcess, client: api.LiveKitAPI, tmp_path: Path
) -> None:
    egress_id = await _start(livekit_double, client, tmp_path)
    await livekit_double.server.restart(away_seconds=2.0)
    info = await reaches(client, egress_id, COMPLETE)
    assert info.segments.duration > 2e9


async def test_a_handler_that_does_not_come_up_is_a_500_and_a_failed_record(
    livekit_double: DoubleInProcess, client: api.LiveKitAPI, tmp_path: Path, receiver: Receiver
) -> None:
    livekit_double.server.faults.add(Fault("StartTrackCompositeEgress", FaultKind.NO_LAUNCH))
    request = request_for(livekit_double, tmp_path)
    with pytest.raises(api.ServerError) as raised:
        await client.egress.start_track_composite_egress(request)
    assert (raised.value.status, raised.value.code) == (500, "internal")
    records = (await client.egress.list_egress(egress.ListEgressRequest())).items
    assert [(each.status, each.error_code) for each in records] == [(FAILED, 500)]
    await until(lambda: bool(receiver.events("egress_ended")), "the end is told")
    told = [each["event"] for each in receiver.events() if each["event"].startswith("egress")]
    assert told == ["egress_started", "egress_ended"]
    await client.egress.start_track_composite_egress(request)


async def test_a_worker_whose_handler_fails_with_code_500_drains_and_leaves(
    livekit_double: DoubleInProcess, client: api.LiveKitAPI, tmp_path: Path
) -> None:
    failing = await _start(livekit_double, client, tmp_path / "one")
    livekit_double.rooms.join("standup", "bob", SOURCES)
    request = request_for(livekit_double, tmp_path / "two", identity="bob")
    other = (await client.egress.start_track_composite_egress(request)).egress_id
    await reaches(client, other, ACTIVE)
    await livekit_double.server.fail_egress(failing, "pipeline frozen")
    info = await reaches(client, failing, FAILED)
    assert (info.error, info.error_code, info.details) == ("pipeline frozen", 500, "End reason: Failure")
    await until(lambda: livekit_double.workers[0].draining, "the worker drains")
    assert (await info_of(client, other)).status == ACTIVE
    await client.egress.stop_egress(egress.StopEgressRequest(egress_id=other))
    await asyncio.wait_for(livekit_double.workers[0].gone.wait(), 10)
    assert not livekit_double.server.fleet.links


async def test_a_failure_with_another_code_leaves_the_worker_in_service(
    livekit_double: DoubleInProcess, client: api.LiveKitAPI, tmp_path: Path
) -> None:
    egress_id = await _start(livekit_double, client, tmp_path)
    await livekit_double.server.fail_egress(egress_id, "no route", error_code=400)
    await reaches(client, egress_id, FAILED)
    await until(lambda: not livekit_double.workers[0].runs, "the handler has gone")
    assert not livekit_double.workers[0].draining
