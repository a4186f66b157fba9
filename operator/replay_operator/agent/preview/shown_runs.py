"""What viewers may be shown of each run, from the runs' index files."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence

from cachetools import TTLCache

from replay_operator.agent.file_work import FileWork
from replay_operator.agent.run_index import find_index
from replay_operator.agent.segments import MediaSpan, SegmentFile
from replay_operator.agent.state import RunState
from replay_operator.agent.timeline import run_clock, segment_seconds
from replay_operator.agent.volume import Volume
from replay_operator.domain.layout import RunPath
from replay_operator.domain.preview_window import PreviewRun, PreviewSegment
from replay_operator.media.segment_file import FileStamp
from replay_operator.media.segment_index import IndexRecord
from replay_operator.media.shown_span import ShownSpan, shown_span
from replay_operator.media.timeline import expected_ticks, nanoseconds_after_epoch

MOST_RUNS = 100
KEPT_SECONDS = 60.0

_Spans = Mapping[tuple[int, FileStamp], "_Span"]
_Span = tuple[MediaSpan, int, str]
"""First and last instant on the run's clock, how many ns sound comes before it, and the layout."""

_UNKNOWN_LAYOUT = "unknown"


class ShownRuns:
    """Reads the index of a run when viewers come, and again when there is a segment that was not in it."""

    def __init__(self, volume: Volume, files: FileWork, timer: Callable[[], float]) -> None:
        """Begin empty.

        Args:
            volume: The buffer volume.
            files: The way to file operations.
            timer: Gives seconds that only grow.
        """
        self._volume = volume
        self._files = files
        self._spans: TTLCache[RunPath, _Spans] = TTLCache(MOST_RUNS, KEPT_SECONDS, timer)

    async def of(self, runs: Iterable[RunState]) -> list[PreviewRun]:
        """Give those that have a complete segment and a clock.

        Args:
            runs: All of a buffer.
        """
        found = [await self._shown(run) for run in runs]
        return [run for run in found if run is not None]

    async def _shown(self, run: RunState) -> PreviewRun | None:
        # All is taken at once: the scan goes on while the index is read.
        complete = run.segments.complete(first=len(run.segments))
        clock, ended, seconds = run_clock(run, complete), run.ended, segment_seconds(run)
        if not complete or clock is None:
            return None
        spans = await self._spans_of(run.path, complete, seconds)
        segments = []
        for segment in complete:
            span, lead_ns, layout = spans[segment.index, segment.stamp]
            start_ns, end_ns = clock[0] + span.start_ns, clock[0] + span.end_ns
            segments.append(PreviewSegment(run.path.run, segment.index, start_ns, end_ns, layout, lead_ns))
        return PreviewRun(seconds, ended, segments, clock[0])

    async def _spans_of(self, path: RunPath, segments: Sequence[SegmentFile], seconds: int) -> _Spans:
        known = self._spans.get(path, {})
        missing = [segment for segment in segments if (segment.index, segment.stamp) not in known]
        if not missing:
            return known
        read = await self._files.run(_read, self._volume, path, missing, seconds)
        left = {(segment.index, segment.stamp) for segment in segments}
        spans = {**{key: span for key, span in known.items() if key in left}, **read}
        self._spans[path] = spans
        return spans


def _read(volume: Volume, path: RunPath, segments: Sequence[SegmentFile], seconds: int) -> _Spans:
    records = find_index(volume, path).records
    return {
        (segment.index, segment.stamp): _span(segment, records.get(segment.index), seconds)
        for segment in segments
    }


def _span(segment: SegmentFile, record: IndexRecord | None, seconds: int) -> _Span:
    shown = _from_record(segment, record, seconds)
    if shown is not None:
        start, end = shown.interval.start, shown.interval.end
        start_ns = nanoseconds_after_epoch(start)
        lead_ns = start_ns - nanoseconds_after_epoch(start - shown.lead_ticks)
        return MediaSpan(start_ns, nanoseconds_after_epoch(end)), lead_ns, shown.layout
    if segment.span is None:
        raise ValueError(f"segment {segment.index} is not complete")
    # An index that cannot be kept costs 60 ms of exactness, and no reading of whole segments.
    return segment.span, 0, _UNKNOWN_LAYOUT


def _from_record(segment: SegmentFile, record: IndexRecord | None, seconds: int) -> ShownSpan | None:
    if record is None or record.stamp != segment.stamp:
        return None
    scan = record.scan(expected_ticks(segment.index, seconds))
    return shown_span(scan) if scan is not None else None
