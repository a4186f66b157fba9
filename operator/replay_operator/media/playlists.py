"""HLS playlists as the egress worker writes them (livekit-measured §2).

They are truncated and rewritten in place, so a reader may meet an empty or half-written one. What can
be read is taken; what cannot is left out.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import UTC, datetime

from replay_operator.domain.layout import segment_index

_PROGRAM_DATE_TIME = "#EXT-X-PROGRAM-DATE-TIME:"
_EXTINF = "#EXTINF:"
_TARGET_DURATION = "#EXT-X-TARGETDURATION:"
_END_LIST = "#EXT-X-ENDLIST"


@dataclass(frozen=True, slots=True)
class PlaylistEntry:
    """One segment as a playlist names it.

    `program_date_time` is when the worker handled the first frame: 0.6 to 11 s after it was captured.
    """

    index: int
    extinf_seconds: float | None
    program_date_time: datetime | None


@dataclass(frozen=True, slots=True)
class Playlist:
    """What could be read of one playlist."""

    entries: tuple[PlaylistEntry, ...]
    target_duration_seconds: int | None
    ended: bool

    @property
    def highest_index(self) -> int | None:
        """The highest index that is named, or None when none is."""
        return max((e.index for e in self.entries), default=None)


def parse_playlist(text: str) -> Playlist:
    """Read an event or live playlist.

    Args:
        text: Its content, which may be empty or end in the middle of a line.
    """
    entries: list[PlaylistEntry] = []
    target: int | None = None
    ended = False
    extinf: float | None = None
    date_time: datetime | None = None
    for line in map(str.strip, text.splitlines()):
        if line.startswith(_PROGRAM_DATE_TIME):
            date_time = _date_time(line.removeprefix(_PROGRAM_DATE_TIME))
        elif line.startswith(_EXTINF):
            extinf = _seconds(line.removeprefix(_EXTINF).partition(",")[0])
        elif line.startswith(_TARGET_DURATION):
            seconds = _seconds(line.removeprefix(_TARGET_DURATION))
            target = round(seconds) if seconds else None
        elif line == _END_LIST:
            ended = True
        elif line and not line.startswith("#"):
            index = segment_index(line.rpartition("/")[2])
            if index is not None:
                entries.append(PlaylistEntry(index, extinf, date_time))
            extinf = date_time = None
    return Playlist(entries=tuple(entries), target_duration_seconds=target, ended=ended)


def _date_time(text: str) -> datetime | None:
    # The worker trims zeros at the end of the fraction (`.95Z`, or none at all).
    try:
        moment = datetime.fromisoformat(text)
    except ValueError:
        return None
    return moment if moment.tzinfo else moment.replace(tzinfo=UTC)


def _seconds(text: str) -> float | None:
    try:
        seconds = float(text)
    except ValueError:
        return None
    return seconds if 0 <= seconds < 86400 else None  # noqa: PLR2004 - a day; also refuses nan and inf
