"""Which clock a run has: the capture time of PTS 3600 s (DESIGN §6.8).

Agent and capture worker both ask here, so that a range that the one promised is the range that the other
cuts. Pure.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime

from replay_operator.api.replaycapture import Clock
from replay_operator.media.playlists import Playlist

NANOSECONDS_PER_SECOND = 1_000_000_000

ARRIVAL_DELAY_NS = 630_000_000
"""From the end of the next segment's media to this one's arrival on disk (livekit-measured §2)."""

MAX_MANIFEST_BYTES = 16 * 1024 * 1024
"""Of a whole manifest: 200 bytes a segment."""

_FARTHEST_APART_NS = 15 * NANOSECONDS_PER_SECOND
"""The worst source is 11 s late (livekit-measured §2). Files whose times differ by more are copies."""

_INT64 = 1 << 63
"""In the year 2262: a file that says a later time, or one before 1970, is damaged."""

_UNIX_EPOCH = datetime.fromtimestamp(0, UTC)


@dataclass(frozen=True, slots=True)
class Arrival:
    """A complete segment: when its file was written, and its media in nanoseconds after PTS 3600 s."""

    index: int
    arrived_at_ns: int
    start_ns: int
    end_ns: int


@dataclass(frozen=True, slots=True)
class WrittenClocks:
    """What egress wrote about the capture time of PTS 3600 s, Unix nanoseconds. None: nothing.

    Attributes:
        manifest_ns: From the manifest of a regular end.
        playlist_ns: From PROGRAM-DATE-TIME.
    """

    manifest_ns: int | None = None
    playlist_ns: int | None = None


def run_clock(
    started_at_ns: int | None, arrivals: Sequence[Arrival], written: WrittenClocks, *, ended: bool
) -> tuple[int, Clock] | None:
    """Give the capture time of PTS 3600 s in Unix nanoseconds, best source first. None when nothing tells it.

    Args:
        started_at_ns: LiveKit's `segments.started_at`, from `run.json`.
        arrivals: The two oldest complete segments on disk, in their order; more are not looked at.
        written: What egress wrote.
        ended: A playlist has its end.
    """
    if started_at_ns:
        return started_at_ns, Clock.STARTED_AT
    arrived_ns = _from_arrival(arrivals, ended=ended)
    others = [ns for ns in (written.manifest_ns, written.playlist_ns) if ns is not None]
    if arrived_ns is not None and all(abs(arrived_ns - ns) <= _FARTHEST_APART_NS for ns in others):
        return arrived_ns, Clock.ARRIVAL
    if written.manifest_ns is not None:
        return written.manifest_ns, Clock.MANIFEST
    if written.playlist_ns is not None:
        return written.playlist_ns, Clock.PROGRAM_DATE_TIME
    return None


def manifest_started_at_ns(content: bytes) -> int | None:
    """Read the clock from the manifest that egress leaves at a regular end.

    Args:
        content: The file.
    """
    try:
        manifest = json.loads(content)
    except (ValueError, RecursionError):
        return None
    started_at = manifest.get("started_at") if isinstance(manifest, dict) else None
    return started_at if type(started_at) is int and 0 < started_at < _INT64 else None


def playlist_started_at_ns(playlists: Iterable[Playlist], segment_seconds: int) -> int | None:
    """Work the clock out from the first entry that any playlist has.

    Args:
        playlists: All of the run.
        segment_seconds: Length of a segment.
    """
    entries = (entry for playlist in playlists for entry in playlist.entries)
    first = min(entries, key=lambda entry: entry.index, default=None)
    if first is None or first.program_date_time is None:
        return None
    started_at_ns = unix_ns(first.program_date_time) - first.index * segment_seconds * NANOSECONDS_PER_SECOND
    return started_at_ns if 0 < started_at_ns < _INT64 else None


def unix_ns(moment: datetime) -> int:
    """Turn a time into Unix nanoseconds.

    Args:
        moment: The time, with its zone.
    """
    # Integers all the way: a float has no nanoseconds left in this century.
    since = moment - _UNIX_EPOCH
    return (since.days * 86_400 + since.seconds) * NANOSECONDS_PER_SECOND + since.microseconds * 1000


def _from_arrival(arrivals: Sequence[Arrival], *, ended: bool) -> int | None:
    """A segment appears one whole segment late, when the next one is complete; at once when the run ends."""
    if not arrivals:
        return None
    first, following = arrivals[0], arrivals[1] if len(arrivals) > 1 else None
    if following is not None and following.index == first.index + 1:
        late_ns = following.end_ns - following.start_ns + ARRIVAL_DELAY_NS
    elif ended and following is None:
        late_ns = 0
    else:
        late_ns = first.end_ns - first.start_ns + ARRIVAL_DELAY_NS
    return first.arrived_at_ns - late_ns - first.end_ns
