"""Marks that survive drawing and reading, and names that resolve as egress resolves them."""

from datetime import UTC, datetime

import numpy as np
import pytest
from livekit.protocol import egress

from tests.livekit_double.marks import FrameMark, draw_frame_mark, read_frame_mark, read_tone_position, tone
from tests.livekit_double.segment_paths import SegmentPaths, resolve_segment_paths
from tests.livekit_double.worker.playlists import PlaylistEntry, event_playlist

NOW = datetime(2026, 11, 22, 14, 21, 3, 795_000, UTC)


@pytest.mark.parametrize(("width", "height"), [(320, 180), (1280, 720), (1920, 1080), (720, 1280)])
def test_a_mark_reads_back_as_it_was_drawn(width: int, height: int) -> None:
    luma = np.full((height, width), 120, np.uint8)
    for mark in (FrameMark(0, 1), FrameMark(2**32 - 1, 2**48 - 1), FrameMark(0xA5A5A5A5, 1_795_359_488_369)):
        draw_frame_mark(luma, mark)
        assert read_frame_mark(luma) == mark


def test_a_black_picture_and_silence_have_no_mark() -> None:
    assert read_frame_mark(np.full((180, 320), 16, np.uint8)) is None
    assert read_tone_position(np.zeros(44100, np.float32), 44100) is None


@pytest.mark.parametrize("start", [0.5, 123.456, 598.0, 1_795_359_488.369])
def test_the_sound_tells_its_time(start: float) -> None:
    assert read_tone_position(tone(start, 22050, 44100), 44100) == pytest.approx(start % 600, abs=0.005)


def _resolve(prefix: str, playlist: str = "index.m3u8", live: str = "live.m3u8") -> SegmentPaths:
    output = egress.SegmentedFileOutput(
        filename_prefix=prefix, playlist_name=playlist, live_playlist_name=live
    )
    return resolve_segment_paths(
        output, room_id="RM_x", room_name="standup", publisher_identity="alice", now=NOW
    )


def test_a_playlist_without_a_directory_lies_beside_the_segments() -> None:
    paths = _resolve("/out/run/seg")
    assert (paths.playlist, paths.live_playlist) == ("/out/run/index.m3u8", "/out/run/live.m3u8")
    assert paths.segment(7, NOW) == "/out/run/seg_00007.ts"
    assert paths.segment(123_456, NOW) == "/out/run/seg_123456.ts"


def test_what_follows_the_last_point_of_a_playlist_name_is_replaced() -> None:
    assert _resolve("/out/seg", "a.b.txt").playlist == "/out/a.b.m3u8"
    assert _resolve("/out/seg", "list").playlist == "/out/list.m3u8"
    assert _resolve("/out/seg", "").playlist == "/out/seg.m3u8"


def test_another_directory_of_the_prefix_is_kept_below_that_of_the_playlist() -> None:
    paths = _resolve("parts/seg", "/out/run/index.m3u8")
    assert paths.segment(0, NOW) == "/out/run/parts/seg_00000.ts"
    assert _resolve("run/seg").playlist == "/run/index.m3u8"


def test_placeholders_are_filled_once_at_the_start() -> None:
    paths = _resolve("/out/{room_name}/{publisher_identity}-{time}")
    assert paths.segment(1, NOW) == "/out/standup/alice-2026-11-22T142103_00001.ts"


def test_a_fraction_loses_its_trailing_zeros_and_with_them_the_point() -> None:
    nanoseconds = int(NOW.timestamp()) * 1_000_000_000
    entries = [PlaylistEntry("a.ts", 6.0, nanoseconds + ms * 1_000_000) for ms in (795, 950, 0)]
    text = event_playlist(entries, 6, ended=False)
    fractions = [line.split("T14:21:")[1] for line in text.splitlines() if "DATE" in line]
    assert fractions == ["03.795Z", "03.95Z", "03Z"]
