"""Holds what the double writes against the recordings: segments, playlists, manifest, order and times."""

import asyncio
import json
import re
from dataclasses import dataclass
from datetime import datetime
from functools import partial
from pathlib import Path

import av
import numpy as np
import pytest
from livekit import api
from livekit.protocol import egress, models

from tests.livekit_double.fixtures import QUICK, start_double
from tests.livekit_double.marks import read_tone_position
from tests.livekit_double.tests.file_watch import FileEvent, FileWatch
from tests.livekit_double.tests.media_probe import marks, packets, sound, stream_properties
from tests.livekit_double.tests.recordings import RECORDINGS
from tests.livekit_double.tests.requests import request_for
from tests.livekit_double.tests.waiting import info_of, reaches, until

SEGMENT_SECONDS = 2
FULL_SEGMENTS = 3
RECORDED_RUN = RECORDINGS / "run-320x180p15-6s"
# From the StopEgress answer in calls.jsonl of that run.
RECORDED_STARTED_AT_NS = 1_795_359_488_368_794_493


@dataclass(frozen=True, slots=True)
class Run:
    """A run of the double: its directory, its record, what happened to its files."""

    directory: Path
    info: egress.EgressInfo
    live_playlists: list[str]
    events: list[FileEvent]

    @property
    def segments(self) -> list[Path]:
        return sorted(self.directory.glob("*.ts"))

    @property
    def started_at(self) -> float:
        return self.info.segment_results[0].started_at / 1e9


def _lists(directory: Path, count: int) -> bool:
    playlist = directory / "live.m3u8"
    return playlist.exists() and playlist.read_text().count(".ts") == count


async def _record(base: Path, profile: models.VideoCodec) -> Run:
    double = await start_double(base / "tmp", QUICK)
    directory = base / "run"
    directory.mkdir()
    await double.add_worker()
    live_playlists: list[str] = []
    async with api.LiveKitAPI(double.url, double.api_key, double.api_secret, failover=False) as client:
        request = request_for(double, directory, segment_seconds=SEGMENT_SECONDS, profile=profile)
        started = await client.egress.start_track_composite_egress(request)
        await reaches(client, started.egress_id, egress.EgressStatus.EGRESS_ACTIVE)
        with FileWatch(base / "tmp" / "worker-0" / started.egress_id, directory) as watch:
            for count in range(1, FULL_SEGMENTS + 1):
                await until(partial(_lists, directory, count), f"{count} segments are listed")
                live_playlists.append((directory / "live.m3u8").read_text())
            await client.egress.stop_egress(egress.StopEgressRequest(egress_id=started.egress_id))
            await reaches(client, started.egress_id, egress.EgressStatus.EGRESS_COMPLETE)
        info = await info_of(client, started.egress_id)
    await double.stop()
    return Run(directory, info, live_playlists, watch.events)


@pytest.fixture(scope="module")
def run(tmp_path_factory: pytest.TempPathFactory) -> Run:
    """One run of about nine seconds, looked at by every test of this file."""
    return asyncio.run(_record(tmp_path_factory.mktemp("conformance"), models.VideoCodec.H264_MAIN))


def _line_form(line: str) -> str:
    return re.sub(r"\d+", "0", re.sub(r"\.\d+Z", "Z", line))


def test_the_event_playlist_has_the_recorded_lines(run: Run) -> None:
    ours = [_line_form(line) for line in (run.directory / "index.m3u8").read_text().split("\n")]
    recorded = [_line_form(line) for line in (RECORDED_RUN / "index.m3u8").read_text().split("\n")]
    header, entry, end = recorded[:6], recorded[6:9], recorded[-2:]
    assert ours == header + entry * len(run.segments) + end


def test_the_live_playlist_has_the_recorded_lines_and_never_a_type(run: Run) -> None:
    # These captures carry one newline more than the file had then (file-events: 200 and 278 bytes).
    recorded = (
        (RECORDINGS / "playlists-over-time" / "1795357281.7926-live.m3u8").read_text().removesuffix("\n")
    )
    ours = [_line_form(line) for line in run.live_playlists[1].split("\n")]
    assert ours == [_line_form(line) for line in recorded.split("\n")]
    assert (run.directory / "live.m3u8").read_text().endswith("#EXT-X-ENDLIST\n")


