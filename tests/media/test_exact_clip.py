"""A clip of a healthy run holds exactly the asked moment, with sound in sync and nothing missing inside."""

from __future__ import annotations

from pathlib import Path

import av
import pytest

from replay_operator.api.replaycapture import Clock, Trim
from replay_operator.media.capture import make_clip
from tests.media.clip_reader import Heard, Shown, beeps, box_order, decode_errors, packets, shown_frames
from tests.media.conftest import RequestMaker
from tests.media.segment_maker import RunShape, at, make_run

FPS = 30
FRAME = 1 / FPS


def av_offsets(shown: list[Shown], heard: list[Heard], fps: int = FPS) -> list[float]:
    """How much later each beep is heard than the picture of the same instant is shown, in seconds."""
    seconds = {s.number: s.seconds for s in shown}
    found = [h.seconds - seconds[h.second * fps] for h in heard if h.seconds > 0.15 and h.second >= 0]
    assert len(found) >= 2
    return found


@pytest.mark.parametrize(
    ("start", "end"), [(3.37, 9.81), (2.0, 8.0), (5.99, 6.71), (0.0, 12.0), (4.001, 11.5)]
)
def test_the_first_picture_is_the_first_one_at_or_after_the_start_and_none_is_missing(
    healthy_run: Path, ask: RequestMaker, start: float, end: float
) -> None:
    place, result = make_clip(ask(healthy_run, start, end))
    shown = shown_frames(place.clip)
    assert result.clip is not None
    first = -int(-start * FPS // 1)
    assert [s.number for s in shown] == list(range(first, first + len(shown)))
    assert shown[0].seconds == pytest.approx(0, abs=0.001)
    last_needed = -int(-end * FPS // 1) - 1
    assert last_needed <= shown[-1].number <= last_needed + 4
    assert result.clip.start == at(first / FPS).replace(microsecond=result.clip.start.microsecond)
    assert abs((result.clip.start - at(first / FPS)).total_seconds()) < 0.001
    assert abs((result.clip.end - at((shown[-1].number + 1) / FPS)).total_seconds()) < FRAME
    assert decode_errors(place.clip) == ""


def test_the_length_is_the_planned_one_within_a_frame_and_the_index_comes_first(
    healthy_run: Path, ask: RequestMaker
) -> None:
    place, result = make_clip(ask(healthy_run, 3.37, 9.81))
    shown = shown_frames(place.clip)
    assert result.clip is not None
    assert result.clip.milliseconds / 1000 == pytest.approx(shown[-1].seconds + FRAME, abs=FRAME)
    assert result.clip.bytes == place.clip.stat().st_size
    assert (result.clip.segments, result.clip.runs, result.clip.clock) == (4, 1, Clock.STARTED_AT)
    assert (result.clip.holes, result.clip.gaps) == ((), ())
    order = box_order(place.clip)
    assert order.index("moov") < order.index("mdat")


def test_no_join_between_segments_opens_a_hole(healthy_run: Path, ask: RequestMaker) -> None:
    place, _ = make_clip(ask(healthy_run, 0, 12, trim=Trim.SEGMENT))
    assert packets(place.clip, "video").steps() == pytest.approx([FRAME] * 359, abs=0.0005)
    assert packets(place.clip, "audio").steps() == pytest.approx([1024 / 44100] * 517, abs=0.0005)
    for kind in ("video", "audio"):
        dts = packets(place.clip, kind).dts
        assert dts == sorted(set(dts))


def test_sound_is_in_sync_from_start_to_end(healthy_run: Path, ask: RequestMaker) -> None:
    place, _ = make_clip(ask(healthy_run, 3.37, 11.4))
    offsets = av_offsets(shown_frames(place.clip), beeps(place.clip))
    assert len(offsets) >= 7
    assert max(map(abs, offsets)) < 0.05


def test_sound_reaches_the_asked_end(healthy_run: Path, ask: RequestMaker) -> None:
    place, _ = make_clip(ask(healthy_run, 3.37, 9.05))
    assert beeps(place.clip)[-1].seconds == pytest.approx(9 - 3.4, abs=0.05)


def test_whole_segments_are_shown_from_their_first_picture(healthy_run: Path, ask: RequestMaker) -> None:
    place, result = make_clip(ask(healthy_run, 3.37, 9.81, trim=Trim.SEGMENT))
    assert [s.number for s in shown_frames(place.clip)] == list(range(60, 300))
    assert result.clip is not None
    assert result.clip.start <= at(2)


@pytest.mark.parametrize(
    "shape",
    [
        RunShape(seconds=6, b_frames=0, frames_per_second=15),
        RunShape(seconds=6, sample_rate_hz=48000, one_aac_frame_per_pes=False),
        RunShape(seconds=9, segment_seconds=3, frames_per_second=60, b_frames=3),
    ],
    ids=["no B-frames", "several AAC frames in a PES packet", "60 frames a second"],
)
def test_other_shapes_of_runs_are_exact_too(tmp_path: Path, ask: RequestMaker, shape: RunShape) -> None:
    run = make_run(tmp_path / "buffer" / "run-1", shape)
    place, _ = make_clip(ask(run.parent, 2.5, 5.5))
    shown = shown_frames(place.clip)
    first = round(2.5 * shape.frames_per_second + 0.4)
    assert [s.number for s in shown] == list(range(first, first + len(shown)))
    assert max(map(abs, av_offsets(shown, beeps(place.clip), shape.frames_per_second))) < 0.05


def test_a_picture_that_starts_long_after_the_sound_is_not_dropped(tmp_path: Path, ask: RequestMaker) -> None:
    # ffmpeg looks at the first 5 s by default: it then fails, or leaves the picture out with exit code 0.
    run = make_run(tmp_path / "buffer" / "run-1", RunShape(seconds=4, video_delay_seconds=8))
    place, result = make_clip(ask(run, 1, 11))
    assert result.clip is not None
    shown = shown_frames(place.clip)
    assert [s.number for s in shown][:60] == list(range(60))
    assert shown[0].seconds == pytest.approx(8 - (result.clip.start - at(0)).total_seconds(), abs=0.05)
    assert [(g.track.value, g.milliseconds) for g in result.clip.gaps] == [
        ("video", pytest.approx(7000, abs=50))
    ]
    assert [b.seconds for b in beeps(place.clip)] == pytest.approx(list(range(11)), abs=0.05)


def test_a_run_whose_timestamps_wrap_after_a_day_is_exact_across_the_wrap(
    tmp_path: Path, ask: RequestMaker
) -> None:
    # 2^33 ticks are 95443.7 s: 25.5 hours after a start at 3600 s.
    shape = RunShape(seconds=12, first_index=45_919)
    run = make_run(tmp_path / "buffer" / "run-1", shape)
    before_seconds = shape.first_index * shape.segment_seconds
    place, result = make_clip(ask(run, before_seconds + 3.37, before_seconds + 9.81))
    shown = shown_frames(place.clip)
    assert [s.number for s in shown] == list(range(102, 102 + len(shown)))
    assert shown[-1].number >= 294
    assert max(map(abs, av_offsets(shown, beeps(place.clip)))) < 0.05
    assert result.clip is not None
    assert (result.clip.holes, result.clip.gaps) == ((), ())


def test_title_and_time_are_written_and_a_title_is_never_an_option(
    healthy_run: Path, ask: RequestMaker
) -> None:
    title = "-y; $(touch x) 'quoted' =ü\nsecond line"
    place, _ = make_clip(ask(healthy_run, 3, 5, title=title))
    with av.open(str(place.clip)) as container:
        assert container.metadata["title"] == title
        assert container.metadata["creation_time"].startswith("2026-11-22T14:00:03")


def test_a_path_with_quotes_and_backslashes_is_read(run_copy: Path, ask: RequestMaker) -> None:
    odd = run_copy.rename(run_copy.with_name("it's a \\ run: 1"))
    place, _ = make_clip(ask(odd, 3, 5))
    assert place.clip.exists()
