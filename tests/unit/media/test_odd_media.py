"""Segments and playlists that no worker writes: they are read or refused, and nothing that follows breaks."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

from hypothesis import example, given, settings
from hypothesis import strategies as st

from replay_operator.media.playlists import parse_playlist
from replay_operator.media.run_clock import Arrival, WrittenClocks, playlist_started_at_ns, run_clock
from replay_operator.media.shown_span import shown_span
from replay_operator.media.ts_grid import TS_PACKET_BYTES, NotMpegTsError
from replay_operator.media.ts_probe import SegmentScan, scan_segment
from tests.unit.media.recorded import KILLED

SAMPLE = (KILLED / "seg_00007.ts").read_bytes()[: 120 * 188]
PACKETS = [SAMPLE[at : at + TS_PACKET_BYTES] for at in range(0, len(SAMPLE), TS_PACKET_BYTES)]


def scanned(data: bytes) -> SegmentScan | None:
    try:
        return scan_segment(data)
    except NotMpegTsError:
        return None


@settings(max_examples=100)
@example(order=[0, 1, 2, 2, 2])
@example(order=[*range(119, -1, -1)])
@given(order=st.lists(st.integers(0, len(PACKETS) - 1), max_size=80))
def test_packets_in_any_order_doubled_or_lost_are_survived(order: list[int]) -> None:
    scan = scanned(b"".join(PACKETS[place] for place in order))
    if scan is not None:
        shown_span(scan)


@settings(max_examples=100)
@example(place=2, at=4, new=b"\xb7")  # an adaptation field that fills the packet
@example(place=0, at=4, new=b"\xff")  # a pointer beyond the packet
@example(place=1, at=6, new=b"\xff\xff")  # a table that claims to be 4095 bytes long
@given(
    place=st.integers(0, 9),
    at=st.integers(1, TS_PACKET_BYTES - 4),
    new=st.binary(min_size=1, max_size=4),
)
def test_a_damaged_head_is_survived(place: int, at: int, new: bytes) -> None:
    packets = list(PACKETS)
    packets[place] = packets[place][:at] + new + packets[place][at + len(new) :]
    scan = scanned(b"".join(packets))
    if scan is not None:
        shown_span(scan)


moments = st.sampled_from(
    [
        "0001-01-01T00:00:00Z",
        "0001-01-01T00:00:00+23:59",
        "9999-12-31T23:59:59.999999-23:59",
        "2026-11-22T12:00:00",
        "2026-W47-7",
        "20261122",
    ]
) | st.datetimes(timezones=st.just(UTC)).map(datetime.isoformat)
lengths = st.sampled_from(["inf", "nan", "-1", "1e308", "0x10", "1_0", "\u0663"]) | st.floats().map(str)
indices = st.sampled_from(
    ["00000", "99999", "100000", "999999999", "1000000000", "\u0660\u0661", "-0001"]
) | st.text("0123456789", max_size=10)
lines = st.one_of(
    moments.map("#EXT-X-PROGRAM-DATE-TIME:{}".format),
    lengths.map("#EXTINF:{},".format),
    lengths.map("#EXT-X-TARGETDURATION:{}".format),
    indices.map("seg_{}.ts".format),
    st.sampled_from(["#EXTM3U", "#EXT-X-ENDLIST", "", "../seg_00001.ts", "\0", "#EXTINF", "/x/seg_00002.ts"]),
    st.text(max_size=20),
)
DATED = "#EXT-X-PROGRAM-DATE-TIME:{}\nseg_00001.ts"
playlists = st.lists(lines, max_size=12).map("\n".join)


@settings(max_examples=300)
@example(text="#EXT-X-PROGRAM-DATE-TIME:0001-01-01T00:00:00Z\nseg_00001.ts", segment_seconds=15, ended=True)
@example(
    text="#EXT-X-PROGRAM-DATE-TIME:9999-12-31T23:59:59-23:59\nseg_00000.ts", segment_seconds=2, ended=True
)
@example(text="#EXT-X-TARGETDURATION:1e308\nseg_\u0660\u0661.ts", segment_seconds=2, ended=False)
@given(text=playlists, segment_seconds=st.integers(1, 15), ended=st.booleans())
def test_what_a_playlist_tells_is_a_time_that_there_is(text: str, segment_seconds: int, ended: bool) -> None:
    playlist = parse_playlist(text)
    assert all(0 <= entry.index <= 999_999_999 for entry in playlist.entries)
    assert all(0 <= (entry.extinf_seconds or 0) <= 86_400 for entry in playlist.entries)
    told_ns = playlist_started_at_ns([playlist], segment_seconds)
    clock = run_clock(None, [], WrittenClocks(playlist_ns=told_ns), ended=ended)
    if clock is not None:
        # A day of media after it is still a time.
        assert datetime.fromtimestamp(0, UTC) + timedelta(microseconds=clock[0] // 1000, days=1)


@settings(max_examples=200)
@given(text=playlists, cut=st.integers(0, 200))
def test_a_playlist_that_is_cut_anywhere_names_no_other_segment(text: str, cut: int) -> None:
    whole = {entry.index for entry in parse_playlist(text).entries}
    # The last line may be a name that is not finished: a reader cannot know, but the file is not there then.
    finished, _, _ = text[:cut].rpartition("\n")
    assert {entry.index for entry in parse_playlist(finished).entries} <= whole


@given(
    st.lists(
        st.builds(
            Arrival,
            st.integers(0, 999_999_999),
            st.integers(-(2**63), 2**63 - 1),
            st.integers(0, 2**47),
            st.integers(0, 2**47),
        ),
        max_size=3,
    ),
    st.booleans(),
)
def test_files_with_any_times_give_a_clock_or_none(arrivals: list[Arrival], ended: bool) -> None:
    run_clock(None, arrivals, WrittenClocks(), ended=ended)
