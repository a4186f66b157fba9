"""What viewers of a buffer are shown: the promises of HLS over histories, and every instant once."""

from __future__ import annotations

from dataclasses import dataclass, replace
from itertools import pairwise

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from replay_operator.domain.preview_playlist import media_playlist
from replay_operator.domain.preview_window import (
    JOIN_TOLERANCE_NS,
    PreviewRun,
    PreviewSegment,
    PreviewWindow,
    carried_on,
)
from tests.unit.hls_rules import ReadPlaylist, assert_may_follow, read_media_playlist

SECOND = 1_000_000_000
T0 = 1_795_000_000 * SECOND


def segment(run: str, index: int, start: float, end: float, layout: str = "h264+aac") -> PreviewSegment:
    return PreviewSegment(run, index, T0 + int(start * SECOND), T0 + int(end * SECOND), layout)


def run(name: str, start: float, count: int, *, seconds: int = 10, ended: bool = False) -> PreviewRun:
    return PreviewRun(
        seconds,
        ended,
        [segment(name, i, start + i * seconds, start + (i + 1) * seconds) for i in range(count)],
        T0 + int(start * SECOND),
    )


def without(found: PreviewRun, *indexes: int) -> PreviewRun:
    return replace(found, segments=[s for s in found.segments if s.index not in indexes])


def shown(window: PreviewWindow | None) -> list[tuple[str, int]]:
    return [(e.segment.run, e.segment.index) for e in window.entries] if window else []


def breaks(window: PreviewWindow | None) -> list[tuple[str, int]]:
    return [(e.segment.run, e.segment.index) for e in window.entries if e.breaks] if window else []


def test_a_run_is_shown_in_its_order_without_a_break() -> None:
    window = carried_on(None, [run("a", 0, 3)])
    assert shown(window) == [("a", 0), ("a", 1), ("a", 2)]
    assert breaks(window) == []


def test_nothing_on_disk_is_no_window() -> None:
    assert carried_on(None, []) is None


