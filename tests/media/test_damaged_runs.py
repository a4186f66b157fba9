"""What a buffer can hold instead of whole segments, and the clip that is made all the same."""

from __future__ import annotations

from itertools import pairwise
from pathlib import Path

import pytest

from replay_operator.api.capture_job import CaptureErrorReason
from replay_operator.api.replaycapture import Clock, HoleReason, Holes
from replay_operator.media.capture import make_clip
from replay_operator.media.failure import CaptureFailedError
from tests.media.clip_reader import beeps, decode_errors, packets, shown_frames
from tests.media.conftest import RequestMaker
from tests.media.segment_maker import RunShape, at, make_run, write_playlists

FPS = 30
SOUND_BEGINS, SOUND_GOES_ON = b"\x41\x01", b"\x01\x01"
"""Second and third byte of a TS packet with the PID 0x101."""


def in_sync(clip: Path, first_number: int) -> bool:
    """Say whether each picture and each beep lies where the timeline of the run puts it."""
    pictures = all(
        abs(s.seconds - (s.number - first_number) / FPS) < 0.005 for s in shown_frames(clip) if s.number
    )
    start = first_number / FPS
    heard = [b for b in beeps(clip) if b.seconds > 0.15 and b.second >= 0]
    sounds = all(abs(start + b.seconds - b.second) < 0.05 for b in heard)
    return pictures and sounds


def damage(run: Path, index: int, kind: str) -> None:
    path = run / f"seg_{index:05d}.ts"
    data = path.read_bytes()
    if kind == "missing":
        path.unlink()
        return
    middle = len(data) // 188 // 2 * 188
    path.write_bytes(
        {
            "empty": b"",
            "cut inside a packet": data[: middle + 100],
            "overwritten with zeros": data[:188] + bytes(len(data) - 188),
            "its tables lost": data[:188] + b"G\x1f\xff\x10" + bytes(184),
        }[kind]
    )


@pytest.mark.parametrize(
    "kind", ["missing", "empty", "cut inside a packet", "overwritten with zeros", "its tables lost"]
)
def test_a_lost_segment_stays_a_hole_on_the_timeline_and_is_reported(
    run_copy: Path, ask: RequestMaker, kind: str
) -> None:
    damage(run_copy, 2, kind)
    place, result = make_clip(ask(run_copy, 2.4, 9.8))
    assert result.clip is not None
    (hole,) = result.clip.holes
    assert hole.reason is HoleReason.SEGMENT_LOST
    assert abs((hole.start - at(4)).total_seconds()) < 0.05
    assert hole.milliseconds == pytest.approx(2000, abs=60)
    assert in_sync(place.clip, 72)
    assert {s.number for s in shown_frames(place.clip)}.isdisjoint(range(120, 180))
    assert result.clip.milliseconds == pytest.approx(7400, abs=150)


def test_a_hole_of_ten_seconds_parts_neither_picture_nor_sound(tmp_path: Path, ask: RequestMaker) -> None:
    # Below 10 s ffmpeg keeps a hole by itself; from there on it closes it, for one track or for both.
    run = make_run(
        tmp_path / "buffer" / "run-1", RunShape(seconds=30, segment_seconds=5, frames_per_second=FPS)
    )
    damage(run, 2, "missing")
    damage(run, 3, "missing")
    place, result = make_clip(ask(run, 7, 28))
    assert result.clip is not None
    assert [h.milliseconds for h in result.clip.holes] == [pytest.approx(10_000, abs=60)]
    assert in_sync(place.clip, 7 * FPS)
    assert beeps(place.clip)[-1].seconds > 19


