from __future__ import annotations

import dataclasses

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from replay_operator.api.capture_job import CaptureErrorReason
from replay_operator.api.replaycapture import HoleReason, Holes, Track, Trim, WhenShort
from replay_operator.media.failure import CaptureFailedError
from replay_operator.media.plan import Plan, Wanted, make_plan
from replay_operator.media.ts_probe import SegmentScan
from tests.unit.media.scans import (
    AUDIO_FRAME,
    VIDEO_FRAME,
    at,
    audio,
    place,
    scan,
    segment,
    select,
    video,
    wanted,
)

TEN: dict[int, SegmentScan | None] = {i: segment(i) for i in range(10)}


def plan(scans: dict[int, SegmentScan | None], asked: Wanted, *, run_file: bool = True) -> Plan:
    return make_plan([select(scans, asked.range, run_file=run_file)], asked)


def refusal(scans: dict[int, SegmentScan | None], asked: Wanted) -> CaptureFailedError:
    with pytest.raises(CaptureFailedError) as caught:
        plan(scans, asked)
    return caught.value


def test_an_exact_clip_begins_with_the_first_frame_at_or_after_the_asked_instant() -> None:
    made = plan(TEN, wanted(13.01, 25))
    assert made.start == place(13) + VIDEO_FRAME
    assert made.origin == place(12)
    assert made.first_instant == at(13 + 1 / 30).replace(microsecond=33333)


def test_an_exact_clip_that_begins_on_a_frame_begins_with_that_frame() -> None:
    assert plan(TEN, wanted(13, 25)).start == place(13)


@settings(max_examples=60, deadline=None)
@given(start=st.floats(0.1, 40), length=st.floats(0.1, 15))
def test_an_exact_clip_holds_the_whole_range_and_little_more(start: float, length: float) -> None:
    asked = wanted(start, start + length)
    made = plan(TEN, asked)
    assert asked.range.start <= made.start < asked.range.start + VIDEO_FRAME
    for track in made.tracks:
        assert track.end >= asked.range.end - AUDIO_FRAME
        assert track.end <= asked.range.end + 4 * VIDEO_FRAME
    assert (made.holes, made.gaps) == ((), ())


def test_whole_segments_overhang_both_ends() -> None:
    made = plan(TEN, wanted(13, 25, trim=Trim.SEGMENT))
    assert (made.start, made.dts_limit) == (place(12), None)
    assert [(t.track, t.packets) for t in made.tracks] == [
        (Track.VIDEO, 3 * 180),
        (Track.AUDIO, sum(len(segment(i).tracks[1].pts) for i in (2, 3, 4))),
    ]
    assert made.milliseconds == pytest.approx(18_000, abs=24)


def test_a_start_before_the_oldest_media_is_clamped_and_is_no_hole() -> None:
    made = plan(TEN, wanted(-30, 10))
    assert (made.start, made.holes) == (place(0), ())


def test_a_start_before_the_oldest_media_is_refused_when_asked_so() -> None:
    error = refusal(TEN, wanted(-30, 10, when_short=WhenShort.FAIL))
    assert error.reason is CaptureErrorReason.BUFFER_TOO_SHORT
    assert at(0).isoformat() in error.message


def test_a_missing_start_is_a_hole_when_an_older_run_reaches_back() -> None:
    made = plan(TEN, wanted(-5, 10, when_short=WhenShort.FAIL, reaches_back=True))
    assert [(h.start, h.milliseconds, h.reason) for h in made.holes] == [
        (at(-5), 5000, HoleReason.NOT_RECORDED)
    ]


def test_what_is_missing_at_the_new_end_is_a_hole_and_the_clip_ends_earlier() -> None:
    made = plan(TEN, wanted(50, 70))
    (hole,) = made.holes
    assert hole.reason is HoleReason.NOT_RECORDED
    assert hole.milliseconds == pytest.approx(10_000, abs=50)
    assert made.last_instant < at(60.1)


def test_a_range_without_any_media_is_refused() -> None:
    assert refusal(TEN, wanted(80, 90)).reason is CaptureErrorReason.NO_MEDIA


def test_a_lost_segment_is_a_hole_with_its_time_and_reason() -> None:
    made = plan({i: s for i, s in TEN.items() if i != 3}, wanted(13, 29))
    (hole,) = made.holes
    assert hole.reason is HoleReason.SEGMENT_LOST
    assert abs((hole.start - at(18)).total_seconds()) < 0.05
    assert hole.milliseconds == pytest.approx(6000, abs=50)
    assert made.gaps == ()
    assert made.packets_in_doubt == 2


def test_the_newest_segment_lost_is_a_hole_at_the_end() -> None:
    made = plan({**TEN, 9: None}, wanted(40, 59))
    assert [h.reason for h in made.holes] == [HoleReason.SEGMENT_LOST]


