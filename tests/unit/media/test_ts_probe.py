from __future__ import annotations

import json
import subprocess
from itertools import pairwise
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from replay_operator.api.replaycapture import Track
from replay_operator.media.timeline import MEDIA_EPOCH_TICKS, pauses
from replay_operator.media.ts_grid import NotMpegTsError
from replay_operator.media.ts_probe import TrackScan, scan_segment
from tests.unit.media.recorded import KILLED, MUTED_VIDEO

RECORDED = sorted([*MUTED_VIDEO.glob("*.ts"), *KILLED.glob("*.ts")])
SAMPLE = (KILLED / "seg_00007.ts").read_bytes()
WRAP = 1 << 33


def tracks(data: bytes, **options: int) -> dict[Track, TrackScan]:
    return {t.track: t for t in scan_segment(data, **options).tracks}


@pytest.mark.parametrize("path", RECORDED, ids=lambda p: f"{p.parent.name}-{p.stem}")
def test_every_packet_is_found_with_the_times_that_ffprobe_finds(path: Path) -> None:
    command = ["ffprobe", "-v", "error", "-show_entries", "packet=codec_type,pts,dts,flags", "-of", "json"]
    probed = json.loads(subprocess.run([*command, str(path)], capture_output=True, check=True).stdout)[
        "packets"
    ]
    video = [p for p in probed if p["codec_type"] == "video"]
    audio = [p for p in probed if p["codec_type"] == "audio"]
    scanned = tracks(path.read_bytes())
    assert list(scanned[Track.VIDEO].pts) == [p["pts"] for p in video]
    assert list(scanned[Track.VIDEO].dts) == [p["dts"] for p in video]
    assert list(scanned[Track.VIDEO].key_frames) == [i for i, p in enumerate(video) if "K" in p["flags"]]
    assert list(scanned[Track.AUDIO].pts) == [p["pts"] for p in audio]


def test_a_segment_tells_its_format() -> None:
    scanned = tracks(SAMPLE)
    assert scanned[Track.AUDIO].parameters == "44100/2"
    assert scanned[Track.VIDEO].frame_ticks == 3000
    assert (
        scanned[Track.VIDEO].parameters
        == tracks((KILLED / "seg_00006.ts").read_bytes())[Track.VIDEO].parameters
    )


def test_the_pause_of_a_muted_picture_is_found() -> None:
    video = tracks((MUTED_VIDEO / "seg_00006.ts").read_bytes())[Track.VIDEO]
    after = tracks((MUTED_VIDEO / "seg_00007.ts").read_bytes())[Track.VIDEO]
    (pause,) = pauses([*video.pts, *after.pts], video.frame_ticks)
    assert 2.0 < pause.ticks / 90000 < 2.1


def test_timestamps_that_wrapped_are_unrolled_near_the_expected_place() -> None:
    plain = tracks(SAMPLE)[Track.VIDEO]
    later = tracks(SAMPLE, near_ticks=MEDIA_EPOCH_TICKS + WRAP)[Track.VIDEO]
    assert [p - WRAP for p in later.pts] == list(plain.pts)


@pytest.mark.parametrize(
    "data",
    [b"", b"G", b"\x00" * 188, SAMPLE[:-1], SAMPLE[1:] + b"G", b"G" * 1880],
    ids=["empty", "one byte", "zeros", "cut inside a packet", "shifted", "only sync bytes"],
)
def test_what_is_no_whole_segment_is_refused(data: bytes) -> None:
    with pytest.raises(NotMpegTsError):
        scan_segment(data)


@pytest.mark.parametrize("kept_packets", [50, 500])
def test_a_segment_that_ends_inside_a_packet_of_sound_is_refused(kept_packets: int) -> None:
    with pytest.raises(NotMpegTsError, match="cut off inside a packet of sound"):
        scan_segment(SAMPLE[: kept_packets * 188])


@pytest.mark.parametrize("kept_packets", [5, 40, 495, 1000])
def test_a_segment_that_ends_early_still_tells_what_is_in_it(kept_packets: int) -> None:
    whole = tracks(SAMPLE)
    for track, scan in tracks(SAMPLE[: kept_packets * 188]).items():
        assert list(scan.pts) == list(whole[track].pts[: len(scan.pts)])


@settings(max_examples=300, deadline=None)
@given(packets=st.lists(st.binary(min_size=187, max_size=187), min_size=1, max_size=20))
def test_random_packets_are_survived(packets: list[bytes]) -> None:
    survives(b"".join(b"G" + p for p in packets))


@settings(max_examples=300, deadline=None)
@given(
    changes=st.lists(
        st.tuples(st.integers(0, 40 * 188 - 1), st.binary(min_size=1, max_size=24)), min_size=1, max_size=30
    )
)
def test_a_real_segment_with_any_damage_is_survived(changes: list[tuple[int, bytes]]) -> None:
    damaged = bytearray(SAMPLE[: 60 * 188])
    for at, new in changes:
        damaged[at : at + len(new)] = new
    damaged[::188] = b"G" * (len(damaged) // 188)
    survives(bytes(damaged))


def section(pid: int, body: bytes) -> bytes:
    return (b"G" + bytes([0x40 | pid >> 8, pid & 0xFF, 0x10, 0]) + body).ljust(188, b"\xff")


def test_tables_that_all_name_each_other_are_each_read_once() -> None:
    # Ten thousand lists of programs name one PID forty times each, and ten thousand tables lie there: four
    # thousand million readings if each were read whenever it is named.
    programs = b"".join(b"\x00\x01\xe0\x20" for _ in range(40))
    lists = (section(0, bytes([0, 0xB0, 169]) + n.to_bytes(5) + programs) for n in range(10_000))
    tables = (section(0x20, bytes([2, 0xB0, 13]) + n.to_bytes(9)) for n in range(10_000))
    survives(b"".join(lists) + b"".join(tables))


def test_a_segment_in_which_every_packet_begins_something_is_survived() -> None:
    head = b"\x00\x00\x01\xe0\x00\x00\x80\xc0\x0a" + b"\x31\x00\x01\x00\x01" * 2
    tables = SAMPLE[: 2 * 188]
    for pid in (65, 66):
        packet = bytes([0x47, 0x40 | pid >> 8, pid & 0xFF, 0x10]) + head
        survives(tables + packet.ljust(188, b"\xff") * 20_000)


def survives(data: bytes) -> None:
    try:
        scan = scan_segment(data)
    except NotMpegTsError:
        return
    for track in scan.tracks:
        assert len(track.pts) == len(track.dts) > 0
        assert track.start <= track.end
        assert all(a < b for a, b in pairwise(track.key_frames))
