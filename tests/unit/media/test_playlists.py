from __future__ import annotations

from datetime import UTC, datetime

import pytest
from hypothesis import given
from hypothesis import strategies as st

from replay_operator.media.playlists import parse_playlist

LIVE = """#EXTM3U
#EXT-X-VERSION:4
#EXT-X-TARGETDURATION:6
#EXT-X-MEDIA-SEQUENCE:8
#EXT-X-PROGRAM-DATE-TIME:2026-11-22T14:21:03.95Z
#EXTINF:6.000,
seg_00008.ts
#EXT-X-PROGRAM-DATE-TIME:2026-11-22T14:21:09Z
#EXTINF:6.011,
seg_00009.ts
"""


def test_a_live_playlist_names_its_segments_with_their_times() -> None:
    playlist = parse_playlist(LIVE)
    assert [(e.index, e.extinf_seconds) for e in playlist.entries] == [(8, 6.0), (9, 6.011)]
    assert playlist.entries[0].program_date_time == datetime(2026, 11, 22, 14, 21, 3, 950_000, UTC)
    assert playlist.entries[1].program_date_time == datetime(2026, 11, 22, 14, 21, 9, tzinfo=UTC)
    assert playlist.target_duration_seconds == 6
    assert playlist.highest_index == 9
    assert not playlist.ended


def test_an_ended_playlist_says_so() -> None:
    assert parse_playlist(LIVE + "#EXT-X-ENDLIST\n").ended


@pytest.mark.parametrize("text", ["", "#EXTM3U", "\n\n", "not a playlist at all"])
def test_a_playlist_caught_while_it_is_rewritten_names_nothing(text: str) -> None:
    assert parse_playlist(text).highest_index is None


@pytest.mark.parametrize("cut", range(0, len(LIVE), 7))
def test_a_half_written_playlist_never_names_a_segment_that_the_whole_one_does_not(cut: int) -> None:
    assert {e.index for e in parse_playlist(LIVE[:cut]).entries} <= {8, 9}


def test_indexes_grow_beyond_five_digits_and_other_files_are_ignored() -> None:
    playlist = parse_playlist("seg_99999.ts\nseg_100000.ts\nother.ts\nsub/seg_100001.ts\n")
    assert [e.index for e in playlist.entries] == [99999, 100000, 100001]


@given(st.text())
def test_any_text_is_survived(text: str) -> None:
    assert parse_playlist(text).target_duration_seconds is None or text
