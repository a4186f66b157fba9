"""Runs of another format, another clock, or with a fault that shows while they are joined."""

from __future__ import annotations

from pathlib import Path

import pytest

from replay_operator.api.capture_job import CaptureErrorReason
from replay_operator.api.replaycapture import Clock, HoleReason
from replay_operator.media.capture import make_clip
from replay_operator.media.failure import CaptureFailedError
from tests.media.clip_reader import packets, shown_frames
from tests.media.conftest import Buffer, RequestMaker
from tests.media.segment_maker import RunShape, make_run
from tests.media.wall_clock import (
    CUT_FRAMES,
    FPS,
    assert_gapless_sound,
    made_clip,
    missing_numbers,
    seconds_of,
)


@pytest.mark.parametrize("name", ["other size", "other sound", "other profile"])
def test_a_run_of_another_format_is_left_out_and_told_as_a_hole(
    buffer: Buffer, ask: RequestMaker, name: str
) -> None:
    path, clip = made_clip(ask(buffer("first", name), 3, 18))
    assert shown_frames(path)[0].number == round(7.4 * FPS)
    assert missing_numbers(path, clip) == []
    (hole,) = clip.holes
    assert (hole.reason, clip.runs) == (HoleReason.FORMAT_CHANGED, 1)
    assert (seconds_of(hole.start), hole.milliseconds) == (3, pytest.approx(4400, abs=60))


def test_of_two_formats_that_both_hold_the_end_the_longer_is_taken(buffer: Buffer, ask: RequestMaker) -> None:
    path, clip = made_clip(ask(buffer("first", "other size"), 3, 11))
    assert shown_frames(path)[0].number == 3 * FPS
    assert (clip.runs, clip.holes) == (1, ())


def test_the_clip_tells_the_worst_clock_of_its_runs(buffer: Buffer, ask: RequestMaker) -> None:
    directory = buffer("first", "second")
    (directory / "run-8" / "run.json").unlink()
    path, clip = made_clip(ask(directory, 2.37, 17))
    assert (clip.runs, clip.clock) == (2, Clock.PROGRAM_DATE_TIME)
    numbers = [s.number for s in shown_frames(path)]
    assert numbers[0] == 72
    assert len(packets(path, "audio").pts) > 600


def test_a_run_whose_time_is_near_its_wrap_is_joined_too(tmp_path: Path, ask: RequestMaker) -> None:
    # 2^33 ticks are 95443.7 s: the wrap lies 2 s behind the middle of the old run.
    old = RunShape(seconds=10, first_index=45_919)
    make_run(tmp_path / "buffer" / "run-1", old)
    before = old.first_index * old.segment_seconds
    make_run(tmp_path / "buffer" / "run-2", RunShape(seconds=8, starts_at_seconds=before + 6))
    place, result = make_clip(ask(tmp_path / "buffer", before + 1, before + 13))
    assert result.clip is not None
    assert (result.clip.runs, result.clip.holes) == (2, ())
    numbers = [s.number % (before * FPS) for s in shown_frames(place.clip)]
    assert len(numbers) >= 12 * FPS - CUT_FRAMES
    assert numbers == sorted(set(numbers))
    assert_gapless_sound(place.clip)


def test_a_segment_that_goes_while_runs_are_joined_fails_the_capture(
    buffer: Buffer, ask: RequestMaker, monkeypatch: pytest.MonkeyPatch
) -> None:
    directory = buffer("first", "second")
    real_reserve = "replay_operator.media.archive._reserve"
    monkeypatch.setattr(real_reserve, lambda *_: (directory / "run-8" / "seg_00003.ts").unlink())
    request = ask(directory, 2, 18)
    with pytest.raises(CaptureFailedError, match="seg_00003") as caught:
        make_clip(request)
    assert caught.value.reason is CaptureErrorReason.BUFFER_UNREADABLE
    assert [p for p in Path(request.archive_directory).rglob("*") if p.is_file()] == []


def test_an_ffmpeg_that_ends_at_once_does_not_leave_the_feeder_waiting(
    buffer: Buffer, ask: RequestMaker, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    broken = tmp_path / "bin" / "ffmpeg"
    broken.parent.mkdir()
    broken.write_text("#!/bin/sh\necho it is broken >&2\nexit 3\n")
    broken.chmod(0o755)
    request = ask(buffer("first", "second"), 2, 18)
    monkeypatch.setenv("PATH", f"{broken.parent}:/usr/bin:/bin")
    with pytest.raises(CaptureFailedError, match="it is broken") as caught:
        make_clip(request)
    assert caught.value.reason is CaptureErrorReason.JOIN_FAILED