def test_a_hole_is_refused_when_asked_so() -> None:
    error = refusal({**TEN, 3: None}, wanted(13, 29, holes=Holes.FAIL))
    assert error.reason is CaptureErrorReason.HOLES_IN_RANGE


def test_closing_takes_an_inner_hole_out_of_the_timeline_but_not_out_of_the_report() -> None:
    kept = plan({**TEN, 3: None}, wanted(13, 29))
    closed = plan({**TEN, 3: None}, wanted(13, 29, holes=Holes.CLOSE))
    assert closed.milliseconds == pytest.approx(kept.milliseconds - 6000, abs=150)
    assert (closed.first_instant, closed.holes) == (kept.first_instant, kept.holes)
    assert abs((closed.last_instant - kept.last_instant).total_seconds()) < 0.1
    assert [(i.ticks, i.start > closed.start) for i in closed.closed] == [
        (pytest.approx(6 * 90_000, abs=AUDIO_FRAME), True)
    ]


def test_closing_changes_nothing_where_only_the_ends_are_missing() -> None:
    made = plan(TEN, wanted(13, 70, holes=Holes.CLOSE))
    assert made.holes
    assert (made.closed, made.shares) == ((), ())


def test_a_pause_of_one_track_is_a_gap_of_that_track_and_no_hole() -> None:
    scans = {**TEN, 3: scan(video(18, 20), audio(18.01, 24.01))}
    made = plan(scans, wanted(13, 29))
    (gap,) = made.gaps
    assert (gap.track, made.holes) == (Track.VIDEO, ())
    assert abs((gap.start - at(20)).total_seconds()) < 0.05
    assert gap.milliseconds == pytest.approx(4000, abs=50)


def test_a_range_that_begins_in_a_pause_of_the_picture_begins_with_the_held_frame() -> None:
    scans = {**TEN, 3: scan(video(18, 20), audio(18.01, 24.01))}
    made = plan(scans, wanted(21, 29))
    assert made.start == place(20) - VIDEO_FRAME


def test_a_track_without_a_frame_in_the_range_is_left_out_and_is_one_gap() -> None:
    scans: dict[int, SegmentScan | None] = {0: segment(0), 1: scan(video(6, 8), audio(6, 80))}
    made = plan(scans, wanted(60, 70))
    assert [t.track for t in made.tracks] == [Track.AUDIO]
    assert [(g.track, g.milliseconds) for g in made.gaps] == [(Track.VIDEO, 10_000)]


def test_without_a_run_file_nobody_expects_the_track_that_is_not_there() -> None:
    scans: dict[int, SegmentScan | None] = {i: scan(audio(6 * i, 6 * i + 6)) for i in range(5)}
    assert plan(scans, wanted(3, 20), run_file=False).gaps == ()
    assert [g.track for g in plan(scans, wanted(3, 20)).gaps] == [Track.VIDEO]


def test_a_track_that_starts_late_widens_the_probing_and_a_healthy_run_does_not() -> None:
    late: dict[int, SegmentScan | None] = {
        0: scan(video(7.4, 13.4), audio(0, 13.4)),
        1: scan(video(13.4, 19), audio(13.4, 19)),
    }
    probing = plan(late, wanted(0, 18)).probing
    assert probing is not None
    assert probing.microseconds > 7_400_000
    assert plan(TEN, wanted(0, 18)).probing is None


@pytest.mark.parametrize(
    "changed",
    [
        scan(video(24, 30, parameters="other"), audio(24, 30)),
        scan(video(24, 30), audio(24, 30, parameters="48000/1")),
        scan(video(24, 30, pid=70), audio(24, 30)),
        scan(video(2, 8), audio(24, 30)),
    ],
    ids=["other SPS", "other sound", "other PID", "time goes back"],
)
def test_a_run_whose_format_changes_inside_the_range_is_refused(changed: SegmentScan) -> None:
    # The segment before it keeps the walk of the selection away from the odd one.
    scans = {**TEN, 4: changed}
    chosen = select(TEN, wanted(13, 29).range)
    segments = tuple(dataclasses.replace(s, scan=scans[s.file.index] or s.scan) for s in chosen.segments)
    with pytest.raises(CaptureFailedError) as caught:
        make_plan([dataclasses.replace(chosen, segments=segments)], wanted(13, 29))
    assert caught.value.reason is CaptureErrorReason.UNSUPPORTED_LAYOUT


def test_the_room_for_the_index_grows_with_the_packets() -> None:
    made = plan(TEN, wanted(0, 60, trim=Trim.SEGMENT))
    packets = {t.track: t.packets for t in made.tracks}
    assert made.moov_bytes == 8192 + 40 * packets[Track.VIDEO] + 32 * packets[Track.AUDIO]
