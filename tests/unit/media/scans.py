"""Scanned segments made from numbers, for tests of the pure decisions."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import UTC, datetime, timedelta
from pathlib import Path

from replay_operator.api.agent import RunFile
from replay_operator.api.replaycapture import Clock, Holes, Track, Trim, WhenShort
from replay_operator.media.plan import Wanted
from replay_operator.media.runs import Run, SegmentFile
from replay_operator.media.segment_file import FileStamp
from replay_operator.media.selection import Selection, select_segments
from replay_operator.media.timeline import MEDIA_EPOCH_TICKS, TICKS_PER_SECOND, Interval, ticks
from replay_operator.media.ts_probe import SegmentScan, TrackScan

STARTED_AT = datetime(2026, 11, 22, 14, 0, tzinfo=UTC)
SEGMENT_SECONDS = 6
VIDEO_FRAME = 3000
AUDIO_FRAME = 2089
SEGMENT_BYTES = 188_000
STAMP = FileStamp(SEGMENT_BYTES, 0, 0)


def place(seconds: float) -> int:
    """The ticks of an instant of the run."""
    return MEDIA_EPOCH_TICKS + round(seconds * TICKS_PER_SECOND)


def at(seconds: float) -> datetime:
    """The capture time of an instant of the run."""
    return STARTED_AT + timedelta(seconds=seconds)


def video(
    start: float, end: float, *, parameters: str = "sps", pid: int = 65, reordered: bool = False
) -> TrackScan:
    """Video of 30 frames a second, decoded two frames before it is shown; with B-frames if `reordered`."""
    pts = ticks(range(place(start), place(end), VIDEO_FRAME))
    dts = ticks(p - 2 * VIDEO_FRAME for p in pts)
    if reordered:
        # Key frame, then each third frame before the two that are shown ahead of it.
        order = [0, *(i for n in range(1, len(pts), 3) for i in (min(n + 2, len(pts) - 1), n, n + 1))]
        pts = ticks(pts[i] for i in dict.fromkeys(i for i in order if i < len(pts)))
    return TrackScan(Track.VIDEO, pid, pts, dts, (0,), parameters, VIDEO_FRAME, 376)


def audio(start: float, end: float, *, parameters: str = "44100/2") -> TrackScan:
    """Sound without a pause."""
    pts = ticks(range(place(start), place(end), AUDIO_FRAME))
    return TrackScan(Track.AUDIO, 66, pts, pts, (), parameters, AUDIO_FRAME, 2632)


def segment(index: int) -> SegmentScan:
    """A healthy segment."""
    start = index * SEGMENT_SECONDS
    return scan(video(start, start + SEGMENT_SECONDS), audio(start + 0.01, start + SEGMENT_SECONDS + 0.01))


def scan(*tracks: TrackScan) -> SegmentScan:
    """A segment with these tracks."""
    return SegmentScan(SEGMENT_BYTES, tracks)


def select(scans: Mapping[int, SegmentScan | None], wanted: Interval, *, run_file: bool = True) -> Selection:
    """Select from a run with these segments; None is one that cannot be used."""
    return select_segments(run(scans, run_file=run_file), wanted, lambda _, file: scans[file.index])


def run(
    scans: Mapping[int, SegmentScan | None],
    *,
    run_file: bool = True,
    starts_at_seconds: float = 0,
    segment_seconds: int = SEGMENT_SECONDS,
    clock: Clock = Clock.STARTED_AT,
) -> Run:
    """A run with these segments on disk."""
    present = sorted(scans)
    directory = Path(f"/buffers/alice/run-{starts_at_seconds}")
    return Run(
        directory=directory,
        segments=tuple(SegmentFile(i, directory / f"seg_{i:05d}.ts", STAMP) for i in present),
        lost_indexes=tuple(i for i in range(present[0], present[-1]) if i not in scans),
        segment_seconds=segment_seconds,
        media_started_at_ns=int(STARTED_AT.timestamp()) * 1_000_000_000
        + round(starts_at_seconds * 1_000_000_000),
        clock=clock,
        file=RunFile(room="r", buffer="b", segment_seconds=segment_seconds, video_track="V", audio_track="A")
        if run_file
        else None,
    )


def wanted(
    start: float,
    end: float,
    *,
    when_short: WhenShort = WhenShort.CLAMP,
    holes: Holes = Holes.KEEP,
    trim: Trim = Trim.EXACT,
    reaches_back: bool = False,
) -> Wanted:
    """What is asked, in seconds of the run."""
    return Wanted(Interval(place(start), place(end)), when_short, holes, trim, reaches_back)


def indexes(chosen: Selection) -> Sequence[int]:
    """The indexes of the selected segments."""
    return [s.file.index for s in chosen.segments]