def test_a_segment_cut_between_frames_keeps_what_it_has(run_copy: Path, ask: RequestMaker) -> None:
    path = run_copy / "seg_00002.ts"
    data = path.read_bytes()
    rows = [data[i : i + 188] for i in range(0, len(data), 188)]
    cut = next(i for i, row in enumerate(rows) if i > len(rows) // 2 and row[1:3] == SOUND_BEGINS)
    path.write_bytes(data[: cut * 188])
    place, result = make_clip(ask(run_copy, 2.4, 9.8))
    assert result.clip is not None
    assert 500 < sum(h.milliseconds for h in result.clip.holes) < 1500
    assert in_sync(place.clip, 72)
    assert decode_errors(place.clip) == ""


@pytest.mark.parametrize("packets_lost", [1, 2, 20])
def test_a_segment_cut_inside_a_packet_of_sound_is_lost_and_the_clip_is_made_all_the_same(
    run_copy: Path, ask: RequestMaker, packets_lost: int
) -> None:
    # ffmpeg gives up at half an AAC frame, and would at each attempt.
    path = run_copy / "seg_00002.ts"
    path.write_bytes(cut_inside_sound(path.read_bytes(), packets_lost))
    place, result = make_clip(ask(run_copy, 2.4, 9.8))
    assert result.clip is not None
    assert [h.reason for h in result.clip.holes] == [HoleReason.SEGMENT_LOST]
    assert in_sync(place.clip, 72)
    assert decode_errors(place.clip) == ""


def cut_inside_sound(segment: bytes, packets_lost: int) -> bytes:
    """Cut behind the last packet, or one so many before it, that begins some sound and does not end it."""
    rows = [segment[i : i + 188] for i in range(0, len(segment), 188)]
    unfinished = [
        number
        for number, (row, after) in enumerate(pairwise(rows))
        if row[1:3] == SOUND_BEGINS and after[1:3] == SOUND_GOES_ON
    ]
    return b"".join(rows[: unfinished[-packets_lost] + 1])


def test_the_newest_segment_that_no_playlist_names_yet_is_ignored(run_copy: Path, ask: RequestMaker) -> None:
    write_playlists(run_copy, RunShape(), 5)
    newest = run_copy / "seg_00005.ts"
    newest.write_bytes(newest.read_bytes()[: 188 * 40])
    place, result = make_clip(ask(run_copy, 6.5, 12))
    assert result.clip is not None
    assert [h.reason for h in result.clip.holes] == [HoleReason.NOT_RECORDED]
    assert abs((result.clip.end - at(10)).total_seconds()) < 0.05
    assert shown_frames(place.clip)[-1].number == 299


def test_playlists_that_are_just_being_rewritten_do_not_matter_while_one_can_be_read(
    run_copy: Path, ask: RequestMaker
) -> None:
    (run_copy / "index.m3u8").write_text("")
    _, result = make_clip(ask(run_copy, 0, 12))
    assert result.clip is not None
    assert result.clip.holes == ()
    assert result.clip.segments == 6


@pytest.mark.parametrize(
    ("broken", "clock", "tolerance_seconds"),
    [("run.json", Clock.PROGRAM_DATE_TIME, 1.0), ("none", Clock.STARTED_AT, 0.04)],
)
def test_the_clip_says_which_clock_placed_it(
    run_copy: Path, ask: RequestMaker, broken: str, clock: Clock, tolerance_seconds: float
) -> None:
    if broken != "none":
        (run_copy / broken).unlink()
    place, result = make_clip(ask(run_copy, 3, 8))
    assert result.clip is not None
    assert result.clip.clock is clock
    assert abs(shown_frames(place.clip)[0].number / FPS - 3) < tolerance_seconds


def test_a_hole_is_refused_when_asked_so_and_nothing_is_left(run_copy: Path, ask: RequestMaker) -> None:
    damage(run_copy, 2, "missing")
    request = ask(run_copy, 2.4, 9.8, holes=Holes.FAIL)
    with pytest.raises(CaptureFailedError) as caught:
        make_clip(request)
    assert caught.value.reason is CaptureErrorReason.HOLES_IN_RANGE
    assert [p for p in Path(request.archive_directory).rglob("*") if p.is_file()] == []


def test_of_several_runs_the_one_with_media_in_the_range_is_taken(run_copy: Path, ask: RequestMaker) -> None:
    later = make_run(run_copy.parent / "run-2", RunShape(seconds=4))
    shifted = (
        (later / "run.json").read_text().replace(str(int(at(0).timestamp())), str(int(at(60).timestamp())))
    )
    (later / "run.json").write_text(shifted)
    place, result = make_clip(ask(run_copy.parent, 55, 63.5))
    assert result.clip is not None
    assert [(h.start, h.milliseconds) for h in result.clip.holes] == [(at(55), pytest.approx(5000, abs=60))]
    assert shown_frames(place.clip)[0].number == 0


def test_a_buffer_that_is_not_there_is_unreadable(tmp_path: Path, ask: RequestMaker) -> None:
    with pytest.raises(CaptureFailedError) as caught:
        make_clip(ask(tmp_path / "nothing", 1, 3))
    assert caught.value.reason is CaptureErrorReason.BUFFER_UNREADABLE


def test_a_run_without_sound_makes_a_silent_clip(run_copy: Path, ask: RequestMaker) -> None:
    for path in run_copy.glob("*.ts"):
        without_pid(path, 0x101)
    place, result = make_clip(ask(run_copy, 3, 8))
    assert result.clip is not None
    assert [(g.track.value, g.milliseconds) for g in result.clip.gaps] == [("audio", 5000)]
    assert packets(place.clip, "audio").pts == []
    assert shown_frames(place.clip)[0].number == 90


def test_sound_that_is_missing_in_a_middle_segment_is_a_gap_and_stays_in_sync(
    run_copy: Path, ask: RequestMaker
) -> None:
    without_pid(run_copy / "seg_00002.ts", 0x101)
    place, result = make_clip(ask(run_copy, 2.4, 9.8))
    assert result.clip is not None
    assert [g.milliseconds for g in result.clip.gaps] == [pytest.approx(2000, abs=60)]
    assert result.clip.holes == ()
    assert in_sync(place.clip, 72)


def without_pid(path: Path, pid: int) -> None:
    """Take all packets of a PID out of a segment."""
    data = path.read_bytes()
    rows = [data[i : i + 188] for i in range(0, len(data), 188)]
    path.write_bytes(b"".join(r for r in rows if (r[1] & 0x1F) << 8 | r[2] != pid))
