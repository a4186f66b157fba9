"""Looks into one arrived segment for the span of its media. Blocks."""

from __future__ import annotations

from pathlib import Path

from replay_operator.agent.state import MediaSpan
from replay_operator.media.timeline import MEDIA_EPOCH_TICKS, TICKS_PER_SECOND
from replay_operator.media.ts_grid import NotMpegTsError
from replay_operator.media.ts_probe import scan_segment

_NS_PER_SECOND = 1_000_000_000


def probe_segment(file: Path) -> MediaSpan | None:
    """Give the span of all tracks of a segment, or None when it is no good MPEG-TS.

    Args:
        file: The segment.

    Raises:
        OSError: It cannot be read.
    """
    try:
        scan = scan_segment(file.read_bytes())
    except NotMpegTsError:
        return None
    return MediaSpan(start_ns=_ns(scan.start), end_ns=_ns(scan.end))


def _ns(ticks: int) -> int:
    return (ticks - MEDIA_EPOCH_TICKS) * _NS_PER_SECOND // TICKS_PER_SECOND
