"""Media that come later than usual, as they do from a real room on a busy machine."""

from __future__ import annotations

import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np

from tests.livekit_double.segment_paths import SegmentPaths
from tests.livekit_double.tests.waiting import until
from tests.livekit_double.timing import Timing
from tests.livekit_double.worker.encoding_plan import EncodingPlan
from tests.livekit_double.worker.publication import Publication
from tests.livekit_double.worker.recording import Recording, TrackState
from tests.livekit_double.worker.source import SyntheticSource

PLAN = EncodingPlan(
    width=160,
    height=96,
    frames_per_second=10,
    video_kbps=50,
    profile="main",
    audio_kbps=64,
    audio_hz=44_100,
    segment_seconds=2,
)
FOR_EVER = 3600.0


class LateSource(SyntheticSource):
    """Its media are there when `come` is set."""

    def __init__(self, patience_seconds: float) -> None:
        super().__init__(PLAN)
        self.patience_seconds = patience_seconds
        self.come = threading.Event()
        self.asked = 0
        self.taken: list[int] = []

    def has_arrived(self, number: int, captured_at_ns: int) -> bool:
        self.asked += 1
        return self.come.is_set()

    def picture(self, number: int, captured_at_ns: int) -> np.ndarray[Any, np.dtype[np.uint8]]:
        self.taken.append(number)
        return super().picture(number, captured_at_ns)


@contextmanager
def recording_of(source: LateSource, directory: Path) -> Iterator[None]:
    paths = SegmentPaths(f"{directory}/seg", f"{directory}/index.m3u8", f"{directory}/live.m3u8", False)
    recording = Recording(
        PLAN,
        Publication(
            paths, PLAN, Timing(), egress_id="EG_1", temporary_directory=directory, has_manifest=False
        ),
        source,
        video=TrackState.FLOWING,
        audio=TrackState.ABSENT,
        timing=Timing(),
        on_failure=lambda _error: None,
    )
    recording.start(time.time_ns())
    try:
        yield
    finally:
        recording.kill()


async def test_a_picture_that_comes_late_is_waited_for(tmp_path: Path) -> None:
    source = LateSource(FOR_EVER)
    with recording_of(source, tmp_path):
        await until(lambda: source.asked >= 5, "looking for the first picture again and again")
        assert source.taken == [], "nothing is shown in the place of one that is still to come"
        source.come.set()
        await until(lambda: len(source.taken) >= 3, "three pictures")
    assert source.taken[:3] == [0, 1, 2]


async def test_a_picture_that_never_comes_is_not_waited_for_without_end(tmp_path: Path) -> None:
    source = LateSource(0.05)
    with recording_of(source, tmp_path):
        await until(lambda: len(source.taken) >= 3, "three pictures")
    assert source.taken[:3] == [0, 1, 2]
