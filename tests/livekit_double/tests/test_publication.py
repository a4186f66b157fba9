"""How often the event playlist is rewritten on old runs, and what a stop does with waiting segments."""

import time
from datetime import UTC, datetime
from fractions import Fraction
from pathlib import Path

import pytest
from livekit.protocol import egress

from tests.livekit_double.marks import FrameMark
from tests.livekit_double.segment_paths import resolve_segment_paths
from tests.livekit_double.timing import Timing
from tests.livekit_double.worker.encoders import VideoEncoder
from tests.livekit_double.worker.encoding_plan import EncodingPlan
from tests.livekit_double.worker.picture import Camera
from tests.livekit_double.worker.publication import Publication
from tests.livekit_double.worker.segments import Segment

PLAN = EncodingPlan(
    width=160,
    height=96,
    frames_per_second=5,
    video_kbps=50,
    profile="main",
    audio_kbps=64,
    audio_hz=44_100,
    segment_seconds=1,
)


def _publication(directory: Path, age_seconds: float) -> Publication:
    output = egress.SegmentedFileOutput(
        filename_prefix=f"{directory}/run/seg", playlist_name="index.m3u8", live_playlist_name="live.m3u8"
    )
    now = datetime.now(UTC)
    paths = resolve_segment_paths(output, room_id="RM", room_name="r", publisher_identity="a", now=now)
    publication = Publication(
        paths, PLAN, Timing(), egress_id="EG_x", temporary_directory=directory / "tmp", has_manifest=True
    )
    publication.begin(time.time_ns(), time.monotonic() - age_seconds)
    return publication


def _close(publication: Publication, count: int) -> None:
    encoder, camera = VideoEncoder(PLAN), Camera(PLAN.width, PLAN.height)
    packets = [
        p for n in range(5) for p in encoder.encode(camera.frame(FrameMark(n, 1)), n)
    ] + encoder.flush()
    for index in range(count):
        publication.close_segment(Segment(index, tuple(packets), (), Fraction(index), Fraction(index + 1)))


def _listed(directory: Path, name: str) -> int:
    return (directory / "run" / name).read_text().count(".ts")


@pytest.mark.parametrize(
    ("age_seconds", "listed"), [(0.0, [1, 2, 3, 4, 5, 6]), (2.5 * 3600, [1, 1, 3, 3, 3, 6])]
)
def test_the_event_playlist_lags_on_old_runs_and_the_live_one_never_does(
    tmp_path: Path, age_seconds: float, listed: list[int]
) -> None:
    publication = _publication(tmp_path, age_seconds)
    _close(publication, 6)
    seen = []
    for count in range(1, 7):
        publication.publish_next()
        seen.append(_listed(tmp_path, "index.m3u8"))
        assert _listed(tmp_path, "live.m3u8") == min(count, 5)
    assert seen == listed


def test_finishing_publishes_everything_that_waits_and_empties_the_scratch_directory(tmp_path: Path) -> None:
    publication = _publication(tmp_path, 0.0)
    _close(publication, 3)
    assert not (tmp_path / "run").exists()
    publication.finish()
    assert _listed(tmp_path, "index.m3u8") == 3
    assert not (tmp_path / "tmp" / "EG_x").exists()


def test_a_segment_is_due_one_segment_and_the_lag_after_its_media(tmp_path: Path) -> None:
    publication = _publication(tmp_path, 0.0)
    began = time.monotonic()
    _close(publication, 1)
    assert publication.next_due() - began == pytest.approx(1 + 1 + 0.65, abs=0.05)
