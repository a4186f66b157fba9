from __future__ import annotations

import zlib
from base64 import b64decode, b64encode
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from replay_operator.api.replaycapture import Track
from replay_operator.media.segment_file import FileStamp, read_segment
from replay_operator.media.segment_index import IndexRecord, index_record, read_index
from replay_operator.media.timeline import MEDIA_EPOCH_TICKS, ticks
from replay_operator.media.ts_grid import NotMpegTsError
from replay_operator.media.ts_pes import WRAP_TICKS
from replay_operator.media.ts_probe import SegmentScan, TrackScan, scan_segment
from tests.unit.media.recorded import KILLED, MUTED_VIDEO
from tests.unit.media.scans import STAMP, audio, scan, segment, video

RECORDED = sorted([*MUTED_VIDEO.glob("*.ts"), *KILLED.glob("*.ts")])


def record(index: int, found: SegmentScan, stamp: FileStamp = STAMP) -> IndexRecord:
    made = index_record(index, replace(stamp, size_bytes=found.size_bytes), found)
    assert made is not None
    return made


def line(index: int, *, size_bytes: int = 188_000) -> bytes:
    return record(index, replace(segment(index), size_bytes=size_bytes)).line()


def packets(count: int) -> st.SearchStrategy[tuple[list[int], list[int]]]:
    times = st.lists(st.integers(0, 1 << 33), min_size=count, max_size=count)
    return st.tuples(
        times.map(sorted), st.lists(st.integers(-180_000, 180_000), min_size=count, max_size=count)
    )


@st.composite
def any_track(draw: st.DrawFn, track: Track) -> TrackScan:
    count = draw(st.integers(1, 30))
    dts, offsets = draw(packets(count))
    spread = [dts[0] + (d - dts[0]) % (1 << 20) for d in dts]
    pts = ticks(d + o for d, o in zip(spread, offsets, strict=True))
    places = st.lists(st.integers(0, count - 1), unique=True).map(lambda p: tuple(sorted(p)))
    return TrackScan(
        track=track,
        pid=draw(st.integers(0, 0x1FFF)),
        pts=pts,
        dts=ticks(spread) if track is Track.VIDEO else pts,
        key_frames=draw(places) if track is Track.VIDEO else (),
        parameters=draw(st.text("0123456789abcdef/", max_size=16)),
        frame_ticks=draw(st.integers(0, 90_000)),
        first_byte=draw(st.integers(0, 1 << 30)),
        units=draw(places) if track is Track.AUDIO else (),
    )


@given(
    tracks=st.one_of(
        st.tuples(any_track(Track.VIDEO), any_track(Track.AUDIO)),
        st.tuples(any_track(Track.VIDEO)),
        st.tuples(any_track(Track.AUDIO)),
    ),
    stamp=st.builds(
        FileStamp, st.integers(0, 1 << 40), st.integers(-(1 << 62), 1 << 62), st.integers(0, 1 << 64)
    ),
    index=st.integers(0, 1 << 30),
)
def test_what_is_written_is_read_again_to_the_last_tick(
    tracks: Sequence[TrackScan], stamp: FileStamp, index: int
) -> None:
    found = SegmentScan(stamp.size_bytes, tuple(tracks))
    made = index_record(index, stamp, found)
    assert made is not None
    assert read_index(made.line()) == {index: made}
    assert made.scan(found.start) == found


@pytest.mark.parametrize("path", RECORDED, ids=lambda p: f"{p.parent.name}-{p.stem}")
def test_a_recorded_segment_is_the_same_from_the_index_and_from_its_file(path: Path) -> None:
    read = read_segment(path)
    scanned = scan_segment(read.data)
    assert read.stamp is not None
    made = record(7, scanned, read.stamp)
    assert made.scan(MEDIA_EPOCH_TICKS) == scanned
    assert len(made.line()) < 500


def test_times_that_wrapped_are_placed_near_where_the_reader_expects_them() -> None:
    scanned = scan_segment(RECORDED[0].read_bytes())
    later = MEDIA_EPOCH_TICKS + WRAP_TICKS
    assert record(0, scanned).scan(later) == scan_segment(RECORDED[0].read_bytes(), near_ticks=later)
    assert record(0, scanned.moved(WRAP_TICKS)).scan(MEDIA_EPOCH_TICKS) == scanned


def test_a_later_line_for_the_same_segment_wins() -> None:
    found = read_index(line(3, size_bytes=188) + line(4) + line(3, size_bytes=376))
    assert {i: r.stamp.size_bytes for i, r in found.items()} == {3: 376, 4: 188_000}


def test_a_line_that_a_crash_tore_is_passed_over_and_what_follows_is_read() -> None:
    whole = line(1) + line(2)
    for end in range(len(line(1)), len(whole) - 1):
        assert set(read_index(whole[:end] + b"\n" + line(3))) == {1, 3}


