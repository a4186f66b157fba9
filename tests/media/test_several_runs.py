"""A range that touches several runs, often overlapping ones, is one clip in which each instant comes once."""

from __future__ import annotations

from itertools import pairwise

import pytest

from replay_operator.api.capture_job import CaptureErrorReason
from replay_operator.api.replaycapture import Clock, HoleReason, Holes, Track, Trim
from replay_operator.media.capture import make_clip
from replay_operator.media.failure import CaptureFailedError
from tests.media.clip_reader import beeps, shown_frames
from tests.media.conftest import Buffer, RequestMaker
from tests.media.wall_clock import (
    CUT_FRAMES,
    FPS,
    assert_gapless_sound,
    assert_in_sync,
    made_clip,
    missing_numbers,
    seconds_of,
)


@pytest.mark.parametrize(
    ("start", "end", "runs"),
    [
        (2.37, 18.5, 2),
        (0, 19.3, 2),
        (8.1, 11.03, 2),  # begins and ends where both have media
        (9.55, 15, 1),  # begins behind the change of runs
        (7.0, 9.1, 1),  # ends where the second run is still settling
        (9.4, 12, 1),
        (9.3, 9.6, 2),
    ],
)
def test_two_overlapping_runs_show_each_instant_once_and_play_without_a_dropout(
    buffer: Buffer, ask: RequestMaker, start: float, end: float, runs: int
) -> None:
    path, clip = made_clip(ask(buffer("first", "second"), start, end))
    assert len(missing_numbers(path, clip)) <= CUT_FRAMES
    assert_in_sync(path, clip)
    assert_gapless_sound(path)
    first = -int(-start * FPS // 1)
    assert abs(seconds_of(clip.start) - first / FPS) < 0.001
    assert -0.001 <= seconds_of(clip.end) - end < (CUT_FRAMES + 1) / FPS
    assert (clip.runs, clip.holes, clip.gaps) == (runs, (), ())


def test_the_later_run_wins_from_its_second_segment(buffer: Buffer, ask: RequestMaker) -> None:
    directory = buffer("first", "second")
    (directory / "run-9" / "seg_00005.ts").unlink()  # the end of the first run is not needed
    path, clip = made_clip(ask(directory, 2.37, 18.5))
    assert len(missing_numbers(path, clip)) <= CUT_FRAMES
    assert clip.holes == ()


def test_three_runs_are_one_clip(buffer: Buffer, ask: RequestMaker) -> None:
    path, clip = made_clip(ask(buffer("first", "second", "third"), 1.5, 23))
    assert len(missing_numbers(path, clip)) <= 2 * CUT_FRAMES
    assert_in_sync(path, clip)
    assert_gapless_sound(path)
    assert (clip.runs, clip.holes, clip.clock) == (3, (), Clock.STARTED_AT)


def test_whole_segments_of_two_runs_overhang_both_ends(buffer: Buffer, ask: RequestMaker) -> None:
    path, clip = made_clip(ask(buffer("first", "second"), 3.37, 14.1, trim=Trim.SEGMENT))
    assert len(missing_numbers(path, clip)) <= CUT_FRAMES
    shown = shown_frames(path)
    assert (shown[0].number, shown[-1].number) == (2 * FPS, round(15.4 * FPS) - 1)
    assert_in_sync(path, clip)


def test_a_hole_between_two_runs_stays_on_the_timeline(buffer: Buffer, ask: RequestMaker) -> None:
    path, clip = made_clip(ask(buffer("first", "after a pause"), 8.2, 20))
    assert missing_numbers(path, clip, holes=((12, 15),)) == []
    assert_in_sync(path, clip, [9, 10, 11, 15, 16, 17, 18, 19])
    (hole,) = clip.holes
    assert (seconds_of(hole.start), hole.milliseconds, hole.reason) == (
        pytest.approx(12, abs=0.05),
        pytest.approx(3000, abs=50),
        HoleReason.NOT_RECORDED,
    )
    assert clip.milliseconds == pytest.approx(11_800, abs=100)


@pytest.mark.parametrize("start", [11.99, 12.02, 13.5])
def test_a_range_that_begins_in_a_hole_begins_with_the_next_run(
    buffer: Buffer, ask: RequestMaker, start: float
) -> None:
    path, clip = made_clip(ask(buffer("first", "after a pause"), start, 20))
    assert shown_frames(path)[0].number == 15 * FPS
    assert seconds_of(clip.start) == pytest.approx(15, abs=0.03)
    assert clip.runs == 1


def test_a_hole_can_be_closed_and_is_still_reported(buffer: Buffer, ask: RequestMaker) -> None:
    path, clip = made_clip(ask(buffer("first", "after a pause"), 8.2, 20, holes=Holes.CLOSE))
    shown = shown_frames(path)
    assert {s.number for s in shown} == {*range(246, 360), *range(450, shown[-1].number + 1)}
    assert max(b.seconds - a.seconds for a, b in pairwise(shown)) < 0.1
    assert [h.milliseconds for h in clip.holes] == [pytest.approx(3000, abs=50)]
    assert clip.milliseconds == pytest.approx(8800, abs=100)
    heard = [b for b in beeps(path) if 0.15 < b.seconds < 8.7]
    assert [b.second for b in heard] == [9, 10, 11, 15, 16, 17, 18, 19]
    assert max(abs(b.seconds + (8.2 if b.seconds < 3.75 else 11.2) - b.second) for b in heard) < 0.05
    assert seconds_of(clip.end) == pytest.approx(20, abs=0.1)


def test_a_lost_segment_inside_a_run_can_be_closed_too(buffer: Buffer, ask: RequestMaker) -> None:
    directory = buffer("first")
    (directory / "run-9" / "seg_00002.ts").unlink()
    path, clip = made_clip(ask(directory, 2.4, 9.8, holes=Holes.CLOSE))
    numbers = [s.number for s in shown_frames(path)]
    assert numbers[:120] == [*range(72, 120), *range(180, 252)]
    assert [h.reason for h in clip.holes] == [HoleReason.SEGMENT_LOST]
    assert clip.milliseconds == pytest.approx(5400, abs=150)


def test_a_hole_between_runs_is_refused_when_asked_so(buffer: Buffer, ask: RequestMaker) -> None:
    request = ask(buffer("first", "after a pause"), 8.2, 20, holes=Holes.FAIL)
    with pytest.raises(CaptureFailedError, match="not recorded") as caught:
        make_clip(request)
    assert caught.value.reason is CaptureErrorReason.HOLES_IN_RANGE


def test_a_change_of_runs_without_a_hole_is_none_even_when_holes_are_refused(
    buffer: Buffer, ask: RequestMaker
) -> None:
    _, clip = made_clip(ask(buffer("first", "second"), 2, 18, holes=Holes.FAIL))
    assert clip.runs == 2


def test_the_sound_of_a_late_microphone_begins_where_it_begins(buffer: Buffer, ask: RequestMaker) -> None:
    path, clip = made_clip(ask(buffer("first", "late microphone"), 3, 18))
    assert len(missing_numbers(path, clip)) <= CUT_FRAMES
    # The first run still has sound up to 12 s, the second from 12.4 s on.
    assert_in_sync(path, clip, [4, 5, 6, 7, 8, 9, 10, 11, 13, 14, 15, 16, 17])
    assert [(g.track, g.milliseconds) for g in clip.gaps] == [(Track.AUDIO, pytest.approx(400, abs=60))]


def test_a_silent_run_between_two_others_costs_no_sound_of_theirs(buffer: Buffer, ask: RequestMaker) -> None:
    path, clip = made_clip(ask(buffer("first", "only picture", "third"), 3, 23))
    assert len(missing_numbers(path, clip)) <= 2 * CUT_FRAMES
    assert_in_sync(path, clip, [*range(4, 12), *range(17, 23)])
    (gap,) = clip.gaps
    assert gap.track is Track.AUDIO
    assert seconds_of(gap.start) == pytest.approx(12, abs=0.05)
    assert gap.milliseconds == pytest.approx(4200, abs=60)


def test_the_sound_of_a_run_without_picture_is_kept_though_it_has_the_pictures_number(
    buffer: Buffer, ask: RequestMaker
) -> None:
    path, clip = made_clip(ask(buffer("like the worker", "only sound"), 3, 18))
    assert missing_numbers(path, clip) == []
    assert_in_sync(path, clip)
    assert_gapless_sound(path)
    assert [(g.track, g.milliseconds) for g in clip.gaps] == [(Track.VIDEO, pytest.approx(6000, abs=60))]


def test_the_run_of_a_killed_worker_is_used_to_its_last_complete_segment(
    buffer: Buffer, ask: RequestMaker
) -> None:
    directory = buffer("first", "second")
    for name in ("index.m3u8", "live.m3u8"):
        text = (directory / "run-9" / name).read_text()
        (directory / "run-9" / name).write_text(text[: text.index("#EXT-X-PROGRAM", text.index("seg_00003"))])
    half = directory / "run-9" / "seg_00004.ts"
    half.write_bytes(half.read_bytes()[: 188 * 30])
    path, clip = made_clip(ask(directory, 2.37, 18.5))
    # The first run ends at 8 s, so that the settling segment of the second one is needed.
    assert len(missing_numbers(path, clip)) <= CUT_FRAMES
    assert_in_sync(path, clip)
    assert_gapless_sound(path)


def test_a_run_that_failed_while_another_went_on_makes_no_hole(buffer: Buffer, ask: RequestMaker) -> None:
    path, clip = made_clip(ask(buffer("first", "brief"), 1, 11.5))
    assert len(missing_numbers(path, clip)) <= 2 * CUT_FRAMES
    assert_in_sync(path, clip)
    assert_gapless_sound(path)
    assert clip.holes == ()


def test_the_pause_of_a_muted_picture_stays_a_pause_beside_a_change_of_runs(
    buffer: Buffer, ask: RequestMaker
) -> None:
    path, clip = made_clip(ask(buffer("first", "unmuted"), 3, 20))
    assert len(missing_numbers(path, clip, holes=((12.4, 14.4),))) <= CUT_FRAMES
    assert_in_sync(path, clip)
    assert_gapless_sound(path)
    assert [(g.track, g.milliseconds) for g in clip.gaps] == [(Track.VIDEO, pytest.approx(2000, abs=60))]
