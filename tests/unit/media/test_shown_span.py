"""How long a segment is shown, told by its packets."""

from __future__ import annotations

from itertools import pairwise

from replay_operator.media.shown_span import shown_span
from replay_operator.media.timeline import TICKS_PER_SECOND, Interval
from replay_operator.media.ts_probe import scan_segment
from tests.unit.media.recorded import KILLED, MUTED_VIDEO
from tests.unit.media.scans import AUDIO_FRAME, audio, place, scan, video


def test_the_video_tells_and_not_the_sound_that_reaches_over_it() -> None:
    found = shown_span(scan(video(0, 6), audio(-0.04, 6.05)))
    assert found.lead_ticks == place(0) - place(-0.04), "but its first sample is the sound"
    assert found.interval == Interval(place(0), place(6))


def test_sound_that_goes_on_without_video_is_shown() -> None:
    found = shown_span(scan(video(0, 4), audio(0, 6)))
    assert found.interval.start == place(0)
    assert 0 <= found.interval.end - place(6) < AUDIO_FRAME


def test_sound_alone_is_shown_from_its_start() -> None:
    found = shown_span(scan(audio(0.5, 6)))
    assert (found.interval.start, found.lead_ticks) == (place(0.5), 0)


def test_tracks_and_parameters_make_the_layout() -> None:
    both = shown_span(scan(video(0, 6), audio(0, 6))).layout
    assert both == shown_span(scan(video(6, 12), audio(6, 12))).layout
    assert both != shown_span(scan(video(0, 6))).layout
    assert both != shown_span(scan(video(0, 6, parameters="other"), audio(0, 6))).layout


def test_recorded_segments_join_without_a_step_also_around_a_mute() -> None:
    for folder in (MUTED_VIDEO, KILLED):
        found = [shown_span(scan_segment(path.read_bytes())) for path in sorted(folder.glob("*.ts"))]
        assert len({span.layout for span in found}) == 1
        for earlier, later in pairwise(found):
            assert abs(later.interval.start - earlier.interval.end) < TICKS_PER_SECOND // 30
