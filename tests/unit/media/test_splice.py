"""Which packets of which run a clip is made of, for any set of runs."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from replay_operator.api.capture_job import CaptureErrorReason
from replay_operator.api.replaycapture import Clock, HoleReason, Holes, Track, Trim, WhenShort
from replay_operator.media.cut import Cut, Share, splice_runs
from replay_operator.media.failure import CaptureFailedError
from replay_operator.media.plan import Plan, Wanted, make_plan
from replay_operator.media.selection import Selection, select_segments
from replay_operator.media.timeline import Interval, common, merged, pauses, without
from replay_operator.media.ts_probe import SegmentScan
from tests.unit.media.scans import AUDIO_FRAME, VIDEO_FRAME, audio, place, run, scan, video, wanted

LENGTH = 2
FRAME_TICKS = {Track.VIDEO: VIDEO_FRAME, Track.AUDIO: AUDIO_FRAME}
SPLICE_TICKS = {Track.VIDEO: 4 * VIDEO_FRAME, Track.AUDIO: 2 * AUDIO_FRAME}
"""What one change of runs may leave out: 3 frames or one of sound, and half a frame on either side."""


@dataclass(frozen=True)
class RunCase:
    """A run of two-second segments. `lost` are indexes that cannot be read."""

    starts_at: float
    segments: int
    tracks: frozenset[Track] = frozenset(Track)
    lost: frozenset[int] = frozenset()
    parameters: str = "sps"
    clock: Clock = Clock.STARTED_AT


def selections_of(cases: Sequence[RunCase], start: float, end: float) -> list[Selection]:
    """Select from all runs, on the timeline of one that begins at 0."""
    reference = run({0: None})
    found: list[Selection] = []
    for case in cases:
        scans = {i: None if i in case.lost else segment(case, i) for i in range(case.segments)}
        one = run(scans, starts_at_seconds=case.starts_at, segment_seconds=LENGTH, clock=case.clock)
        chosen = select_segments(
            one,
            Interval(place(start - case.starts_at), place(end - case.starts_at)),
            lambda _, file, scans=scans: scans[file.index],  # type: ignore[misc] # bound now, not at the call
        )
        if chosen.segments:
            found.append(chosen.on_timeline_of(reference))
    return sorted(found, key=lambda s: s.shift)


def segment(case: RunCase, index: int) -> SegmentScan:
    start = index * LENGTH
    tracks = [
        video(start, start + LENGTH, parameters=case.parameters, reordered=True),
        audio(start + 0.01, start + LENGTH + 0.01),
    ]
    return scan(*(t for t in tracks if t.track in case.tracks))


def plan(cases: Sequence[RunCase], asked: Wanted) -> Plan:
    start, end = ((t - place(0)) / 90_000 for t in (asked.range.start, asked.range.end))
    return make_plan(selections_of(cases, start, end), asked)


def runs_used(plan_or_cut: Plan | Cut, track: Track) -> list[float]:
    """The starts of the runs that a track is taken from, in order."""
    starts = [s.selection.shift / 90_000 for s in plan_or_cut.shares if s.track is track]
    return [s for i, s in enumerate(starts) if i == 0 or starts[i - 1] != s]


def times(share: Share) -> list[int]:
    scanned = next(t for t in share.segment.scan.tracks if t.track is share.track)
    return list(scanned.pts[share.first : share.last])


def covered(pts: Sequence[int], frame: int) -> list[Interval]:
    return without([Interval(min(pts), max(pts) + frame)], pauses(pts, frame)) if pts else []


def has_a_whole_frame(selections: Sequence[Selection], asked: Interval) -> bool:
    tracks = [t for s in selections for g in s.segments for t in g.scan.tracks]
    return any(asked.start <= p and p + FRAME_TICKS[t.track] <= asked.end for t in tracks for p in t.pts)


def length(intervals: Sequence[Interval]) -> int:
    return sum(i.ticks for i in intervals)


RUNS = st.lists(
    st.builds(
        RunCase,
        starts_at=st.floats(0, 16).map(lambda s: round(s, 4)),
        segments=st.integers(1, 6),
        tracks=st.sampled_from([frozenset(Track), {Track.VIDEO}, {Track.AUDIO}]).map(frozenset),
        lost=st.sets(st.integers(0, 5), max_size=2).map(frozenset),
    ),
    min_size=1,
    max_size=5,
    unique_by=lambda case: case.starts_at,
)


@settings(max_examples=200, deadline=None)
@given(cases=RUNS, start=st.floats(0, 20), seconds=st.floats(0.2, 12), trim=st.sampled_from(list(Trim)))
def test_any_runs_give_each_track_each_recorded_instant_once_and_in_order(
    cases: list[RunCase], start: float, seconds: float, trim: Trim
) -> None:
    asked = Interval(place(start), place(start + seconds))
    selections = selections_of(cases, start, start + seconds)
    cut = splice_runs(selections, asked, trim) if selections else None
    if cut is None:
        assert not has_a_whole_frame(selections, asked)
        return
    for kept in cut.tracks:
        frame = FRAME_TICKS[kept.track]
        shares = [s for s in cut.shares if s.track is kept.track]
        assert [p for s in shares for p in times(s)] == list(kept.pts)
        for before, after in pairwise(shares):
            apart = min(times(after)) - max(times(before))
            # Inside a run it is the maker of these segments that cuts the last frame of sound short.
            assert apart > 0 if before.selection is after.selection else apart >= frame // 2
        recorded = merged(
            stretch
            for s in selections
            for stretch in covered(
                [p for g in s.segments for t in g.scan.tracks if t.track is kept.track for p in t.pts], frame
            )
        )
        left_out = length(without(common(recorded, [asked]), covered(kept.pts, frame)))
        changes = len(shares) and sum(a.selection is not b.selection for a, b in pairwise(shares))
        assert left_out <= (changes + 1) * SPLICE_TICKS[kept.track]


@settings(max_examples=200, deadline=None)
@given(cases=RUNS, start=st.floats(0, 20), seconds=st.floats(0.5, 12))
def test_a_clip_with_closed_holes_is_as_long_as_the_range_less_its_holes(
    cases: list[RunCase], start: float, seconds: float
) -> None:
    asked = wanted(start, start + seconds, holes=Holes.CLOSE, reaches_back=True)
    selections = selections_of(cases, start, start + seconds)
    if not has_a_whole_frame(selections, asked.range):
        return
    made = make_plan(selections, asked)
    holes = sum(h.milliseconds for h in made.holes)
    # Pauses of up to 100 ms are no holes; the end may overhang by three frames, a held first picture more.
    early = max(asked.range.start - made.start, 0) / 90
    changes = len(made.shares) and sum(a.selection is not b.selection for a, b in pairwise(made.shares))
    assert made.milliseconds - early == pytest.approx(seconds * 1000 - holes, abs=250 + 100 * changes)
    assert all(a.end <= b.start for a, b in pairwise(made.closed))


def test_the_later_run_wins_from_its_second_segment() -> None:
    made = plan([RunCase(0, 6), RunCase(5.1, 5)], wanted(1, 13))
    for track in Track:
        assert runs_used(made, track) == [0, 5.1]
    change = next(s for s in made.shares if s.selection.shift)
    assert (change.segment.file.index, change.first) == (1, 0)


def test_the_settling_segment_of_a_later_run_is_used_where_no_other_has_media() -> None:
    made = plan([RunCase(0, 3), RunCase(5.1, 5)], wanted(1, 13))
    assert runs_used(made, Track.VIDEO) == [0, 5.1]
    assert next(s for s in made.shares if s.selection.shift).segment.file.index == 0
    assert made.holes == ()


def test_sound_changes_runs_only_when_it_has_to() -> None:
    # The picture can only change at the key frame 5.1 s, the sound when the first run ends, at 6 s.
    made = plan([RunCase(0, 3), RunCase(5.1, 5)], wanted(1, 13))
    sound = next(s for s in made.shares if s.selection.shift and s.track is Track.AUDIO)
    assert sound.start == pytest.approx(place(6), abs=2 * AUDIO_FRAME)


def test_a_run_that_failed_is_left_again() -> None:
    made = plan([RunCase(0, 8), RunCase(3.1, 2)], wanted(1, 15))
    assert runs_used(made, Track.VIDEO) == [0, 3.1, 0]
    assert made.holes == ()


def test_a_few_frames_are_no_reason_to_change_runs() -> None:
    made = plan([RunCase(0, 6), RunCase(5.1, 5)], wanted(1, 7.15))
    assert made.runs == 1


def test_a_range_inside_one_run_is_joined_without_touching_a_packet() -> None:
    made = plan([RunCase(0, 6), RunCase(15, 5)], wanted(1, 7))
    assert (made.runs, made.shares) == (1, ())


def test_the_worst_clock_of_the_runs_that_are_used_is_told() -> None:
    cases = [
        RunCase(0, 3),
        RunCase(5.1, 3, clock=Clock.MANIFEST),
        RunCase(8.5, 5, clock=Clock.ARRIVAL),
    ]
    assert plan(cases, wanted(1, 13)).clock is Clock.MANIFEST
    assert plan(cases, wanted(1, 4)).clock is Clock.STARTED_AT


def test_the_longest_part_of_one_format_that_holds_the_end_is_taken() -> None:
    cases = [RunCase(0, 3), RunCase(6, 3, parameters="other"), RunCase(12, 3), RunCase(17.5, 3)]
    made = plan(cases, wanted(1, 20))
    assert made.runs == 2
    assert made.start == place(12)
    assert [(h.reason, h.milliseconds) for h in made.holes] == [
        (HoleReason.FORMAT_CHANGED, pytest.approx(11_000, abs=60))
    ]


def test_a_run_of_another_format_that_failed_is_passed_over() -> None:
    made = plan([RunCase(0, 8), RunCase(3.1, 2, parameters="other")], wanted(1, 15))
    assert (made.runs, made.holes) == (1, ())


def test_of_two_formats_that_both_hold_the_end_the_longer_is_taken() -> None:
    made = plan([RunCase(0, 8), RunCase(11, 3, parameters="other")], wanted(1, 15))
    assert (made.runs, made.start, made.holes) == (1, place(1), ())


@pytest.mark.parametrize("frame", range(6))
def test_the_end_leaves_out_no_frame_that_is_shown_before_the_last_one(frame: int) -> None:
    made = plan([RunCase(0, 6), RunCase(5.1, 5)], wanted(1, 12 + frame / 30))
    shown = sorted(p for s in made.shares if s.track is Track.VIDEO and s.selection.shift for p in times(s))
    assert {b - a for a, b in pairwise(shown)} == {VIDEO_FRAME}


def test_time_between_a_change_of_format_and_the_next_run_was_not_recorded() -> None:
    made = plan([RunCase(0, 2, parameters="other"), RunCase(8, 3)], wanted(1, 13, reaches_back=True))
    assert [(h.reason, round(h.milliseconds, -2)) for h in made.holes] == [
        (HoleReason.FORMAT_CHANGED, 3000),
        (HoleReason.NOT_RECORDED, 4000),
    ]


def test_a_lost_segment_is_told_apart_from_time_between_runs() -> None:
    made = plan([RunCase(0, 4, lost=frozenset({1})), RunCase(12, 3)], wanted(0.5, 16))
    assert [(h.reason, round(h.milliseconds, -2)) for h in made.holes] == [
        (HoleReason.SEGMENT_LOST, 2000),
        (HoleReason.NOT_RECORDED, 4000),
    ]


def test_a_buffer_of_several_runs_can_be_too_short_too() -> None:
    asked = wanted(-5, 13, when_short=WhenShort.FAIL)
    with pytest.raises(CaptureFailedError) as caught:
        plan([RunCase(0, 4), RunCase(7.1, 3)], asked)
    assert caught.value.reason is CaptureErrorReason.BUFFER_TOO_SHORT