def test_numbers_begin_at_the_millisecond_where_the_run_began_and_at_the_index_in_it() -> None:
    window = carried_on(None, [without(run("a", 7.5, 5), 0, 1)])
    assert window is not None
    assert [e.number for e in window.entries] == [1000 * T0 // SECOND + 7500 + i for i in (2, 3, 4)]


def test_a_restart_of_the_agent_changes_no_number_while_the_first_run_is_there() -> None:
    before = carried_on(None, [run("a", 0, 4, ended=True), run("b", 45, 2)])
    after = carried_on(None, [without(run("a", 0, 4, ended=True), 0, 1), run("b", 45, 3)])
    assert before is not None
    assert after is not None
    assert after.entries[: len(before.entries) - 2] == before.entries[2:]


def test_after_a_restart_the_numbers_of_the_next_run_are_ahead_of_all_that_viewers_were_told() -> None:
    before = carried_on(None, [run("a", 0, 2, ended=True), run("b", 20, 3998)])
    after = carried_on(None, [run("b", 20, 3998)])
    assert before is not None
    assert after is not None
    assert after.entries[0].number > before.entries[-1].number
    assert after.entries[0].discontinuity >= before.entries[-1].discontinuity


@pytest.mark.parametrize("hour", range(0, 50, 5))
def test_after_a_hand_over_a_restart_does_not_let_discontinuities_fall_within_two_days(hour: int) -> None:
    # T0 is where their numbers begin anew, which they do after 200,000 s.
    last, following = (run(name, at * 3600, 2, ended=True) for name, at in (("a", hour), ("b", hour + 2)))
    told = carried_on(carried_on(None, [last]), [last, following])
    restarted = carried_on(None, [following])
    assert told is not None
    assert restarted is not None
    assert restarted.entries[0].discontinuity >= told.entries[-1].discontinuity


def test_discontinuities_have_small_numbers_which_hls_js_can_count_up_to() -> None:
    window = carried_on(None, [run("a", 0, 2), run("b", 60, 2)])
    assert window is not None
    assert all(0 <= e.discontinuity < 10_100 for e in window.entries)


def test_a_segment_keeps_its_number_when_older_ones_go() -> None:
    before = carried_on(None, [run("a", 0, 4)])
    after = carried_on(before, [without(run("a", 0, 6), 0, 1)])
    assert before is not None
    assert after is not None
    assert after.entries[:2] == before.entries[2:]
    assert shown(after) == [("a", 2), ("a", 3), ("a", 4), ("a", 5)]


def test_a_lost_segment_is_a_break_and_does_not_come_back_in_the_middle() -> None:
    before = carried_on(None, [without(run("a", 0, 4), 1)])
    after = carried_on(before, [run("a", 0, 5)])
    assert breaks(before) == [("a", 2)]
    assert shown(after) == [("a", 0), ("a", 2), ("a", 3), ("a", 4)]


def test_a_pause_of_all_tracks_is_a_break_and_jitter_is_none() -> None:
    parts = [segment("a", 0, 0, 10), segment("a", 1, 10.09, 20), segment("a", 2, 20.2, 30)]
    assert breaks(carried_on(None, [PreviewRun(10, ended=False, segments=parts, began_ns=T0)])) == [("a", 2)]


def test_other_tracks_or_parameters_are_a_break() -> None:
    parts = [segment("a", 0, 0, 10, "aac"), segment("a", 1, 10, 20), segment("a", 2, 20, 30)]
    assert breaks(carried_on(None, [PreviewRun(10, ended=False, segments=parts, began_ns=T0)])) == [("a", 1)]


@pytest.mark.parametrize("hours", range(0, 24, 3))
def test_when_all_that_was_told_has_gone_the_breaks_count_on(hours: int) -> None:
    told = carried_on(None, [run("a", 0, 2)])
    after = carried_on(told, [run("b", 60 + hours * 3600, 2)])
    assert told is not None
    assert after is not None
    assert after.entries[0].discontinuity == told.entries[-1].discontinuity + 1
    assert after.entries[0].number > told.entries[-1].number


def test_a_run_that_goes_on_is_not_left_for_one_that_has_begun_beside_it() -> None:
    window = carried_on(None, [run("a", 0, 3), run("b", 22, 1)])
    assert shown(window) == [("a", 0), ("a", 1), ("a", 2)], "its next segment is still to come"


def test_a_handed_over_buffer_goes_on_in_the_next_run_where_the_first_one_ends() -> None:
    parts = [*run("a", 0, 3).segments, segment("a", 3, 30, 33.5)]
    first = PreviewRun(10, ended=True, segments=parts, began_ns=T0)
    window = carried_on(None, [first, run("b", 12, 4)])
    assert shown(window) == [("a", 0), ("a", 1), ("a", 2), ("a", 3), ("b", 2), ("b", 3)]
    assert breaks(window) == [("b", 2)]


def test_a_dead_run_that_never_said_so_is_left_after_two_segments_and_three_seconds() -> None:
    waiting = carried_on(None, [run("a", 0, 2), run("b", 22, 2)])
    assert shown(waiting) == [("a", 0), ("a", 1)]
    assert shown(carried_on(waiting, [run("a", 0, 2), run("b", 22, 3)])) == [
        ("a", 0),
        ("a", 1),
        ("b", 0),
        ("b", 1),
        ("b", 2),
    ]


def test_a_hole_in_one_run_is_filled_from_another() -> None:
    window = carried_on(None, [without(run("a", 0, 4, ended=True), 1), run("b", 8, 4, ended=True)])
    assert shown(window) == [("a", 0), ("b", 0), ("b", 1), ("b", 2), ("b", 3)]


def test_a_window_whose_middle_has_gone_keeps_what_comes_after() -> None:
    before = carried_on(None, [run("a", 0, 6)])
    after = carried_on(before, [without(run("a", 0, 7), 3)])
    assert shown(after) == [("a", 4), ("a", 5), ("a", 6)], "only the beginning may be taken away"


def test_longer_segments_begin_the_window_anew_with_the_numbers_of_before() -> None:
    before = carried_on(None, [run("a", 0, 12, seconds=4, ended=True)])
    after = carried_on(before, [without(run("a", 0, 12, seconds=4, ended=True), 0, 1, 2), run("b", 50, 2)])
    assert before is not None
    assert after is not None
    assert (before.target_seconds, after.target_seconds) == (4, 10)
    assert after.entries[0].number == before.entries[3].number


def test_a_part_of_it_shows_what_touches_the_range() -> None:
    window = carried_on(None, [run("a", 0, 6)])
    assert window is not None
    assert shown(window.part(T0 + 12 * SECOND, T0 + 30 * SECOND)) == [("a", 1), ("a", 2)]
    assert window.part(T0 + 60 * SECOND, T0 + 70 * SECOND) is None


@dataclass(frozen=True)
class History:
    """Segments with their arrival, and what is left of them at an instant."""

    arrivals: tuple[tuple[float, PreviewSegment], ...]
    endings: dict[str, float]
    seconds: int
    keep_seconds: float
    began_ns: dict[str, int]

    def runs(self, now: float) -> list[PreviewRun]:
        oldest_ns = T0 + int((now - self.keep_seconds) * SECOND)
        found: dict[str, list[PreviewSegment]] = {}
        for at, arrived in self.arrivals:
            if at <= now and arrived.end_ns > oldest_ns:
                found.setdefault(arrived.run, []).append(arrived)
        return [
            PreviewRun(self.seconds, self.endings.get(name, now + 1) <= now, segments, self.began_ns[name])
            for name, segments in found.items()
        ]

    @property
    def end(self) -> float:
        return max((at for at, _ in self.arrivals), default=0.0)


@st.composite
def histories(draw: st.DrawFn) -> History:
    """Runs one after the other: with holes between them or hand-overs, lost segments, dead workers."""
    seconds = draw(st.integers(2, 15))
    arrivals: list[tuple[float, PreviewSegment]] = []
    endings: dict[str, float] = {}
    began_ns: dict[str, int] = {}
    start = 0.0
    for number in range(draw(st.integers(1, 4))):
        name = f"run-{number}"
        count = draw(st.integers(3, 12))
        lost = draw(st.sets(st.integers(0, count - 1), max_size=2))
        began_ns[name] = T0 + int(start * SECOND)
        at = start
        for index in range(count):
            length = seconds if index < count - 1 else draw(st.floats(0.15, seconds))
            end = at + length
            if index not in lost:
                layout = draw(st.sampled_from(["h264+aac"] * 9 + ["aac"]))
                arrivals.append((end + seconds + 0.65, segment(name, index, at, end, layout)))
            at = end + draw(st.sampled_from([0.0] * 8 + [0.05, 3.0]))
        if draw(st.booleans()):
            endings[name] = at + 1.0
        # A hand-over overlaps by up to three segments; a crash leaves a hole.
        start = max(start + seconds, at + draw(st.floats(-3.0 * seconds, 60.0)))
    arrivals.sort(key=lambda found: found[0])
    return History(tuple(arrivals), endings, seconds, draw(st.sampled_from([30.0, 60.0, 600.0])), began_ns)


looks = st.lists(st.floats(0.5, 40.0), min_size=1, max_size=25)


def text_of(window: PreviewWindow) -> ReadPlaylist:
    return read_media_playlist(media_playlist(window))


@settings(max_examples=60, deadline=None)
@given(histories(), looks)
def test_a_playlist_follows_the_one_before_it_as_rfc_8216_wants(
    history: History, pauses: list[float]
) -> None:
    window: PreviewWindow | None = None
    before: ReadPlaylist | None = None
    now = 0.0
    for pause in [*pauses, history.end]:
        now += pause
        window = carried_on(window, history.runs(now))
        if window is None:
            before = None
            continue
        after = text_of(window)
        if before is not None:
            assert_may_follow(before, after)
        before = after


@settings(max_examples=60, deadline=None)
@given(histories())
def test_every_recorded_instant_is_shown_and_less_than_a_segment_is_shown_twice(
    history: History,
) -> None:
    everything = replace(history, keep_seconds=1e6)
    now = history.end + 1000
    runs = [replace(found, ended=True) for found in everything.runs(now)]
    window = carried_on(None, runs)
    assert window is not None
    entries = [entry.segment for entry in window.entries]
    for recorded in (found for each in runs for found in each.segments):
        left = recorded.start_ns
        for entry in sorted(entries, key=lambda found: found.start_ns):
            if entry.start_ns <= left + JOIN_TOLERANCE_NS:
                left = max(left, entry.end_ns)
        assert left >= recorded.end_ns - JOIN_TOLERANCE_NS
    for earlier, later in pairwise(entries):
        assert later.end_ns > earlier.end_ns
        assert earlier.end_ns - later.start_ns < later.end_ns - later.start_ns


@settings(max_examples=60, deadline=None)
@given(histories(), looks, st.integers(0, 24))
def test_a_restart_of_the_agent_never_takes_numbers_back(
    history: History, pauses: list[float], restarted_at: int
) -> None:
    window: PreviewWindow | None = None
    told: dict[tuple[str, int], int] = {}
    now = 100.0
    for look, pause in enumerate(pauses):
        now += pause
        window = carried_on(None if look == restarted_at else window, history.runs(now))
        entries = window.entries if window else ()
        if look == restarted_at:
            for entry in entries:
                assert entry.number >= told.get((entry.segment.run, entry.segment.index), 0)
        told = {(entry.segment.run, entry.segment.index): entry.number for entry in entries}
