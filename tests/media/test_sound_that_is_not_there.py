"""Sound or picture that begins late, is missing, or goes on without the other, inside one run."""

from __future__ import annotations

from pathlib import Path

import pytest

from replay_operator.api.replaycapture import Track
from tests.media.clip_reader import beeps, packets, shown_frames
from tests.media.conftest import Buffer, RequestMaker
from tests.media.segment_maker import RunShape, make_run
from tests.media.test_damaged_runs import without_pid
from tests.media.wall_clock import (
    AAC_FRAME,
    CUT_FRAMES,
    FPS,
    assert_gapless_sound,
    assert_in_sync,
    made_clip,
    missing_numbers,
    seconds_of,
)


def test_sound_that_is_missing_in_the_first_segment_is_there_from_the_second_on(
    run_copy: Path, ask: RequestMaker
) -> None:
    # By default ffmpeg leaves it out of the whole clip, with exit code 0 (concat.md §4).
    without_pid(run_copy / "seg_00001.ts", 0x101)
    path, clip = made_clip(ask(run_copy, 2.4, 9.8))
    assert missing_numbers(path, clip) == []
    assert_in_sync(path, clip, [4, 5, 6, 7, 8, 9])
    assert [(g.track, g.milliseconds) for g in clip.gaps] == [(Track.AUDIO, pytest.approx(1600, abs=60))]


def test_sound_that_begins_long_after_the_picture_is_not_dropped(tmp_path: Path, ask: RequestMaker) -> None:
    # ffmpeg looks at the first 5 s by default, and at the first 5 MB.
    run = make_run(tmp_path / "buffer" / "run-1", RunShape(seconds=14, sound_delay_seconds=9))
    path, clip = made_clip(ask(run, 1, 13))
    assert missing_numbers(path, clip) == []
    assert_in_sync(path, clip, [9, 10, 11, 12])
    assert [(g.track, g.milliseconds) for g in clip.gaps] == [(Track.AUDIO, pytest.approx(8000, abs=60))]


def test_a_last_segment_that_is_much_longer_than_its_playlist_says_is_used_to_its_end(
    buffer: Buffer, ask: RequestMaker
) -> None:
    # A camera is unpublished, the microphone stays: 74.7 s of sound under `EXTINF:1.933` were measured.
    path, clip = made_clip(ask(buffer("unpublished"), 7.5, 80))
    shown = shown_frames(path)
    assert [s.number for s in shown] == list(range(225, 12 * FPS))
    assert max(abs(s.seconds - (s.number / FPS - 7.5)) for s in shown) < 0.005
    assert_in_sync(path, clip, list(range(8, 80)))
    assert_gapless_sound(path)
    assert clip.holes == ()
    assert [(g.track, seconds_of(g.start), g.milliseconds) for g in clip.gaps] == [
        (Track.VIDEO, pytest.approx(12, abs=0.05), pytest.approx(68_000, abs=60))
    ]


def test_a_range_behind_the_last_picture_is_a_clip_of_sound(buffer: Buffer, ask: RequestMaker) -> None:
    path, clip = made_clip(ask(buffer("unpublished"), 30, 40))
    assert seconds_of(clip.end) == pytest.approx(40, abs=2 * AAC_FRAME)
    assert [b.second for b in beeps(path) if 30.15 < b.second < 39.9] == list(range(31, 40))
    assert packets(path, "audio").steps() == pytest.approx(
        [AAC_FRAME] * (len(packets(path, "audio").pts) - 1), abs=0.0005
    )


def test_after_a_publication_anew_the_next_run_takes_over_from_the_sound_that_went_on(
    buffer: Buffer, ask: RequestMaker
) -> None:
    path, clip = made_clip(ask(buffer("unpublished", "third"), 8, 23.5))
    # No picture from 12 s to 16.2 s; the run that follows begins with its first segment then.
    assert len(missing_numbers(path, clip, holes=((12, 16.2),))) <= CUT_FRAMES
    assert_in_sync(path, clip)
    assert_gapless_sound(path)
    assert [(g.track, g.milliseconds) for g in clip.gaps] == [(Track.VIDEO, pytest.approx(4200, abs=60))]
    assert clip.holes == ()