def test_extinf_is_the_segment_length_and_for_the_last_one_the_span_of_its_pictures(run: Run) -> None:
    lengths = re.findall(r"#EXTINF:(\d+\.\d{3}),", (run.directory / "index.m3u8").read_text())
    last = packets(run.segments[-1], "video")
    assert set(lengths[:-1]) == {f"{SEGMENT_SECONDS}.000"}
    assert float(lengths[-1]) == pytest.approx(max(p.pts for p in last) - min(p.pts for p in last), abs=0.001)


def test_program_date_time_is_later_than_the_capture(run: Run) -> None:
    text = (run.directory / "index.m3u8").read_text()
    first = re.findall(r"PROGRAM-DATE-TIME:(.*)", text)[0]
    assert 0.59 <= datetime.fromisoformat(first).timestamp() - run.started_at <= 1.33


def test_the_manifest_has_the_recorded_keys(run: Run) -> None:
    recorded = json.loads(next(RECORDED_RUN.glob("*.json")).read_text())
    ours = json.loads((run.directory / f"{run.info.egress_id}.json").read_text())
    assert list(ours) == list(recorded)
    assert list(ours["playlists"][0]) == list(recorded["playlists"][0])
    assert list(ours["playlists"][0]["segments"][0]) == list(recorded["playlists"][0]["segments"][0])
    assert [Path(each["location"]) for each in ours["playlists"][0]["segments"]] == run.segments


def test_names_count_from_zero_with_five_digits(run: Run) -> None:
    recorded = sorted(each.name for each in RECORDED_RUN.glob("*.ts"))
    assert [each.name for each in run.segments] == recorded[: len(run.segments)]


def test_stream_properties_are_those_of_the_recording(run: Run) -> None:
    ours, recorded = stream_properties(run.segments[1]), stream_properties(RECORDED_RUN / "seg_00001.ts")
    assert ours["audio"] == recorded["audio"]
    # This recording asked for Baseline; the runs with a preset are Main with two reordered frames (measured).
    assert ours["video"] == recorded["video"] | {"profile": "Main", "b_frames": True}


def test_every_segment_has_one_key_frame_at_its_start(run: Run) -> None:
    for segment in [*run.segments, *RECORDED_RUN.glob("*.ts")]:
        assert [packet.key for packet in packets(segment, "video")].count(True) == 1, segment
        assert packets(segment, "video")[0].key, segment


def test_the_first_pts_is_one_hour_and_dts_run_ahead_of_it(run: Run) -> None:
    for first, ahead in ((run.segments[0], 2 / 15), (RECORDED_RUN / "seg_00000.ts", 0.0)):
        video, audio = packets(first, "video"), packets(first, "audio")
        assert video[0].pts == pytest.approx(3600.0, abs=0.056), first
        assert audio[0].pts == pytest.approx(3600.0, abs=0.056), first
        assert video[0].pts - video[0].dts == pytest.approx(ahead, abs=0.001), first


@pytest.mark.parametrize(("kind", "step"), [("video", 1 / 15), ("audio", 1024 / 44100)])
def test_pts_are_continuous_over_segments(run: Run, kind: str, step: float) -> None:
    for segments in (run.segments, sorted(RECORDED_RUN.glob("*.ts"))):
        times = np.array(sorted(packet.pts for each in segments for packet in packets(each, kind)))
        assert np.abs(np.diff(times) - step).max() < 0.0001


def test_full_segments_hold_the_expected_number_of_packets(run: Run) -> None:
    for segment in run.segments[:FULL_SEGMENTS]:
        assert len(packets(segment, "video")) == 15 * SEGMENT_SECONDS
        assert abs(len(packets(segment, "audio")) - SEGMENT_SECONDS * 44100 / 1024) <= 1.2


