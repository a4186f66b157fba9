"""What segments hold after a muted start, an unmute, without CPU, and with a wrong clock."""

import re
from dataclasses import replace
from itertools import pairwise
from pathlib import Path

import pytest
from livekit import api
from livekit.protocol import egress

from tests.livekit_double.fixtures import QUICK, DoubleInProcess
from tests.livekit_double.server.faults import Fault, FaultKind
from tests.livekit_double.tests.media_probe import PacketTime, marks, packets
from tests.livekit_double.tests.recordings import recorded_statuses
from tests.livekit_double.tests.requests import request_for
from tests.livekit_double.tests.waiting import StatusHistory, reaches, segments_in, segments_now
from tests.livekit_double.timing import Timing
from tests.livekit_double.worker.frame_clock import FrameClock

ACTIVE = egress.EgressStatus.EGRESS_ACTIVE
COMPLETE = egress.EgressStatus.EGRESS_COMPLETE
FRAME = 1 / 15
MEASURED = Timing()
# Measured in a segment of 6 s: 175 of 180 pictures repeat the one before, 3 packets of sound.
NEW_PICTURES_A_SECOND = 5 / 6
SOUND_PACKETS_A_SECOND = 3 / 6


async def _start(client: api.LiveKitAPI, request: egress.TrackCompositeEgressRequest) -> str:
    started = await client.egress.start_track_composite_egress(request)
    await reaches(client, started.egress_id, ACTIVE)
    return str(started.egress_id)


async def _stop(client: api.LiveKitAPI, egress_id: str) -> egress.EgressInfo:
    await client.egress.stop_egress(egress.StopEgressRequest(egress_id=egress_id))
    return await reaches(client, egress_id, COMPLETE)


def _times(segments: list[Path], kind: str) -> list[PacketTime]:
    return [packet for segment in segments for packet in packets(segment, kind)]


def _seconds_late(segment: Path, started_at_ns: int) -> float:
    """How much later the first picture of a segment was captured than its PTS and the run's clock say."""
    pts, mark = marks(segment)[0]
    assert mark is not None
    return mark.captured_at_ms / 1000 - (started_at_ns / 1e9 + pts - 3600)


async def test_a_start_on_a_muted_video_is_active_late_and_its_video_begins_after_the_sound(
    livekit_double: DoubleInProcess, client: api.LiveKitAPI, tmp_path: Path
) -> None:
    livekit_double.server.timing = replace(QUICK, muted_start_video_lag_seconds=3.2)
    await livekit_double.workers[0].die()
    await livekit_double.add_worker()
    request = request_for(livekit_double, tmp_path)
    livekit_double.rooms.mute("standup", request.video_track_id)
    history = StatusHistory(livekit_double)
    started = await client.egress.start_track_composite_egress(request)
    await segments_in(tmp_path, 2)
    await _stop(client, started.egress_id)
    assert await history.until_over(client, started.egress_id) == recorded_statuses("started-on-muted-video")
    first = segments_now(tmp_path)[0]
    video, audio = packets(first, "video"), packets(first, "audio")
    assert audio[0].pts == pytest.approx(3600.0, abs=0.001)
    assert min(each.pts for each in video) == pytest.approx(3600 + 3.2, abs=FRAME)
    # As in the recorded run with late video: the segment is as long as its pictures, the sound is longer.
    assert re.findall(r"#EXTINF:(.*),", (tmp_path / "index.m3u8").read_text())[0] == "1.000"
    assert audio[-1].pts - audio[0].pts > 4
    assert [each.key for each in video].count(True) == 1


def test_a_muted_start_takes_what_was_measured() -> None:
    assert MEASURED.active_after_muted_start_seconds == pytest.approx(5.7, abs=0.05)


