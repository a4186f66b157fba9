"""The text of both playlists and of the manifest, as egress writes them."""

import json
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime

# egress has no setting for it.
LIVE_WINDOW_SEGMENTS = 5


@dataclass(frozen=True, slots=True)
class PlaylistEntry:
    """One segment in a playlist.

    Attributes:
        uri: file name, relative to the playlist.
        seconds: EXTINF.
        program_date_time_ns: wall clock in nanoseconds, late by what egress adds.
    """

    uri: str
    seconds: float
    program_date_time_ns: int


def event_playlist(entries: Sequence[PlaylistEntry], segment_seconds: int, *, ended: bool) -> str:
    """The playlist that only grows.

    Args:
        entries: every segment so far.
        segment_seconds: as requested; becomes TARGETDURATION whatever the real lengths are.
        ended: adds ENDLIST.
    """
    return _playlist(entries, segment_seconds, first=0, ended=ended, type_line="#EXT-X-PLAYLIST-TYPE:EVENT\n")


def live_playlist(entries: Sequence[PlaylistEntry], segment_seconds: int, *, ended: bool) -> str:
    """The playlist of the last five segments.

    Args:
        entries: every segment so far.
        segment_seconds: as requested.
        ended: adds ENDLIST.
    """
    first = max(0, len(entries) - LIVE_WINDOW_SEGMENTS)
    return _playlist(entries[first:], segment_seconds, first=first, ended=ended, type_line="")


def manifest(
    *,
    egress_id: str,
    room_id: str,
    room_name: str,
    started_at_ns: int,
    ended_at_ns: int,
    audio_track_id: str,
    video_track_id: str,
    playlist: str,
    segments: Sequence[str],
) -> str:
    """The JSON that a regular end leaves beside the playlists. Go leaves empty fields out.

    Args:
        egress_id: the egress.
        room_id: the room's identifier.
        room_name: the room.
        started_at_ns: start of the egress in nanoseconds (not of its media).
        ended_at_ns: its end.
        audio_track_id: empty without sound.
        video_track_id: empty without video.
        playlist: path of the event playlist.
        segments: paths of all segments.
    """
    fields = {
        "egress_id": egress_id,
        "room_id": room_id,
        "room_name": room_name,
        "started_at": started_at_ns,
        "ended_at": ended_at_ns,
        "audio_track_id": audio_track_id,
        "video_track_id": video_track_id,
        "playlists": [
            {"location": playlist, "segments": [{"filename": each, "location": each} for each in segments]}
        ],
    }
    return json.dumps({name: value for name, value in fields.items() if value}, separators=(",", ":"))


def _playlist(
    entries: Sequence[PlaylistEntry], segment_seconds: int, *, first: int, ended: bool, type_line: str
) -> str:
    head = (
        f"#EXTM3U\n#EXT-X-VERSION:4\n{type_line}#EXT-X-ALLOW-CACHE:NO\n"
        f"#EXT-X-TARGETDURATION:{segment_seconds}\n#EXT-X-MEDIA-SEQUENCE:{first}\n"
    )
    body = "".join(
        f"#EXT-X-PROGRAM-DATE-TIME:{_program_date_time(entry.program_date_time_ns)}\n"
        f"#EXTINF:{entry.seconds:.3f},\n{entry.uri}\n"
        for entry in entries
    )
    return head + body + ("#EXT-X-ENDLIST\n" if ended else "")


def _program_date_time(nanoseconds: int) -> str:
    seconds, rest = divmod(nanoseconds, 1_000_000_000)
    # Go's ".999" drops trailing zeros, and the point with them.
    fraction = f".{rest // 1_000_000:03d}".rstrip("0").rstrip(".")
    return f"{datetime.fromtimestamp(seconds, UTC):%Y-%m-%dT%H:%M:%S}{fraction}Z"
