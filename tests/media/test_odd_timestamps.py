"""Timestamps that jump, go back or wrap inside a run: what stays on the timeline, and what is refused."""

from __future__ import annotations

from pathlib import Path

import pytest

from replay_operator.api.capture_job import CaptureErrorReason
from replay_operator.api.replaycapture import HoleReason, Holes
from replay_operator.media.capture import make_clip
from replay_operator.media.failure import CaptureFailedError
from tests.media.clip_reader import beeps, decode_errors, packets, shown_frames
from tests.media.conftest import RequestMaker
from tests.media.repeated_run import move_segment
from tests.media.segment_maker import RunShape, make_run
from tests.media.wall_clock import FPS, made_clip, seconds_of


def jump(run: Path, first_index: int, seconds: float) -> None:
    for path in run.glob("seg_*.ts"):
        if int(path.stem[4:]) >= first_index:
            move_segment(path, seconds)


@pytest.mark.parametrize("seconds", [0.3, 9.9, 10.0, 1000])
def test_a_jump_ahead_is_a_hole_of_its_length_and_sound_stays_with_its_picture(
    run_copy: Path, ask: RequestMaker, seconds: float
) -> None:
    # From 10 s on ffmpeg closes such a hole by itself, for one track or for both (concat.md §4).
    jump(run_copy, 3, seconds)
    path, clip = made_clip(ask(run_copy, 4, 8 + seconds))
    (hole,) = clip.holes
    assert (seconds_of(hole.start), hole.milliseconds) == (
        pytest.approx(6, abs=0.05),
        pytest.approx(1000 * seconds, abs=60),
    )
    assert hole.reason is HoleReason.NOT_RECORDED
    for shown in shown_frames(path):
        moved = seconds if shown.number >= 6 * FPS else 0
        assert shown.seconds == pytest.approx(shown.number / FPS - 4 + moved, abs=0.005)
    heard = [b for b in beeps(path) if 0.15 < b.seconds < clip.milliseconds / 1000 - 0.2]
    assert [b.second for b in heard] == [5, 6, 7]
    for beep in heard:
        assert beep.seconds == pytest.approx(beep.second - 4 + (seconds if beep.second >= 6 else 0), abs=0.05)


def test_a_jump_of_a_quarter_hour_can_be_closed(run_copy: Path, ask: RequestMaker) -> None:
    jump(run_copy, 3, 1000)
    path, clip = made_clip(ask(run_copy, 4, 1008, holes=Holes.CLOSE))
    assert clip.milliseconds == pytest.approx(4000, abs=150)
    assert [s.number for s in shown_frames(path)][: 4 * FPS] == list(range(4 * FPS, 8 * FPS))
    assert [h.milliseconds for h in clip.holes] == [pytest.approx(1_000_000, abs=60)]


@pytest.mark.parametrize("seconds", [-5, -6])
def test_a_run_whose_time_goes_back_is_refused_and_a_range_on_one_side_of_it_is_not(
    run_copy: Path, ask: RequestMaker, seconds: int
) -> None:
    # As when an egress starts over under the same prefix.
    jump(run_copy, 3, seconds)
    request = ask(run_copy, 0, 12)
    with pytest.raises(CaptureFailedError, match="seg_00003") as caught:
        make_clip(request)
    assert caught.value.reason is CaptureErrorReason.UNSUPPORTED_LAYOUT
    assert [p for p in Path(request.archive_directory).rglob("*") if p.is_file()] == []


def test_a_clip_that_lies_behind_the_wrap_is_exact(tmp_path: Path, ask: RequestMaker) -> None:
    # 2^33 ticks are 95443.7 s: with this index the wrap lies in the third segment, at 5.7 s.
    shape = RunShape(seconds=12, first_index=45_919)
    run = make_run(tmp_path / "buffer" / "run-1", shape)
    before = shape.first_index * shape.segment_seconds
    path, clip = made_clip(ask(run, before + 6.37, before + 9.81))
    numbers = [s.number for s in shown_frames(path)]
    assert numbers == list(range(192, 192 + len(numbers)))
    assert (clip.holes, clip.gaps) == ((), ())
    assert packets(path, "audio").steps() == pytest.approx(
        [1024 / 44100] * (len(packets(path, "audio").pts) - 1), abs=0.0005
    )


def test_a_format_that_changes_inside_a_run_is_refused(
    run_copy: Path, ask: RequestMaker, tmp_path: Path
) -> None:
    other = make_run(tmp_path / "other", RunShape(sample_rate_hz=48000))
    (run_copy / "seg_00003.ts").write_bytes((other / "seg_00003.ts").read_bytes())
    with pytest.raises(CaptureFailedError, match="audio format changes") as caught:
        make_clip(ask(run_copy, 2, 10))
    assert caught.value.reason is CaptureErrorReason.UNSUPPORTED_LAYOUT
    place, result = make_clip(ask(run_copy, 2, 5.5))
    assert result.clip is not None
    assert decode_errors(place.clip) == ""
