"""What arrives from a real room, put into the even steps of a recording."""

from __future__ import annotations

import numpy as np
import pytest

from tests.livekit_double.worker.encoding_plan import EncodingPlan
from tests.livekit_double.worker.joined.frame_grid import FrameGrid
from tests.livekit_double.worker.joined.pictures import SETTLING_FRAMES, Pictures
from tests.livekit_double.worker.joined.sounds import Sounds

MS = 1_000_000
PLAN = EncodingPlan(
    width=32,
    height=18,
    frames_per_second=10,
    video_kbps=100,
    profile="main",
    audio_kbps=64,
    audio_hz=1000,
    segment_seconds=2,
)


def steps(*captured_at_ms: int) -> list[int]:
    grid = FrameGrid(PLAN.frames_per_second)
    return [grid.step_of(each * MS) for each in captured_at_ms]


def test_each_frame_of_an_even_source_has_a_step_of_its_own() -> None:
    assert steps(5000, 5100, 5200, 5300) == [0, 1, 2, 3]


def test_time_stamps_that_wander_double_no_frame_and_drop_none() -> None:
    wandering = [5000 + 100 * number + round(49 * np.sin(number / 7)) for number in range(200)]
    assert steps(*wandering) == list(range(200))


def test_a_frame_that_was_lost_leaves_its_step_empty() -> None:
    assert steps(5000, 5100, 5300, 5400) == [0, 1, 3, 4]


def test_a_clock_that_drifts_is_followed_once_it_is_most_of_a_step_off() -> None:
    slow = steps(*(5000 + 101 * number for number in range(200)))
    assert slow[-1] == pytest.approx(1.01 * 199, abs=1)


def a_picture(value: int) -> np.ndarray:
    return np.full((27, 32), value, np.uint8)


def arrived(*values: int) -> Pictures:
    pictures = Pictures(PLAN)
    for number in range(-SETTLING_FRAMES, 0):
        pictures.put(a_picture(0), number * 100 * MS)
    for number, value in enumerate(values):
        pictures.put(a_picture(value), number * 100 * MS)
    return pictures


def test_the_frames_whose_time_stamps_are_still_settling_are_not_shown() -> None:
    pictures = arrived(7)
    assert pictures.first_at_ns == 0
    assert pictures.take(0) is not None
    assert pictures.take(0)[0, 0] == 7


def test_a_picture_that_comes_long_after_the_recording_began_is_shown_at_its_own_time() -> None:
    pictures = Pictures(PLAN)
    pictures.begin(0)
    for number in range(SETTLING_FRAMES + 1):
        pictures.put(a_picture(7), (100 + number) * 100 * MS)
    assert pictures.take(99) is None, "it is none of the beginning"
    assert pictures.take(100 + SETTLING_FRAMES) is not None


def test_a_picture_is_held_until_the_next_one_and_then_it_is_black() -> None:
    pictures = arrived(7)
    assert pictures.take(10)[0, 0] == 7
    assert pictures.take(11) is None


def test_a_picture_of_another_size_is_scaled() -> None:
    pictures = Pictures(PLAN)
    for number in range(SETTLING_FRAMES + 1):
        pictures.put(np.full((54, 64), 100, np.uint8), number * 100 * MS)
    assert pictures.take(0).shape == (27, 32)


def test_pictures_have_come_as_far_as_the_newest_of_them() -> None:
    pictures = arrived(7, 8, 9)
    assert pictures.reaches(2)
    assert not pictures.reaches(3)
    pictures.put(a_picture(9), 500 * MS)
    assert pictures.reaches(3), "they come in order: the two before were lost"


def test_sound_has_come_as_far_as_its_last_sample_once_it_is_dated() -> None:
    sounds = Sounds(PLAN.audio_hz)
    sounds.put(np.ones(100, np.float32))
    assert not sounds.reaches(0)
    sounds.first_at_ns = 1000 * MS
    assert sounds.reaches(1100 * MS)
    assert not sounds.reaches(1101 * MS)


def test_sound_is_given_by_the_time_of_its_capture_and_silence_where_there_is_none() -> None:
    sounds = Sounds(PLAN.audio_hz)
    sounds.put(np.arange(1, 101, dtype=np.float32))
    assert not sounds.take(0, 10).any(), "nobody knows yet when it was captured"
    sounds.first_at_ns = 1000 * MS
    assert sounds.take(1000 * MS, 3).tolist() == [1, 2, 3]
    assert sounds.take(998 * MS, 4).tolist() == [0, 0, 1, 2]
    assert sounds.take(1098 * MS, 4).tolist() == [99, 100, 0, 0]


def test_old_sound_is_forgotten_and_the_new_one_keeps_its_time() -> None:
    sounds = Sounds(PLAN.audio_hz)
    for second in range(20):
        sounds.put(np.full(1000, second + 1, np.float32))
    sounds.first_at_ns = 0
    assert sounds.take(19_500 * MS, 1).tolist() == [20]
    assert sounds.take(1_000 * MS, 1).tolist() == [0]
