"""Writes a window of a buffer as an HLS media playlist (RFC 8216). Pure."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from enum import Enum

from replay_operator.domain.layout import segment_name
from replay_operator.domain.preview_window import NANOSECONDS_PER_SECOND, PreviewEntry, PreviewWindow

PLAYLIST_MEDIA_TYPE = "application/vnd.apple.mpegurl"

_VERSION = 3
"""The first one with fractions of a second in EXTINF; nothing here needs a later one."""

_NANOSECONDS_PER_MICROSECOND = 1000
_SHORTEST_NS = 1_000_000
_UNIX_EPOCH = datetime.fromtimestamp(0, UTC)


class PlaylistKind(Enum):
    """What a player may expect of the next look.

    `LIVE`: it moves on. `ENDED`: nothing comes any more. `RANGE`: it is a part of a buffer, cut out once.
    """

    LIVE = "live"
    ENDED = "ended"
    RANGE = "range"


def media_playlist(
    window: PreviewWindow,
    kind: PlaylistKind = PlaylistKind.LIVE,
    *,
    query: str = "",
    play_from_ns: int | None = None,
) -> str:
    """Write a playlist. The addresses of the segments are relative to its own: `segments/<run>/<file>`.

    Every entry has its capture time, so that no line depends on what came before it.

    Args:
        window: What it lists.
        kind: Whether it moves on.
        query: Goes to the end of each address: what a viewer needs to be let in.
        play_from_ns: Where a player should begin, Unix nanoseconds; None leaves it to the player.
    """
    return "\n".join(_lines(window, kind, f"?{query}" if query else "", play_from_ns)) + "\n"


def _lines(window: PreviewWindow, kind: PlaylistKind, query: str, play_from_ns: int | None) -> Iterator[str]:
    first = window.entries[0]
    yield "#EXTM3U"
    yield f"#EXT-X-VERSION:{_VERSION}"
    yield f"#EXT-X-TARGETDURATION:{window.target_seconds}"
    if kind is PlaylistKind.RANGE:
        yield "#EXT-X-PLAYLIST-TYPE:VOD"
    yield f"#EXT-X-MEDIA-SEQUENCE:{first.number}"
    # The first entry keeps its tag, which counts once more.
    yield f"#EXT-X-DISCONTINUITY-SEQUENCE:{first.discontinuity - first.breaks}"
    if play_from_ns is not None:
        ahead_ns = max(0, _playing_time_ns(window, play_from_ns))
        yield f"#EXT-X-START:TIME-OFFSET={_seconds(ahead_ns)},PRECISE=YES"
    for entry in window.entries:
        yield from _entry_lines(entry, window.target_seconds, query)
    if kind is not PlaylistKind.LIVE:
        yield "#EXT-X-ENDLIST"


def _entry_lines(entry: PreviewEntry, target_seconds: int, query: str) -> Iterator[str]:
    segment = entry.segment
    if entry.breaks:
        yield "#EXT-X-DISCONTINUITY"
    # It is that of the first sample (RFC 8216 §4.3.2.6), and players take it so: hls.js would be 50 ms late.
    yield f"#EXT-X-PROGRAM-DATE-TIME:{_date_time(segment.start_ns - segment.lead_ns)}"
    yield f"#EXTINF:{_seconds(_shown_ns(entry, target_seconds))},"
    yield f"segments/{segment.run}/{segment_name(segment.index)}{query}"


def _shown_ns(entry: PreviewEntry, target_seconds: int) -> int:
    """Give how long a segment is shown, which rounds to the target at most (RFC 8216 §4.3.3.1).

    A longer one exists: sound piles up in one segment after its video was unpublished (livekit-measured §3).
    """
    longest_ns = target_seconds * NANOSECONDS_PER_SECOND + NANOSECONDS_PER_SECOND // 2
    shown_ns = entry.segment.end_ns - entry.segment.start_ns
    return max(_SHORTEST_NS, min(shown_ns, longest_ns - _NANOSECONDS_PER_MICROSECOND))


def _playing_time_ns(window: PreviewWindow, instant_ns: int) -> int:
    """Give where a player meets an instant: holes take no time there."""
    passed_ns = 0
    for entry in window.entries:
        shown_ns = _shown_ns(entry, window.target_seconds)
        if instant_ns < entry.segment.start_ns + shown_ns:
            return passed_ns + max(0, instant_ns - entry.segment.start_ns)
        passed_ns += shown_ns
    return passed_ns


def _seconds(length_ns: int) -> str:
    microseconds = (length_ns + _NANOSECONDS_PER_MICROSECOND // 2) // _NANOSECONDS_PER_MICROSECOND
    return f"{microseconds // 1_000_000}.{microseconds % 1_000_000:06d}"


def _date_time(instant_ns: int) -> str:
    moment = _UNIX_EPOCH + timedelta(microseconds=instant_ns // _NANOSECONDS_PER_MICROSECOND)
    return moment.isoformat(timespec="milliseconds").replace("+00:00", "Z")
