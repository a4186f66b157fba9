from __future__ import annotations

import subprocess
from itertools import pairwise

from hypothesis import given, settings
from hypothesis import strategies as st

from replay_operator.api.replaycapture import Track
from replay_operator.media.ts_excerpt import OUTPUT_PIDS, Excerpt, ExcerptWriter
from replay_operator.media.ts_pes import write_timestamp
from replay_operator.media.ts_probe import TrackScan, scan_segment
from tests.unit.media.recorded import KILLED, MUTED_VIDEO

DATA = (KILLED / "seg_00007.ts").read_bytes()
SCANNED = {t.track: t for t in scan_segment(DATA).tracks}
NEAR = SCANNED[Track.VIDEO].start
BOTH = [Track.VIDEO, Track.AUDIO]


def excerpt(track: Track, first: int = 0, last: int | None = None) -> Excerpt:
    scanned = SCANNED[track]
    return Excerpt(track, scanned.pid, first, len(scanned.pts) if last is None else last)


def written(*excerpts: Excerpt, shift: int = 0, data: bytes = DATA) -> dict[Track, TrackScan]:
    writer = ExcerptWriter()
    stream = writer.tables(BOTH) + writer.packets(data, excerpts, NEAR, lambda pts: pts + shift)
    return {t.track: t for t in scan_segment(stream, near_ticks=NEAR + shift).tracks}


def test_a_whole_segment_has_every_packet_at_its_new_time() -> None:
    moved = written(excerpt(Track.VIDEO), excerpt(Track.AUDIO), shift=-300_000_000)
    for track, scanned in SCANNED.items():
        assert list(moved[track].pts) == [p - 300_000_000 for p in scanned.pts]
        assert list(moved[track].dts) == [d - 300_000_000 for d in scanned.dts]
        assert moved[track].pid == OUTPUT_PIDS[track]
    assert moved[Track.VIDEO].key_frames == SCANNED[Track.VIDEO].key_frames
    assert moved[Track.VIDEO].parameters == SCANNED[Track.VIDEO].parameters


@settings(max_examples=40, deadline=None)
@given(bounds=st.tuples(*[st.integers(0, 180)] * 4))
def test_any_stretch_of_each_track_can_be_taken(bounds: tuple[int, int, int, int]) -> None:
    video, audio = sorted(bounds[:2]), sorted(bounds[2:])
    if video[0] == video[1] or audio[0] == audio[1]:
        return
    taken = written(excerpt(Track.VIDEO, *video), excerpt(Track.AUDIO, *audio))
    for track, (first, last) in ((Track.VIDEO, video), (Track.AUDIO, audio)):
        assert list(taken[track].pts) == list(SCANNED[track].pts[first:last])


def test_a_track_that_is_not_asked_for_is_left_out() -> None:
    assert set(written(excerpt(Track.AUDIO))) == {Track.AUDIO}


def test_ffmpeg_finds_the_tables_valid_and_every_packet_undamaged() -> None:
    writer = ExcerptWriter()
    stream = writer.tables(BOTH)
    stream += writer.packets(DATA, [excerpt(Track.VIDEO), excerpt(Track.AUDIO)], NEAR, lambda pts: pts)
    original = b"".join(decoded_digests(DATA))
    assert b"".join(decoded_digests(stream)) == original
    assert original.count(b"\n") > 300


def decoded_digests(data: bytes) -> list[bytes]:
    """The payload digest of each packet of each stream, in order, as ffmpeg reads them."""
    command = ["ffmpeg", "-v", "error", "-f", "mpegts", "-i", "pipe:0", "-c", "copy", "-f", "framehash", "-"]
    out = subprocess.run(command, input=data, capture_output=True, check=True)
    assert out.stderr == b""
    lines = [line for line in out.stdout.splitlines() if not line.startswith(b"#")]
    return sorted(line.split(b",")[0] + line.rsplit(b",", 1)[1] + b"\n" for line in lines)


def test_decode_times_never_go_back_and_never_pass_the_presentation() -> None:
    # The first decode time after an unmuted picture lies 2.1 s before its presentation.
    unmuted = (MUTED_VIDEO / "seg_00007.ts").read_bytes()
    late = next(t for t in scan_segment(unmuted).tracks if t.track is Track.VIDEO)
    before = SCANNED[Track.VIDEO]
    shift = before.end - late.start
    assert late.dts[0] + shift < max(before.dts), "else this test shows nothing"
    writer = ExcerptWriter()
    stream = writer.tables([Track.VIDEO])
    stream += writer.packets(DATA, [excerpt(Track.VIDEO)], NEAR, lambda pts: pts)
    after = Excerpt(Track.VIDEO, late.pid, 0, len(late.pts))
    stream += writer.packets(unmuted, [after], late.start, lambda pts: pts + shift)
    (video,) = scan_segment(stream, near_ticks=NEAR).tracks
    assert len(video.dts) == len(before.dts) + len(late.dts)
    assert all(a < b for a, b in pairwise(video.dts))
    assert all(dts <= pts for pts, dts in zip(video.pts, video.dts, strict=True))


@given(ticks=st.integers(-(1 << 34), 1 << 34), prefix=st.integers(0, 15))
def test_a_timestamp_that_is_written_is_read_again(ticks: int, prefix: int) -> None:
    data = bytearray([prefix << 4, 0xFF, 0xFF, 0xFF, 0xFF])
    write_timestamp(data, 0, ticks)
    raw = int.from_bytes(data)
    value = raw >> 3 & 0x1C0000000 | raw >> 2 & 0x3FFF8000 | raw >> 1 & 0x7FFF
    assert (value, data[0] >> 4) == (ticks % (1 << 33), prefix)
    assert raw & 0x100010001 == 0x100010001
