"""Measuring what is on disk, on a recording of the real worker."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest

from replay_operator.media.runs import NANOSECONDS_PER_SECOND
from replay_operator.media.timeline import Interval
from tests.chaos.recorded import RecordedTime, lost_seconds

RECORDING = Path(__file__).parents[1] / "data" / "livekit" / "run-320x180p15-6s"


@pytest.fixture
def volume(tmp_path: Path) -> Path:
    shutil.copytree(RECORDING, tmp_path / "ns" / "uid" / "run")
    return tmp_path


def test_a_whole_run_covers_one_stretch_of_time(volume: Path) -> None:
    recorded = RecordedTime(volume)
    (stretch,) = recorded.of("ns/uid")
    assert stretch.ticks / NANOSECONDS_PER_SECOND == pytest.approx(44, abs=4)
    assert recorded.newest_ns("ns/uid") < stretch.end


def test_a_segment_that_is_missing_is_a_loss_of_its_length(volume: Path) -> None:
    (stretch,) = RecordedTime(volume).of("ns/uid")
    (volume / "ns" / "uid" / "run" / "seg_00003.ts").unlink()
    assert lost_seconds([stretch], RecordedTime(volume).of("ns/uid")) == pytest.approx(6, abs=0.3)


def test_a_buffer_without_a_directory_covers_nothing(volume: Path) -> None:
    recorded = RecordedTime(volume)
    assert recorded.of("ns/other") == []
    assert recorded.newest_ns("ns/other") == 0


def test_only_source_time_counts_as_lost() -> None:
    covered = [Interval(0, 10 * NANOSECONDS_PER_SECOND)]
    published = [Interval(5 * NANOSECONDS_PER_SECOND, 13 * NANOSECONDS_PER_SECOND)]
    assert lost_seconds(published, covered) == 3
