"""A window written as an HLS media playlist."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime

import pytest

from replay_operator.domain.preview_playlist import PlaylistKind, media_playlist
from replay_operator.domain.preview_window import PreviewRun, PreviewSegment, PreviewWindow, carried_on
from tests.unit.hls_rules import read_media_playlist

SECOND = 1_000_000_000
T0 = datetime(2026, 11, 22, 12, 0, tzinfo=UTC)
T0_NS = int(T0.timestamp()) * SECOND


def window(*spans: tuple[float, float], seconds: int = 6) -> PreviewWindow:
    segments = [
        PreviewSegment("run-1", i, T0_NS + int(start * SECOND), T0_NS + int(end * SECOND), "h264+aac")
        for i, (start, end) in enumerate(spans)
    ]
    found = carried_on(
        None, [PreviewRun(seconds, ended=False, segments=segments, began_ns=segments[0].start_ns)]
    )
    assert found is not None
    return found


def test_a_live_playlist_as_it_stands() -> None:
    found = window((0.795, 6.806), (6.806, 12.8), (24.8, 30.8))
    assert media_playlist(found, query="k=v").splitlines() == [
        "#EXTM3U",
        "#EXT-X-VERSION:3",
        "#EXT-X-TARGETDURATION:6",
        "#EXT-X-MEDIA-SEQUENCE:1795348800795",
        "#EXT-X-DISCONTINUITY-SEQUENCE:7440",
        "#EXT-X-PROGRAM-DATE-TIME:2026-11-22T12:00:00.795Z",
        "#EXTINF:6.011000,",
        "segments/run-1/seg_00000.ts?k=v",
        "#EXT-X-PROGRAM-DATE-TIME:2026-11-22T12:00:06.806Z",
        "#EXTINF:5.994000,",
        "segments/run-1/seg_00001.ts?k=v",
        "#EXT-X-DISCONTINUITY",
        "#EXT-X-PROGRAM-DATE-TIME:2026-11-22T12:00:24.800Z",
        "#EXTINF:6.000000,",
        "segments/run-1/seg_00002.ts?k=v",
    ]


def test_a_break_is_counted_once_when_its_segment_has_become_the_first() -> None:
    whole = window((0, 6), (8, 14), (14, 20))
    without_first = PreviewWindow(whole.target_seconds, whole.entries[1:])
    assert (
        read_media_playlist(media_playlist(without_first)).segments
        == read_media_playlist(media_playlist(whole)).segments[1:]
    )


@pytest.mark.parametrize(("kind", "ended"), list(zip(PlaylistKind, (False, True, True), strict=True)))
def test_only_what_moves_on_has_no_end(kind: PlaylistKind, ended: bool) -> None:
    text = media_playlist(window((0, 6)), kind)
    assert read_media_playlist(text).ended is ended
    assert ("#EXT-X-PLAYLIST-TYPE:VOD\n" in text) is (kind is PlaylistKind.RANGE)


def test_sound_that_piled_up_in_a_segment_does_not_break_the_target_duration() -> None:
    found = read_media_playlist(media_playlist(window((0, 6), (6, 80.7))))
    assert found.segments[1].seconds == 6.499999


def test_a_player_is_told_where_in_its_own_time_the_range_begins() -> None:
    found = window((0, 6), (6, 12), (30, 36))

    def offset(second: float) -> str:
        text = media_playlist(found, PlaylistKind.RANGE, play_from_ns=T0_NS + int(second * SECOND))
        return next(line for line in text.splitlines() if line.startswith("#EXT-X-START:"))

    assert offset(-5) == "#EXT-X-START:TIME-OFFSET=0.000000,PRECISE=YES"
    assert offset(7.25) == "#EXT-X-START:TIME-OFFSET=7.250000,PRECISE=YES"
    assert offset(20) == "#EXT-X-START:TIME-OFFSET=12.000000,PRECISE=YES", "holes take no time"
    assert offset(31) == "#EXT-X-START:TIME-OFFSET=13.000000,PRECISE=YES"


def test_the_date_of_a_segment_is_that_of_its_first_sample() -> None:
    found = window((0.795, 6.806))
    (entry,) = found.entries
    early = replace(entry, segment=replace(entry.segment, lead_ns=SECOND // 20))
    text = media_playlist(replace(found, entries=(early,)))
    assert "#EXT-X-PROGRAM-DATE-TIME:2026-11-22T12:00:00.745Z\n#EXTINF:6.011000,\n" in text
