from __future__ import annotations

import pytest

from replay_operator.media.runs import Run, SegmentFile
from replay_operator.media.selection import select_segments
from replay_operator.media.timeline import Interval
from replay_operator.media.ts_probe import SegmentScan
from tests.unit.media.scans import audio, indexes, place, run, scan, segment, select, video

TEN = {i: segment(i) for i in range(10)}


@pytest.mark.parametrize(
    ("start", "end", "expected"),
    [
        (0, 60, [*range(10)]),
        (13, 17, [2]),
        (12, 18, [2]),
        (12.005, 18, [2]),
        (13, 19, [2, 3]),
        (-100, 7, [0, 1]),
        (55, 500, [9]),
        (-100, -50, []),
        (70, 80, []),
    ],
)
def test_the_segments_that_hold_the_range_are_chosen_and_no_others(
    start: float, end: float, expected: list[int]
) -> None:
    assert indexes(select(dict(TEN), Interval(place(start), place(end)))) == expected


def test_a_segment_that_cannot_be_used_is_passed_over_and_counted_as_lost() -> None:
    chosen = select({**TEN, 3: None}, Interval(place(13), place(29)))
    assert indexes(chosen) == [2, 4]
    assert chosen.lost_indexes == (3,)


def test_a_range_that_begins_in_an_unusable_segment_begins_with_the_next() -> None:
    assert indexes(select({**TEN, 3: None}, Interval(place(20), place(29)))) == [4]


def test_sound_that_goes_on_long_after_the_picture_is_found_in_its_old_segment() -> None:
    scans = {0: segment(0), 1: scan(video(6, 8), audio(6, 80))}
    assert indexes(select(scans, Interval(place(60), place(70)))) == [1]


def test_segments_of_another_length_than_asked_are_found_all_the_same() -> None:
    slow = {i: scan(video(10 * i, 10 * i + 10), audio(10 * i, 10 * i + 10)) for i in range(10)}
    assert indexes(select(slow, Interval(place(71), place(85)))) == [7, 8]


def test_only_the_segments_around_the_range_are_read() -> None:
    read: list[int] = []

    def count(_: Run, file: SegmentFile) -> SegmentScan:
        read.append(file.index)
        return segment(file.index)

    hour = run({i: segment(i) for i in range(600)})
    select_segments(hour, Interval(place(1800), place(1830)), count)
    assert len(read) == len(set(read)) <= 9
