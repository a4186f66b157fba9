"""A real room, a recorder that joins it, segments on disk, and a clip that our media code cuts from them."""

from __future__ import annotations

import asyncio
import time
import uuid
from collections.abc import AsyncIterator
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from livekit import api
from livekit.protocol import egress

from replay_operator.api.agent import RunFile
from replay_operator.api.capture_job import CaptureRequest
from replay_operator.media.capture import make_clip
from tests.livekit_double.fixtures import QUICK, DoubleInProcess, start_double
from tests.livekit_double.tests.media_probe import stream_properties
from tests.livekit_double.tests.requests import small_request
from tests.livekit_double.tests.waiting import info_of, reaches, segments_in
from tests.real.clips import (
    av_offsets,
    check_against_segments,
    check_pictures,
    check_sound,
    seen,
    tone_positions,
)
from tests.real.people import Door, Publisher, Viewer
from tests.real.publisher import MICROPHONE_AHEAD_SECONDS
from tests.real.waiting import wait_until
from tests.real.worker import running_worker

pytestmark = pytest.mark.livekit_server

SEGMENT_SECONDS = 2
SEGMENTS = 5


@pytest.fixture
async def double(door: Door, tmp_path: Path) -> AsyncIterator[DoubleInProcess]:
    double = await start_double(tmp_path / "egress-tmp", QUICK, rooms_url=door.url)
    async with running_worker(double, tmp_path):
        yield double
    await double.stop()


@pytest.fixture
async def client(double: DoubleInProcess) -> AsyncIterator[api.LiveKitAPI]:
    async with api.LiveKitAPI(double.url, double.api_key, double.api_secret, failover=False) as client:
        yield client


async def test_a_clip_of_a_real_recording_holds_exactly_the_moment(
    door: Door, client: api.LiveKitAPI, tmp_path: Path
) -> None:
    room = f"room-{uuid.uuid4().hex[:8]}"
    run = tmp_path / "buffer" / "run-1"
    with await asyncio.to_thread(Viewer, door, room, tmp_path) as viewer:
        alice = await asyncio.to_thread(Publisher, door, room, "alice", tmp_path)
        video = await asyncio.to_thread(alice.publish, "SCREEN_SHARE")
        audio = await asyncio.to_thread(alice.publish, "SCREEN_SHARE_AUDIO")
        await asyncio.to_thread(wait_until, "pictures", lambda: len(viewer.numbers(video)) > 15, seconds=30)
        started = await client.egress.start_track_composite_egress(
            small_request(run, room=room, video=video, audio=audio, segment_seconds=SEGMENT_SECONDS)
        )
        active = await reaches(client, started.egress_id, egress.EgressStatus.EGRESS_ACTIVE, 30)
        await segments_in(run, SEGMENTS)
        people = await client.room.list_participants(api.ListParticipantsRequest(room=room))
        await stop(client, started.egress_id)
        ended = await reaches(client, started.egress_id, egress.EgressStatus.EGRESS_COMPLETE, 30)
        await asyncio.to_thread(alice.leave)
        arrived = viewer.numbers(video)
    recorder = next(each for each in people.participants if each.identity == started.egress_id)
    assert recorder.permission.hidden
    assert recorder.permission.recorder

    began_ns = active.segments.started_at
    start, end = (
        datetime.fromtimestamp(began_ns / 1e9, UTC) + timedelta(seconds=each) for each in (1.37, 7.81)
    )
    run_file = RunFile(room=room, buffer="b", segment_seconds=SEGMENT_SECONDS, media_started_at_ns=began_ns)
    (run / "run.json").write_text(run_file.model_dump_json(by_alias=True))
    clip = cut(run.parent, start, end, tmp_path / "archive")
    print("sound later than its picture, second by second:", [round(each, 3) for each in av_offsets(clip)])
    check_pictures(clip, start, end, arrived)
    check_sound(clip)
    check_against_segments(clip, sorted(run.glob("*.ts")))
    assert ended.segments.segment_count == len(list(run.glob("*.ts")))


async def test_a_recorder_takes_no_other_track_and_ends_when_its_publisher_leaves(
    door: Door, client: api.LiveKitAPI, tmp_path: Path
) -> None:
    room = f"room-{uuid.uuid4().hex[:8]}"
    alice = await asyncio.to_thread(Publisher, door, room, "alice", tmp_path)
    voice = await asyncio.to_thread(alice.publish, "MICROPHONE")
    screen = await asyncio.to_thread(alice.publish, "SCREEN_SHARE")
    await asyncio.to_thread(alice.publish, "SCREEN_SHARE_AUDIO")
    requests = [
        small_request(tmp_path / "voice", room=room, audio=voice, segment_seconds=SEGMENT_SECONDS),
        small_request(tmp_path / "screen", room=room, video=screen, segment_seconds=SEGMENT_SECONDS),
    ]
    started = [await client.egress.start_track_composite_egress(each) for each in requests]
    heard, seen_there = await segments_in(tmp_path / "voice", 2), await segments_in(tmp_path / "screen", 2)
    muted_at_ms = time.time() * 1000
    await asyncio.to_thread(alice.mute, "SCREEN_SHARE")
    await segments_in(tmp_path / "screen", 5)
    await asyncio.to_thread(alice.leave)
    for each in started:
        ended = await reaches(client, each.egress_id, egress.EgressStatus.EGRESS_COMPLETE, 30)
        assert ended.details == "End reason: Source closed"

    assert set(stream_properties(heard[1])) == {"audio"}
    assert set(stream_properties(seen_there[1])) == {"video"}
    (_, position), *_ = tone_positions(heard[1])
    began = (await info_of(client, started[0].egress_id)).segments.started_at / 1e9
    ahead = (position - began - SEGMENT_SECONDS) % 600
    assert ahead == pytest.approx(MICROPHONE_AHEAD_SECONDS, abs=60), "the sound of the screen was taken"
    pictures = [each for segment in sorted((tmp_path / "screen").glob("*.ts")) for each in seen(segment)]
    assert pictures[0].mark is not None
    assert pictures[-1].mark is None, "a muted picture is black"
    last = max(each.mark.captured_at_ms for each in pictures if each.mark is not None)
    assert last >= muted_at_ms - 300, "what was shown before the mute is lost"


async def stop(client: api.LiveKitAPI, egress_id: str) -> None:
    """Stop an egress. A busy worker may not answer within three seconds, and stops all the same."""
    try:
        await client.egress.stop_egress(egress.StopEgressRequest(egress_id=egress_id))
    except api.TwirpError as error:
        if error.code != "deadline_exceeded":
            raise


def cut(buffer: Path, start: datetime, end: datetime, archive: Path) -> Path:
    archive.mkdir()
    request = CaptureRequest(
        capture_uid="uid-1",
        buffer_directory=str(buffer),
        start=start,
        end=end,
        archive_directory=str(archive),
        clip_path="clip.mp4",
    )
    return make_clip(request)[0].clip