def test_a_changed_byte_anywhere_costs_that_line_only() -> None:
    first, second = line(1), line(2)
    for at in range(len(first) - 1):
        damaged = first[:at] + bytes([first[at] ^ 1]) + first[at + 1 :]
        found = read_index(damaged + second)
        assert found[2] == read_index(second)[2]
        assert found.get(1) in (None, read_index(first)[1])


def test_four_thousand_segments_are_carried() -> None:
    found = read_index(b"".join(line(i) for i in range(4000)))
    assert sorted(found) == list(range(4000))


def test_a_scan_that_is_too_large_to_keep_is_not_written() -> None:
    noise = ticks((i * 2_654_435_761) % (1 << 30) for i in range(40_000))
    wild = TrackScan(Track.VIDEO, 65, noise, ticks(sorted(noise)), (0,), "sps", 3000, 376)
    assert index_record(0, STAMP, scan(wild)) is None
    far = replace(wild, pts=ticks([0, 1 << 40]), dts=ticks([0, 1 << 40]))
    assert index_record(0, STAMP, scan(far)) is None


def with_packed(packed: bytes) -> IndexRecord:
    return replace(record(5, segment(5)), packed=packed)


def survives(content: bytes) -> None:
    for found in read_index(content).values():
        unpacked = found.scan(MEDIA_EPOCH_TICKS)
        assert unpacked is None or all(len(t.pts) == len(t.dts) > 0 for t in unpacked.tracks)


@settings(max_examples=300, deadline=None)
@given(st.binary(max_size=2000))
def test_an_index_of_random_bytes_is_survived(content: bytes) -> None:
    survives(content)
    survives(b"1 " + content)
    checked = content.replace(b"\n", b"")
    survives(b"1 %08x %s\n" % (zlib.crc32(checked), checked))


@settings(max_examples=300, deadline=None)
@given(
    head=st.binary(max_size=60),
    at=st.integers(0, 400),
    new=st.binary(max_size=40),
    numbers=st.lists(st.integers(-(1 << 80), 1 << 80), min_size=6, max_size=6),
)
def test_a_line_that_was_made_with_care_to_do_harm_is_survived(
    head: bytes, at: int, new: bytes, numbers: list[int]
) -> None:
    honest = zlib.decompress(b64decode(record(5, segment(5)).packed))
    for unpacked in (head + honest, honest[:at] + new + honest[at + len(new) :], honest[:at]):
        packed = b64encode(zlib.compress(unpacked))
        survives(with_packed(packed).line())
        content = b" ".join([*(b"%d" % n for n in numbers), packed])
        survives(b"1 %08x %s\n" % (zlib.crc32(content), content))


@pytest.mark.parametrize(
    "packed",
    [
        b"",
        b"no base64!",
        b64encode(b"not deflated"),
        b64encode(zlib.compress(b"")),
        b64encode(zlib.compress(bytes(1 << 30 >> 4), 9)),
        b64encode(zlib.compress(zlib.decompress(b64decode(record(5, segment(5)).packed)))[:-9]),
    ],
    ids=["empty", "no base64", "not deflated", "no tracks", "sixty-four megabytes of zeros", "cut short"],
)
def test_packets_that_make_no_sense_are_as_good_as_no_line(packed: bytes) -> None:
    assert with_packed(packed).scan(MEDIA_EPOCH_TICKS) is None


def test_a_line_whose_span_is_not_that_of_its_packets_is_not_believed() -> None:
    assert replace(record(5, segment(5)), start=MEDIA_EPOCH_TICKS).scan(MEDIA_EPOCH_TICKS) is None


def test_numbers_with_more_digits_than_python_reads_are_survived() -> None:
    content = b"1 2 3 4 5 " + b"9" * 5000 + b" AA=="
    assert read_index(b"1 %08x %s\n" % (zlib.crc32(content), content)) == {}


def test_millions_of_lines_are_not_all_read() -> None:
    content = line(1) + b"\n" * (1 << 21) + line(2)
    assert set(read_index(content)) == {2}


def test_a_file_that_is_no_segment_is_refused_before_it_is_read(tmp_path: Path) -> None:
    huge = tmp_path / "seg_00000.ts"
    with huge.open("wb") as file:
        file.truncate(1 << 40)
    with pytest.raises(NotMpegTsError):
        read_segment(huge)
    link = tmp_path / "seg_00001.ts"
    link.symlink_to(RECORDED[0])
    with pytest.raises(OSError, match="symbolic"):
        read_segment(link)


def test_tracks_in_another_order_are_refused() -> None:
    swapped = SegmentScan(188, (audio(0, 6), video(0, 6)))
    assert record(0, swapped).scan(MEDIA_EPOCH_TICKS) is None
