"""What happens to the media when tracks are muted, go away, or the disk says no."""

import asyncio
import re
from pathlib import Path

import numpy as np
from livekit import api
from livekit.protocol import egress

from tests.livekit_double.fixtures import DoubleInProcess
from tests.livekit_double.tests.media_probe import lumas, marks, packets, sound
from tests.livekit_double.tests.requests import request_for, small_request
from tests.livekit_double.tests.waiting import info_of, reaches, segments_in, segments_now

ACTIVE = egress.EgressStatus.EGRESS_ACTIVE
COMPLETE = egress.EgressStatus.EGRESS_COMPLETE
FAILED = egress.EgressStatus.EGRESS_FAILED


async def _start(client: api.LiveKitAPI, request: egress.TrackCompositeEgressRequest) -> str:
    started = await client.egress.start_track_composite_egress(request)
    await reaches(client, started.egress_id, ACTIVE)
    return str(started.egress_id)


async def _stop(client: api.LiveKitAPI, egress_id: str) -> egress.EgressInfo:
    await client.egress.stop_egress(egress.StopEgressRequest(egress_id=egress_id))
    return await reaches(client, egress_id, COMPLETE)


async def test_a_muted_video_is_black_and_a_muted_microphone_silent_while_segments_go_on(
    livekit_double: DoubleInProcess, client: api.LiveKitAPI, tmp_path: Path
) -> None:
    rooms = livekit_double.rooms
    request = request_for(livekit_double, tmp_path)
    egress_id = await _start(client, request)
    await segments_in(tmp_path, 1)
    rooms.mute("standup", request.video_track_id)
    rooms.mute("standup", request.audio_track_id)
    published = await segments_in(tmp_path, 4)
    await _stop(client, egress_id)
    assert all(mark is not None for _, mark in marks(published[0]))
    muted = segments_now(tmp_path)[4]
    assert max(float(luma.mean()) for _, luma in lumas(muted)) < 17
    assert all(mark is None for _, mark in marks(muted))
    assert float(np.abs(sound(muted)[1][4096:]).max()) < 0.001
    assert float(np.abs(sound(published[0])[1]).max()) > 0.2


async def test_a_muted_video_comes_back_with_the_unmute(
    livekit_double: DoubleInProcess, client: api.LiveKitAPI, tmp_path: Path
) -> None:
    request = request_for(livekit_double, tmp_path)
    livekit_double.rooms.mute("standup", request.video_track_id)
    egress_id = await _start(client, request)
    livekit_double.rooms.mute("standup", request.video_track_id, muted=False)
    await segments_in(tmp_path, 1)
    await _stop(client, egress_id)
    seen = [mark for segment in segments_now(tmp_path) for _, mark in marks(segment)]
    assert seen[0] is None
    assert seen[-1] is not None


async def test_after_the_video_is_unpublished_no_segment_comes_and_the_sound_piles_up(
    livekit_double: DoubleInProcess, client: api.LiveKitAPI, tmp_path: Path
) -> None:
    request = request_for(livekit_double, tmp_path)
    egress_id = await _start(client, request)
    await segments_in(tmp_path, 2)
    livekit_double.rooms.unpublish("standup", request.video_track_id)
    republished = livekit_double.rooms.publish("standup", "alice", "CAMERA")
    # What was closed is flushed; then nothing for longer than any segment could take.
    held = await segments_in(tmp_path, 3)
    await _seconds_pass(2.5)
    assert (await info_of(client, egress_id)).status == ACTIVE
    assert segments_now(tmp_path) == held
    await _stop(client, egress_id)
    last = segments_now(tmp_path)[-1]
    audio = packets(last, "audio")
    assert audio[-1].pts - audio[0].pts > 2.0
    extinf = float(re.findall(r"#EXTINF:(.*),", (tmp_path / "index.m3u8").read_text())[-1])
    assert extinf < 1.0
    assert republished != request.video_track_id


def _exists(path: str) -> bool:
    return Path(path).is_file()


def _text(path: str) -> str:
    return Path(path).read_text()


async def _seconds_pass(seconds: float) -> None:
    """The passing of time is what this test is about: nothing may happen in it."""
    await asyncio.sleep(seconds)


async def test_unpublishing_only_the_sound_leaves_silence_and_segments(
    livekit_double: DoubleInProcess, client: api.LiveKitAPI, tmp_path: Path
) -> None:
    request = request_for(livekit_double, tmp_path)
    egress_id = await _start(client, request)
    livekit_double.rooms.unpublish("standup", request.audio_track_id)
    await segments_in(tmp_path, 2)
    await _stop(client, egress_id)
    assert float(np.abs(sound(tmp_path / "seg_00001.ts")[1][4096:]).max()) < 0.001