def test_the_marks_in_the_picture_agree_with_started_at_and_pts(run: Run) -> None:
    recorded = sorted(RECORDED_RUN.glob("*.ts"))
    # The recorded publisher's camera is 13-27 ms off (measured); ours only by the rounding to milliseconds.
    for segments, started_at, tolerance in (
        (run.segments, run.started_at, 0.001),
        (recorded, RECORDED_STARTED_AT_NS / 1e9, 0.030),
    ):
        times = [each for segment in segments for each in marks(segment)]
        late = [mark.captured_at_ms / 1000 - started_at - (pts - 3600) for pts, mark in times if mark]
        assert len(late) == len(times)
        assert max(abs(each) for each in late) < tolerance


def test_the_sound_says_the_same_time_as_its_pts(run: Run) -> None:
    for segment in run.segments[:FULL_SEGMENTS]:
        pts, samples, rate = sound(segment)
        skipped = rate // 10  # the first frame after a cut is decoded without the one before it
        position = read_tone_position(samples[skipped : skipped + rate], rate)
        expected = (run.started_at + pts - 3600 + 0.1) % 600
        assert position == pytest.approx(expected, abs=0.020)


def test_a_segment_arrives_one_segment_and_two_thirds_of_a_second_after_its_media(run: Run) -> None:
    for index, segment in enumerate(run.segments[:FULL_SEGMENTS]):
        arrived = next(e.at for e in run.events if e.path == segment and e.kind == "CLOSE_WRITE")
        media_end = run.started_at + (index + 1) * SEGMENT_SECONDS
        assert arrived - media_end == pytest.approx(SEGMENT_SECONDS + 0.65, abs=0.25)


def _order(events: list[tuple[str, str]]) -> list[str]:
    """Kinds and places of the events of the second segment, up to the live playlist that lists it."""
    wanted = [f"{kind} {place}" for kind, place in events]
    start = wanted.index("CLOSE_WRITE temporary seg_00001.ts")
    stop = wanted.index("CLOSE_WRITE final live.m3u8", wanted.index("CLOSE_WRITE final seg_00001.ts"))
    interesting = {
        "CLOSE_WRITE temporary seg_00001.ts",
        "CREATE final seg_00001.ts",
        "CLOSE_WRITE final seg_00001.ts",
        "DELETE temporary seg_00001.ts",
        "CLOSE_WRITE final index.m3u8",
        "CLOSE_WRITE final live.m3u8",
    }
    return [each for each in wanted[start : stop + 1] if each in interesting]


def test_files_are_written_in_the_recorded_order(run: Run) -> None:
    lines = (RECORDINGS / "file-events-720p30-start.tsv").read_text().splitlines()
    recorded = []
    for line in lines:
        _, kind, path, _ = line.split("\t")
        place = "temporary" if "/tmp/" in path else "final"
        recorded.append((kind.split(",")[0], f"{place} {Path(path).name}"))
    ours = [
        (event.kind, f"{'final' if event.path.parent == run.directory else 'temporary'} {event.path.name}")
        for event in run.events
    ]
    # The second segment: inotify missed the first one of the recording, whose directory was new.
    assert _order(ours) == _order(recorded)
    assert not [event for event in run.events if event.kind == "MOVED_TO"]


def test_playlists_are_rewritten_in_place_and_never_created_again(run: Run) -> None:
    for name in ("index.m3u8", "live.m3u8"):
        kinds = [event.kind for event in run.events if event.path == run.directory / name]
        assert kinds.count("CREATE") == 1
        assert kinds.count("CLOSE_WRITE") == len(run.segments) + 1


def test_files_are_readable_by_everybody_and_writable_by_their_owner(run: Run) -> None:
    assert {each.stat().st_mode & 0o777 for each in run.directory.iterdir()} == {0o644}


def test_segments_joined_byte_by_byte_read_without_a_corrupt_packet(run: Run, tmp_path: Path) -> None:
    for name, segments in (("ours", run.segments), ("recorded", sorted(RECORDED_RUN.glob("*.ts")))):
        joined = tmp_path / f"{name}.ts"
        joined.write_bytes(b"".join(each.read_bytes() for each in segments))
        with av.open(str(joined)) as container:
            assert [packet.pts for packet in container.demux() if packet.is_corrupt] == [], name
