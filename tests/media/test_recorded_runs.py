"""Clips from what the real egress worker wrote."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from replay_operator.api.capture_job import CaptureResult
from replay_operator.api.replaycapture import Clock, Track, Trim
from replay_operator.media.capture import make_clip
from tests.media.clip_reader import decode_errors, packets
from tests.media.conftest import RequestMaker
from tests.unit.media.recorded import KILLED, MUTED_VIDEO

WHOLE_RUN = Path(__file__).parents[1] / "data" / "livekit" / "run-320x180p15-6s"
LONG_AGO = datetime(2026, 11, 22, tzinfo=UTC)
TOMORROW = LONG_AGO + timedelta(days=1)


def clip_of(result: CaptureResult) -> tuple[int, int]:
    assert result.clip is not None
    return result.clip.segments, result.clip.milliseconds


def test_a_whole_run_becomes_one_clip_without_a_hole(ask: RequestMaker) -> None:
    if not WHOLE_RUN.is_dir():
        pytest.skip("tests/data/livekit/run-320x180p15-6s is not there")
    place, result = make_clip(ask(WHOLE_RUN, LONG_AGO, TOMORROW))
    assert result.clip is not None
    assert clip_of(result) == (8, pytest.approx(42_800, abs=70))
    assert result.clip.clock is Clock.MANIFEST
    assert packets(place.clip, "video").steps() == pytest.approx([1 / 15] * 641, abs=0.001)
    assert packets(place.clip, "audio").steps() == pytest.approx([1024 / 44100] * 1841, abs=0.001)
    assert decode_errors(place.clip) == ""


def test_the_pause_of_a_muted_picture_stays_on_the_timeline_and_is_reported(ask: RequestMaker) -> None:
    place, result = make_clip(ask(MUTED_VIDEO, LONG_AGO, TOMORROW, trim=Trim.SEGMENT))
    assert result.clip is not None
    assert clip_of(result) == (3, pytest.approx(18_030, abs=70))
    assert [(g.track, g.milliseconds) for g in result.clip.gaps] == [
        (Track.VIDEO, pytest.approx(2025, abs=70))
    ]
    assert max(packets(place.clip, "video").steps()) == pytest.approx(2.06, abs=0.02)
    assert packets(place.clip, "audio").steps() == pytest.approx([1024 / 44100] * 775, abs=0.001)


def test_the_run_of_a_killed_worker_is_cut_to_its_last_complete_segment(ask: RequestMaker) -> None:
    place, result = make_clip(ask(KILLED, LONG_AGO, TOMORROW))
    assert result.clip is not None
    assert clip_of(result) == (2, pytest.approx(12_000, abs=70))
    assert result.clip.clock is Clock.PROGRAM_DATE_TIME
    assert decode_errors(place.clip) == ""
