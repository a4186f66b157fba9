"""Holds the double's API against the recordings of the real server: fields, statuses, errors."""

import asyncio
import json
from dataclasses import replace
from pathlib import Path

import pytest
from livekit import api
from livekit.protocol import egress

from tests.livekit_double.fixtures import QUICK, DoubleInProcess
from tests.livekit_double.tests.recordings import RECORDINGS, recorded_errors, recorded_statuses
from tests.livekit_double.tests.requests import SOURCES, request_for, small_request
from tests.livekit_double.tests.waiting import StatusHistory, reaches, segments_in, until

ACTIVE = egress.EgressStatus.EGRESS_ACTIVE
LONG_SECONDS = 60.0
"""Far longer than it takes to stop what waits so long."""


async def wait_longer(double: DoubleInProcess, **delays: float) -> None:
    """Put a worker with other delays in the place of the one that is there."""
    await double.workers[0].die()
    await double.add_worker(timing=replace(QUICK, **delays))


def _error(raised: pytest.ExceptionInfo[api.ServerError]) -> dict[str, object]:
    return {"code": raised.value.code, "message": raised.value.message, "status": raised.value.status}


async def test_start_and_stop_show_the_recorded_statuses_and_fields(
    livekit_double: DoubleInProcess, client: api.LiveKitAPI, tmp_path: Path
) -> None:
    run = tmp_path / "run"
    history = StatusHistory(livekit_double)
    started = await client.egress.start_track_composite_egress(request_for(livekit_double, run))
    await segments_in(run, 1)
    stopping = await client.egress.stop_egress(egress.StopEgressRequest(egress_id=started.egress_id))
    assert stopping.status == egress.EgressStatus.EGRESS_ENDING
    assert (
        await history.until_over(client, started.egress_id)
        == recorded_statuses("start") + recorded_statuses("stop")[1:]
    )


async def test_a_publisher_who_leaves_ends_the_egress_as_recorded(
    livekit_double: DoubleInProcess, client: api.LiveKitAPI, tmp_path: Path
) -> None:
    run = tmp_path / "run"
    request = request_for(livekit_double, run)
    request.segment_outputs[0].filename_suffix = egress.SegmentedFileSuffix.TIMESTAMP
    history = StatusHistory(livekit_double)
    started = await client.egress.start_track_composite_egress(request)
    first = (await segments_in(run, 1))[0]
    livekit_double.rooms.leave("standup", "alice")
    assert await history.until_over(client, started.egress_id) == recorded_statuses("publisher-left")
    assert len(first.stem.removeprefix("seg_")) == len("20261122144104371")


async def test_a_killed_handler_fails_the_egress_as_recorded(
    livekit_double: DoubleInProcess, client: api.LiveKitAPI, tmp_path: Path
) -> None:
    run = tmp_path / "run"
    history = StatusHistory(livekit_double)
    started = await client.egress.start_track_composite_egress(request_for(livekit_double, run))
    await segments_in(run, 1)
    await livekit_double.server.kill_handler(started.egress_id)
    changes = await history.until_over(client, started.egress_id)
    assert changes[-2:] == recorded_statuses("handler-killed")
    assert "#EXT-X-ENDLIST" not in (run / "index.m3u8").read_text()
    assert not list(run.glob("*.json"))
    assert not list(livekit_double.temporary_directory.glob("*/EG_*"))


async def test_an_unknown_track_is_accepted_and_fails_as_recorded(
    livekit_double: DoubleInProcess, client: api.LiveKitAPI, tmp_path: Path
) -> None:
    livekit_double.rooms.join("standup", "alice", SOURCES)
    request = small_request(tmp_path, video="TR_VCdoesnotexist", audio="TR_AMdoesnotexist")
    history = StatusHistory(livekit_double)
    started = await client.egress.start_track_composite_egress(request)
    assert await history.until_over(client, started.egress_id) == recorded_statuses("unknown-track")


async def test_a_dead_worker_leaves_its_egress_active_and_stopping_it_times_out(
    livekit_double: DoubleInProcess, client: api.LiveKitAPI, tmp_path: Path
) -> None:
    started = await client.egress.start_track_composite_egress(request_for(livekit_double, tmp_path))
    await reaches(client, started.egress_id, ACTIVE)
    await livekit_double.workers[0].die()
    with pytest.raises(api.ServerError) as raised:
        await client.egress.stop_egress(egress.StopEgressRequest(egress_id=started.egress_id))
    assert _error(raised) == recorded_errors("StopEgress")[0]
    left = await reaches(client, started.egress_id, ACTIVE)
    assert [left.status] == [ACTIVE]


