"""Looks into one arrived segment: the span of its media, and what the run's index keeps of it. Blocks."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from replay_operator.agent.segments import MediaSpan
from replay_operator.media.segment_file import read_segment
from replay_operator.media.segment_index import IndexRecord, index_record
from replay_operator.media.timeline import nanoseconds_after_epoch
from replay_operator.media.ts_grid import NotMpegTsError
from replay_operator.media.ts_probe import scan_segment


@dataclass(frozen=True, slots=True)
class ProbedSegment:
    """What was found. `record` is None when the segment cannot be kept in an index."""

    span: MediaSpan
    record: IndexRecord | None


def probe_segment(file: Path, index: int, near_ticks: int) -> ProbedSegment | None:
    """Scan a segment, or give None when it is no good MPEG-TS.

    Args:
        file: The segment.
        index: Its number.
        near_ticks: About where on the run's timeline it lies.

    Raises:
        OSError: It cannot be read.
    """
    try:
        segment = read_segment(file)
        scan = scan_segment(segment.data, near_ticks=near_ticks)
    except NotMpegTsError:
        return None
    # Of a file that changed under the reader nothing can be kept: nobody could tell which half was read.
    record = index_record(index, segment.stamp, scan) if segment.stamp is not None else None
    return ProbedSegment(media_span(scan.start, scan.end), record)


def media_span(start: int, end: int) -> MediaSpan:
    """Turn first and last tick into a span.

    Args:
        start: First tick.
        end: Last tick.
    """
    return MediaSpan(start_ns=nanoseconds_after_epoch(start), end_ns=nanoseconds_after_epoch(end))
