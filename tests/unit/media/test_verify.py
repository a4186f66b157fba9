from __future__ import annotations

import dataclasses
from collections.abc import Callable
from typing import Any

import pytest

from replay_operator.api.capture_job import CaptureErrorReason
from replay_operator.api.replaycapture import Track
from replay_operator.media.failure import CaptureFailedError
from replay_operator.media.mp4 import MovieFacts, TrackFacts
from replay_operator.media.plan import Plan, make_plan
from replay_operator.media.verify import verify
from tests.unit.media.scans import VIDEO_FRAME, segment, select, wanted

ASKED = wanted(13, 29)


def plan(lost: int | None = None) -> Plan:
    scans = {i: None if i == lost else segment(i) for i in range(10)}
    return make_plan([select(scans, ASKED.range)], ASKED)


def as_planned(made: Plan) -> MovieFacts:
    tracks = tuple(
        TrackFacts(
            track=t.track,
            samples=t.packets,
            sync_samples=len(t.key_frames) if t.track is Track.VIDEO else t.packets,
            sample_bytes=1000,
            delay=max(t.start - made.start, 0),
            hidden=max(made.start - t.start, 0),
            shown=t.end - max(t.start, made.start),
        )
        for t in made.tracks
    )
    return MovieFacts(tracks=tracks, size_bytes=3000, index_first=True, media_bytes=1000 * len(tracks))


def with_video(movie: MovieFacts, **changes: Any) -> MovieFacts:
    video, audio = movie.tracks
    return dataclasses.replace(movie, tracks=(dataclasses.replace(video, **changes), audio))


def test_a_clip_as_planned_passes() -> None:
    made = plan()
    verify(made, as_planned(made))


DIFFERENCES: dict[str, Callable[[MovieFacts], MovieFacts]] = {
    "packets instead of": lambda m: with_video(m, samples=m.tracks[0].samples - 1),
    "key frames instead of": lambda m: with_video(m, sync_samples=1),
    "is shown for": lambda m: with_video(m, shown=m.tracks[0].shown - 2 * VIDEO_FRAME),
    "hides": lambda m: with_video(m, hidden=m.tracks[0].hidden + 2 * VIDEO_FRAME),
    "is delayed by": lambda m: with_video(m, delay=2 * VIDEO_FRAME),
    "its samples have": lambda m: dataclasses.replace(m, media_bytes=m.media_bytes + 1),
    "behind the media": lambda m: dataclasses.replace(m, index_first=False),
    "audio instead of video and audio": lambda m: dataclasses.replace(
        m, tracks=m.tracks[1:], media_bytes=1000
    ),
}


@pytest.mark.parametrize("sentence", DIFFERENCES)
def test_a_clip_that_differs_fails_with_the_difference(sentence: str) -> None:
    made = plan()
    with pytest.raises(CaptureFailedError, match=sentence) as caught:
        verify(made, DIFFERENCES[sentence](as_planned(made)))
    assert caught.value.reason is CaptureErrorReason.VERIFICATION_FAILED


def test_beside_a_lost_segment_one_packet_at_each_edge_is_in_doubt_and_no_more() -> None:
    made = plan(lost=3)
    packets = as_planned(made).tracks[0].samples
    verify(made, with_video(as_planned(made), samples=packets - 2))
    with pytest.raises(CaptureFailedError):
        verify(made, with_video(as_planned(made), samples=packets - 3))