async def test_an_interrupted_worker_fails_its_egress_as_recorded(
    livekit_double: DoubleInProcess, client: api.LiveKitAPI, tmp_path: Path
) -> None:
    run = tmp_path / "run"
    history = StatusHistory(livekit_double)
    started = await client.egress.start_track_composite_egress(request_for(livekit_double, run))
    await segments_in(run, 1)
    await livekit_double.workers[0].interrupt()
    assert (await history.until_over(client, started.egress_id))[-3:] == recorded_statuses("sigint-worker")
    assert (run / "index.m3u8").read_text().endswith("#EXT-X-ENDLIST\n")
    assert not list(run.glob("*.json"))


async def test_an_interrupted_worker_takes_nothing_new(
    livekit_double: DoubleInProcess, client: api.LiveKitAPI, tmp_path: Path
) -> None:
    worker = livekit_double.workers[0]
    started = await client.egress.start_track_composite_egress(request_for(livekit_double, tmp_path / "run"))
    await reaches(client, started.egress_id, ACTIVE)
    interrupted = asyncio.create_task(worker.interrupt())
    await until(lambda: worker.draining, "the worker has its signal")
    with pytest.raises(api.ServerError) as raised:
        await client.egress.start_track_composite_egress(
            request_for(livekit_double, tmp_path / "next", identity="bob")
        )
    assert raised.value.status == 503
    await asyncio.wait_for(interrupted, 10)


async def test_a_start_that_meets_the_interrupt_of_its_worker_is_told_to_be_over(
    livekit_double: DoubleInProcess, client: api.LiveKitAPI, tmp_path: Path
) -> None:
    request = request_for(livekit_double, tmp_path / "run")
    answers = await asyncio.wait_for(
        asyncio.gather(
            client.egress.start_track_composite_egress(request),
            livekit_double.workers[0].interrupt(),
            return_exceptions=True,
        ),
        10,
    )
    listed = (await client.egress.list_egress(egress.ListEgressRequest())).items
    over = {egress.EgressStatus.EGRESS_ABORTED, egress.EgressStatus.EGRESS_FAILED}
    assert {info.status for info in listed} <= over, (answers, listed)


async def test_a_draining_worker_waits_for_the_stop_of_its_egress_and_takes_nothing_new(
    livekit_double: DoubleInProcess, client: api.LiveKitAPI, tmp_path: Path
) -> None:
    run = tmp_path / "run"
    history = StatusHistory(livekit_double)
    started = await client.egress.start_track_composite_egress(request_for(livekit_double, run))
    await segments_in(run, 1)
    draining = asyncio.create_task(livekit_double.workers[0].drain())
    with pytest.raises(api.ServerError) as raised:
        await client.egress.start_track_composite_egress(request_for(livekit_double, run, identity="bob"))
    assert raised.value.status == 503
    assert not draining.done()
    await client.egress.stop_egress(egress.StopEgressRequest(egress_id=started.egress_id))
    await asyncio.wait_for(draining, 60)
    assert (await history.until_over(client, started.egress_id))[-3:] == recorded_statuses(
        "sigterm-while-recording-then-stop"
    )


async def test_no_worker_answers_with_the_recorded_error_and_leaves_no_record(
    livekit_double: DoubleInProcess, client: api.LiveKitAPI, tmp_path: Path
) -> None:
    await livekit_double.workers[0].die()
    with pytest.raises(api.ServerError) as raised:
        await client.egress.start_track_composite_egress(request_for(livekit_double, tmp_path))
    recorded = json.loads((RECORDINGS / "api" / "start_no_worker.json").read_text())["answer"]["error"]
    assert _error(raised) == {name: recorded[name] for name in ("code", "message", "status")}
    assert not (await client.egress.list_egress(egress.ListEgressRequest())).items


async def test_a_full_fleet_answers_like_no_worker_at_all(
    livekit_double: DoubleInProcess, client: api.LiveKitAPI, tmp_path: Path
) -> None:
    livekit_double.server.fleet.links["worker-0"].capacity = 1
    await client.egress.start_track_composite_egress(request_for(livekit_double, tmp_path / "one"))
    with pytest.raises(api.ServerError) as raised:
        await client.egress.start_track_composite_egress(
            request_for(livekit_double, tmp_path / "two", identity="bob")
        )
    assert _error(raised) == recorded_errors("StartTrackComposite")[1]