async def test_unpublishing_every_track_ends_the_egress_as_source_closed(
    livekit_double: DoubleInProcess, client: api.LiveKitAPI, tmp_path: Path
) -> None:
    request = request_for(livekit_double, tmp_path)
    egress_id = await _start(client, request)
    for sid in (request.video_track_id, request.audio_track_id):
        livekit_double.rooms.unpublish("standup", sid)
    assert (await reaches(client, egress_id, COMPLETE)).details == "End reason: Source closed"


async def test_a_lost_publisher_records_black_until_the_connection_times_out(
    livekit_double: DoubleInProcess, client: api.LiveKitAPI, tmp_path: Path
) -> None:
    egress_id = await _start(client, request_for(livekit_double, tmp_path))
    livekit_double.server.lose_publisher("standup", "alice")
    info = await reaches(client, egress_id, COMPLETE)
    assert info.details == "End reason: Source closed"
    assert marks(segments_now(tmp_path)[-1])[-1][1] is None


async def test_video_alone_and_sound_alone_make_segments_with_one_track(
    livekit_double: DoubleInProcess, client: api.LiveKitAPI, tmp_path: Path
) -> None:
    both = request_for(livekit_double, tmp_path)
    video_only = small_request(tmp_path / "video", video=both.video_track_id)
    audio_only = small_request(tmp_path / "audio", audio=both.audio_track_id)
    ids = [await _start(client, video_only), await _start(client, audio_only)]
    video = (await segments_in(tmp_path / "video", 2))[1]
    audio = (await segments_in(tmp_path / "audio", 2))[1]
    infos = [await _stop(client, each) for each in ids]
    assert (len(packets(video, "video")), len(packets(video, "audio"))) == (15, 0)
    assert (len(packets(audio, "video")), len(packets(audio, "audio"))) in {(0, 43), (0, 44)}
    assert '"video_track_id"' not in _text(infos[1].manifest_location)


async def test_a_prefix_used_again_overwrites_and_leaves_the_old_rest(
    livekit_double: DoubleInProcess, client: api.LiveKitAPI, tmp_path: Path
) -> None:
    request = request_for(livekit_double, tmp_path)
    first = await _start(client, request)
    before = (await segments_in(tmp_path, 1))[0].stat().st_mtime_ns
    infos = [await _stop(client, first)]
    count = len(segments_now(tmp_path))
    second = await _start(client, request)
    infos.append(await _stop(client, second))
    assert (tmp_path / "seg_00000.ts").stat().st_mtime_ns > before
    assert len(segments_now(tmp_path)) == count
    assert infos[0].manifest_location != infos[1].manifest_location
    assert all(_exists(info.manifest_location) for info in infos)


async def test_a_directory_that_cannot_be_made_fails_the_egress(
    livekit_double: DoubleInProcess, client: api.LiveKitAPI, tmp_path: Path
) -> None:
    (tmp_path / "file").write_text("in the way")
    egress_id = await _start(client, request_for(livekit_double, tmp_path / "file" / "run"))
    info = await reaches(client, egress_id, FAILED)
    assert info.error.startswith("Local upload failed: ")
    assert "not a directory" in info.error


async def test_the_same_instant_sounds_the_same_in_two_runs(
    livekit_double: DoubleInProcess, client: api.LiveKitAPI, tmp_path: Path
) -> None:
    one = request_for(livekit_double, tmp_path / "one")
    two = small_request(tmp_path / "two", video=one.video_track_id, audio=one.audio_track_id)
    ids = [await _start(client, one), await _start(client, two)]
    paths = [(await segments_in(tmp_path / name, 2))[1] for name in ("one", "two")]
    infos = [await _stop(client, each) for each in ids]
    stretches = []
    for path, info in zip(paths, infos, strict=True):
        pts, samples, rate = sound(path)
        start = info.segment_results[0].started_at / 1e9 + pts - 3600
        stretches.append((start, samples, rate))
    (first_start, first, rate), (second_start, second, _) = stretches
    shift = round((second_start - first_start) * rate)
    overlap = min(len(first) - shift, len(second)) - 4096
    assert overlap > rate // 4
    difference = first[shift + 2048 : shift + 2048 + overlap] - second[2048 : 2048 + overlap]
    # The shift is whole samples: half a sample of a tone of 1640 Hz, its highest, makes 0.022.
    assert float(np.abs(difference).mean()) < 0.03
