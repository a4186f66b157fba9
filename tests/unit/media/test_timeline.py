from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from replay_operator.media.timeline import (
    CleanCut,
    Interval,
    common,
    first_clean_cut,
    frame_ticks,
    merged,
    pauses,
    without,
)

FRAME = 3000
INTERVALS = st.lists(
    st.tuples(st.integers(0, 60), st.integers(0, 20)).map(lambda p: Interval(p[0], p[0] + p[1]))
)


def instants(intervals: list[Interval]) -> set[int]:
    return {t for i in intervals for t in range(i.start, i.end)}


def test_the_length_of_a_frame_is_the_usual_distance_whatever_the_order() -> None:
    assert frame_ticks([0, 9000, 3000, 6000, 190_000]) == FRAME
    assert frame_ticks([7]) == 0


def test_a_pause_lies_between_the_end_of_a_frame_and_the_next() -> None:
    assert pauses([0, 3000, 6000, 200_000, 203_000], FRAME) == [Interval(9000, 200_000)]


def test_jitter_of_a_few_frames_is_no_pause() -> None:
    assert pauses([0, 3000, 14_000, 17_000], FRAME) == []


def test_a_cut_never_separates_a_frame_from_one_that_is_shown_before_it() -> None:
    # Decode order I0 P3 B1 B2 P6 B4 B5: only before P6 does every kept frame precede every dropped one.
    pts = [p * FRAME for p in (0, 3, 1, 2, 6, 4, 5)]
    dts = [d * FRAME for d in range(-1, 6)]
    assert first_clean_cut(pts, dts, 1) == CleanCut(4, 2 * FRAME, 3 * FRAME, 4 * FRAME)
    assert first_clean_cut(pts, dts, 3 * FRAME + 1) is None


@given(st.permutations(list(range(8))), st.integers(-1, 9))
def test_every_cut_that_is_found_is_clean_and_late_enough(order: list[int], not_before: int) -> None:
    dts = list(range(8))
    cut = first_clean_cut(order, dts, not_before)
    clean = [i for i in range(1, 8) if dts[i] >= not_before and max(order[:i]) < min(order[i:])]
    assert (cut.packets if cut else None) == (clean[0] if clean else None)


@given(INTERVALS, INTERVALS)
def test_intervals_combine_like_the_instants_in_them(left: list[Interval], right: list[Interval]) -> None:
    assert instants(merged(left)) == instants(left)
    assert instants(common(left, right)) == instants(left) & instants(right)
    assert instants(without(left, right)) == instants(left) - instants(right)