async def test_bad_starts_and_stops_are_refused_with_the_recorded_errors(
    livekit_double: DoubleInProcess, client: api.LiveKitAPI, tmp_path: Path
) -> None:
    start, stop = recorded_errors("StartTrackComposite"), recorded_errors("StopEgress")
    with pytest.raises(api.ServerError) as unknown_room:
        await client.egress.start_track_composite_egress(small_request(tmp_path, room="nowhere"))
    assert _error(unknown_room) in start
    livekit_double.rooms.create("standup")
    with pytest.raises(api.ServerError) as no_tracks:
        await client.egress.start_track_composite_egress(small_request(tmp_path))
    assert _error(no_tracks) in start
    with pytest.raises(api.ServerError) as unknown:
        await client.egress.stop_egress(egress.StopEgressRequest(egress_id="EG_unknown"))
    assert _error(unknown) in stop
    started = await client.egress.start_track_composite_egress(request_for(livekit_double, tmp_path))
    await reaches(client, started.egress_id, ACTIVE)
    await client.egress.stop_egress(egress.StopEgressRequest(egress_id=started.egress_id))
    await reaches(client, started.egress_id, egress.EgressStatus.EGRESS_COMPLETE)
    with pytest.raises(api.ServerError) as ended:
        await client.egress.stop_egress(egress.StopEgressRequest(egress_id=started.egress_id))
    assert _error(ended) in stop


async def test_an_egress_stopped_before_it_records_is_aborted(
    livekit_double: DoubleInProcess, client: api.LiveKitAPI, tmp_path: Path
) -> None:
    await wait_longer(livekit_double, first_frame_seconds=LONG_SECONDS)
    started = await client.egress.start_track_composite_egress(request_for(livekit_double, tmp_path / "run"))
    await client.egress.stop_egress(egress.StopEgressRequest(egress_id=started.egress_id))
    info = await reaches(client, started.egress_id, egress.EgressStatus.EGRESS_ABORTED)
    assert (info.error_code, info.error) == (412, "Stop called before pipeline could start")
    assert not (tmp_path / "run").exists()


async def test_an_egress_that_waits_for_its_track_can_be_stopped(
    livekit_double: DoubleInProcess, client: api.LiveKitAPI, tmp_path: Path
) -> None:
    await wait_longer(livekit_double, unknown_track_seconds=LONG_SECONDS)
    livekit_double.rooms.create("standup")
    started = await client.egress.start_track_composite_egress(small_request(tmp_path, video="TR_VCunknown"))
    await client.egress.stop_egress(egress.StopEgressRequest(egress_id=started.egress_id))
    await reaches(client, started.egress_id, egress.EgressStatus.EGRESS_ABORTED)


async def test_a_worker_short_of_cpu_completes_an_egress_and_says_so_only_in_the_details(
    livekit_double: DoubleInProcess, client: api.LiveKitAPI, tmp_path: Path
) -> None:
    started = await client.egress.start_track_composite_egress(request_for(livekit_double, tmp_path))
    await reaches(client, started.egress_id, ACTIVE)
    await livekit_double.server.end_egress(started.egress_id)
    info = await reaches(client, started.egress_id, egress.EgressStatus.EGRESS_COMPLETE)
    assert (info.details, info.error) == ("End reason: CPU exhausted", "")


async def test_an_egress_that_is_ending_already_answers_a_stop_with_its_record(
    livekit_double: DoubleInProcess, client: api.LiveKitAPI, tmp_path: Path
) -> None:
    await wait_longer(livekit_double, source_closed_complete_seconds=LONG_SECONDS)
    started = await client.egress.start_track_composite_egress(request_for(livekit_double, tmp_path))
    await reaches(client, started.egress_id, ACTIVE)
    livekit_double.rooms.leave("standup", "alice")
    await reaches(client, started.egress_id, egress.EgressStatus.EGRESS_ENDING)
    info = await client.egress.stop_egress(egress.StopEgressRequest(egress_id=started.egress_id))
    assert (info.status, info.details) == (egress.EgressStatus.EGRESS_ENDING, "End reason: Source closed")