async def test_an_unmute_leaves_a_gap_in_the_video_alone(
    livekit_double: DoubleInProcess, client: api.LiveKitAPI, tmp_path: Path
) -> None:
    request = request_for(livekit_double, tmp_path)
    egress_id = await _start(client, request)
    await segments_in(tmp_path, 1)
    livekit_double.rooms.mute("standup", request.video_track_id)
    await segments_in(tmp_path, 3)
    livekit_double.rooms.mute("standup", request.video_track_id, muted=False)
    await segments_in(tmp_path, 5)
    await _stop(client, egress_id)
    segments = segments_now(tmp_path)
    pts = sorted(each.pts for each in _times(segments, "video"))
    gaps = [after - before for before, after in pairwise(pts) if after - before > 1.5 * FRAME]
    assert gaps == [pytest.approx(2.06, abs=FRAME)]
    sound = [each.pts for each in _times(segments, "audio")]
    assert max(after - before for before, after in pairwise(sound)) < 0.03
    dts = [each.dts for each in _times(segments, "video")]
    assert dts == sorted(dts)
    for segment in segments:
        assert [each.key for each in packets(segment, "video")].count(True) == 1, segment
    # Recorded: a decoding time 2.1 s before its PTS, in the segment behind the gap.
    assert max(p.pts - p.dts for p in _times(segments, "video")) > 2.0


async def test_without_cpu_segments_keep_their_cadence_with_hardly_anything_new_in_them(
    livekit_double: DoubleInProcess, client: api.LiveKitAPI, tmp_path: Path
) -> None:
    egress_id = await _start(client, request_for(livekit_double, tmp_path))
    await livekit_double.server.starve_egress(egress_id)
    await segments_in(tmp_path, 6)
    info = await _stop(client, egress_id)
    starved = segments_now(tmp_path)[2:6]
    assert [len(packets(each, "video")) for each in starved] == [15] * 4
    pictures = [mark for each in starved for _, mark in marks(each)]
    new = sum(1 for before, after in pairwise(pictures) if before != after)
    assert new == pytest.approx(4 * NEW_PICTURES_A_SECOND, abs=1)
    assert len(_times(starved, "audio")) == pytest.approx(4 * SOUND_PACKETS_A_SECOND, abs=1)
    assert info.details == "End reason: StopEgress API"


async def test_a_wrong_clock_is_in_the_report_and_not_in_the_pictures(
    livekit_double: DoubleInProcess, client: api.LiveKitAPI, tmp_path: Path
) -> None:
    fault = Fault("StartTrackCompositeEgress", FaultKind.WRONG_CLOCK, seconds=7.0)
    livekit_double.server.faults.add(fault)
    egress_id = await _start(client, request_for(livekit_double, tmp_path))
    await segments_in(tmp_path, 1)
    info = await _stop(client, egress_id)
    late = _seconds_late(tmp_path / "seg_00000.ts", info.segment_results[0].started_at)
    assert late == pytest.approx(-7.0, abs=0.01)


async def test_a_clock_that_jumps_leaves_no_trace_in_the_pts(
    livekit_double: DoubleInProcess, client: api.LiveKitAPI, tmp_path: Path
) -> None:
    egress_id = await _start(client, request_for(livekit_double, tmp_path))
    await segments_in(tmp_path, 1)
    await livekit_double.server.disturb_clock(egress_id, jump_seconds=1.5)
    await segments_in(tmp_path, 5)
    info = await _stop(client, egress_id)
    segments = segments_now(tmp_path)
    started_at_ns = info.segment_results[0].started_at
    assert _seconds_late(segments[0], started_at_ns) == pytest.approx(0.0, abs=0.01)
    assert _seconds_late(segments[4], started_at_ns) == pytest.approx(1.5, abs=0.01)
    pts = sorted(each.pts for each in _times(segments, "video"))
    assert max(after - before for before, after in pairwise(pts)) < 1.5 * FRAME


def test_a_clock_that_drifts_is_later_with_every_frame() -> None:
    clock = FrameClock(15)
    clock.start(100.0)
    clock.disturb(15, jump_seconds=0.0, pace=1.2)
    late = [clock.late_seconds(number) for number in (15, 30, 45)]
    assert late == [pytest.approx(each, abs=1e-9) for each in (0.0, 0.2, 0.4)]
    assert clock.due(30) == pytest.approx(102.2)
    with pytest.raises(ValueError, match="give >= 0 and > 0"):
        clock.disturb(45, jump_seconds=-1.0, pace=1.0)
