"""Decides what a clip will be before a byte of it is written. Pure: scanned segments in, plan or refusal out.

A plan is exact. It predicts the packets and the length of each track, so that the finished file can be
held against it: ffmpeg's exit code proves nothing.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime

from replay_operator.api.capture_job import CaptureErrorReason
from replay_operator.api.replaycapture import Gap, Hole, HoleReason, Holes, Track, Trim, WhenShort
from replay_operator.media.coverage import MissingMedia, missing_media
from replay_operator.media.cut import Line, dts_limit, first_shown, track_lines
from replay_operator.media.failure import CaptureFailedError
from replay_operator.media.runs import Run
from replay_operator.media.selection import ScannedSegment, Selection
from replay_operator.media.timeline import MIN_PAUSE_TICKS, TICKS_PER_SECOND, Interval
from replay_operator.media.ts_probe import TrackScan

_MOOV_BASE_BYTES = 8 * 1024
_MOOV_BYTES_PER_PACKET = {Track.VIDEO: 40, Track.AUDIO: 32}
"""Worst case of the sample tables (DESIGN §7): 2.6 times what a healthy run needs."""

_DEFAULT_PROBE_TICKS = 2 * TICKS_PER_SECOND
_DEFAULT_PROBE_BYTES = 2_000_000
"""A track that starts within these is found by ffmpeg's default probing (5 s, 5 MB) with room to spare."""


@dataclass(frozen=True, slots=True)
class Wanted:
    """What is asked of one run.

    `reaches_back` says that the buffer has media before the range in another run, so that a missing
    start is a hole and not the end of the buffer.
    """

    range: Interval
    when_short: WhenShort
    holes: Holes
    trim: Trim
    reaches_back: bool = False


@dataclass(frozen=True, slots=True)
class TrackPlan:
    """One track of the clip.

    Attributes:
        packets: How many it will have, hidden ones before the start included.
        key_frames: Presentation times of its key frames (video).
        start: First presentation time of its packets.
        end: End of its last frame.
    """

    track: Track
    pid: int
    packets: int
    key_frames: tuple[int, ...]
    start: int
    end: int
    frame_ticks: int


@dataclass(frozen=True, slots=True)
class Probing:
    """How far ffmpeg has to look for all tracks when one starts late."""

    microseconds: int
    size_bytes: int


@dataclass(frozen=True, slots=True)
class Plan:
    """One clip from one run.

    Attributes:
        origin: First presentation time in the segments: ffmpeg's time zero.
        start: First instant shown.
        end: End of the last frame shown.
        dts_limit: Packets decoded from here on are dropped; None keeps all.
        moov_bytes: Room to leave for the index in front of the media.
        size_bytes: Upper bound of the clip's size.
        packets_in_doubt: Packets of a track that may be cut in two where a segment was lost.
    """

    run: Run
    segments: tuple[ScannedSegment, ...]
    tracks: tuple[TrackPlan, ...]
    origin: int
    start: int
    end: int
    dts_limit: int | None
    moov_bytes: int
    size_bytes: int
    probing: Probing | None
    holes: tuple[Hole, ...]
    gaps: tuple[Gap, ...]
    packets_in_doubt: int

    @property
    def milliseconds(self) -> int:
        """Length as a player shows it."""
        return round((self.end - self.start) * 1000 / TICKS_PER_SECOND)

    @property
    def first_instant(self) -> datetime:
        """Capture time of the first instant shown."""
        return self.run.instant(self.start)

    @property
    def last_instant(self) -> datetime:
        """Capture time of the last instant shown."""
        return self.run.instant(self.end)


def make_plan(selection: Selection, wanted: Wanted) -> Plan:
    """Plan the clip.

    Args:
        selection: The scanned segments that hold media of the range.
        wanted: The range and what to do where it lacks something.

    Raises:
        CaptureFailedError: NoMedia, BufferTooShort, HolesInRange or UnsupportedLayout.
    """
    _refuse_mixed_formats(selection)
    _refuse_short(selection, wanted)
    lines = track_lines(selection, wanted.range)
    if not lines:
        raise _no_media(selection, wanted.range)
    origin = min(s.scan.start for s in selection.segments)
    start = origin if wanted.trim is Trim.SEGMENT else first_shown(lines, max(wanted.range.start, origin))
    limit = None if wanted.trim is Trim.SEGMENT else dts_limit(lines, wanted.range.end)
    tracks = tuple(_track_plan(line, limit) for line in lines)
    missing = _missing(selection, wanted, lines, limit)
    _refuse_holes(selection.run, wanted.holes, missing, Interval(start, max(t.end for t in tracks)))
    moov_bytes = _MOOV_BASE_BYTES + sum(_MOOV_BYTES_PER_PACKET[t.track] * t.packets for t in tracks)
    return Plan(
        run=selection.run,
        segments=selection.segments,
        tracks=tracks,
        origin=origin,
        start=start,
        end=max(t.end for t in tracks),
        dts_limit=limit,
        moov_bytes=moov_bytes,
        size_bytes=moov_bytes + sum(s.file.size_bytes for s in selection.segments),
        probing=_probing(selection, tracks),
        holes=tuple(_hole(selection.run, *h) for h in missing.holes),
        gaps=tuple(_gap(selection.run, *g) for g in missing.gaps),
        packets_in_doubt=_packets_in_doubt(selection),
    )


def _refuse_mixed_formats(selection: Selection) -> None:
    latest: dict[Track, TrackScan] = {}
    for segment in selection.segments:
        for scan in segment.scan.tracks:
            before = latest.get(scan.track)
            if before is not None and _differ(before, scan):
                raise _unsupported(
                    f"the {scan.track} format changes at {segment.file.path}: ask for a range on one side of "
                    f"{selection.run.instant(scan.start).isoformat()}"
                )
            if before is not None and scan.start < before.end - TICKS_PER_SECOND:
                raise _unsupported(
                    f"the {scan.track} timestamps go back at {segment.file.path}: "
                    "ask for a range on one side of it"
                )
            latest[scan.track] = scan


def _differ(before: TrackScan, after: TrackScan) -> bool:
    # A segment without a key frame does not tell its parameters.
    parameters = {before.parameters, after.parameters} - {""}
    return before.pid != after.pid or len(parameters) > 1


def _refuse_short(selection: Selection, wanted: Wanted) -> None:
    if not selection.segments or selection.oldest_ticks is None:
        raise _no_media(selection, wanted.range)
    too_short = selection.oldest_ticks > wanted.range.start + MIN_PAUSE_TICKS and not wanted.reaches_back
    if too_short and wanted.when_short is WhenShort.FAIL:
        raise CaptureFailedError(
            CaptureErrorReason.BUFFER_TOO_SHORT,
            f"the buffer does not reach back to {selection.run.instant(wanted.range.start).isoformat()}; "
            f"it begins at {selection.run.instant(selection.oldest_ticks).isoformat()}: "
            "ask for a later start, or set whenShort to Clamp",
        )


def _track_plan(line: Line, limit: int | None) -> TrackPlan:
    packets = line.kept(limit)
    pts = line.pts[:packets]
    return TrackPlan(
        track=line.track,
        pid=line.pid,
        packets=packets,
        key_frames=tuple(k for k in line.key_frames if k <= max(pts)),
        start=min(pts),
        end=max(pts) + line.frame_ticks,
        frame_ticks=line.frame_ticks,
    )


def _missing(selection: Selection, wanted: Wanted, lines: list[Line], limit: int | None) -> MissingMedia:
    start = wanted.range.start
    if selection.oldest_ticks is not None and not wanted.reaches_back:
        start = max(start, selection.oldest_ticks)
    kept: dict[Track, Sequence[int]] = {line.track: line.pts[: line.kept(limit)] for line in lines}
    for track in _expected_tracks(selection.run):
        kept.setdefault(track, ())
    return missing_media(selection, kept, Interval(start, max(start, wanted.range.end)))


def _expected_tracks(run: Run) -> list[Track]:
    if run.file is None:
        return []
    asked = ((Track.VIDEO, run.file.video_track), (Track.AUDIO, run.file.audio_track))
    return [track for track, track_id in asked if track_id]


def _refuse_holes(run: Run, policy: Holes, missing: MissingMedia, shown: Interval) -> None:
    if policy is Holes.FAIL and missing.holes:
        first, reason = missing.holes[0]
        raise CaptureFailedError(
            CaptureErrorReason.HOLES_IN_RANGE,
            f"{len(missing.holes)} stretches of the range were not recorded, the first from "
            f"{run.instant(first.start).isoformat()} for {_milliseconds(first)} ms ({reason}): "
            "ask for another range, or set holes to Keep",
        )
    if policy is Holes.CLOSE and any(shown.start < h.start and h.end < shown.end for h, _ in missing.holes):
        raise _unsupported(
            "a hole lies inside the range, and closing holes is not supported yet: set holes to Keep"
        )


def _packets_in_doubt(selection: Selection) -> int:
    """One packet at each edge of a lost segment: an indexes' jump, or the last before lost ones."""
    indexes = [s.file.index for s in selection.segments]
    return 2 * sum(1 for lost in selection.lost_indexes if indexes[0] < lost < indexes[-1])


def _probing(selection: Selection, tracks: tuple[TrackPlan, ...]) -> Probing | None:
    """Widen ffmpeg's probing when a track starts late; else it fails, or drops the picture in silence."""
    origin = min(s.scan.start for s in selection.segments)
    latest = max(t.start for t in tracks) - origin
    farthest = max(_first_byte(selection, t.track) for t in tracks)
    if latest <= _DEFAULT_PROBE_TICKS and farthest <= _DEFAULT_PROBE_BYTES:
        return None
    return Probing(
        microseconds=(latest + 10 * TICKS_PER_SECOND) * 100 // 9,
        size_bytes=farthest + 4 * _DEFAULT_PROBE_BYTES,
    )


def _first_byte(selection: Selection, track: Track) -> int:
    before = 0
    for segment in selection.segments:
        for scan in segment.scan.tracks:
            if scan.track is track:
                return before + scan.first_byte
        before += segment.scan.size_bytes
    return before


def _no_media(selection: Selection, wanted: Interval) -> CaptureFailedError:
    run = selection.run
    return CaptureFailedError(
        CaptureErrorReason.NO_MEDIA,
        f"run {run.directory.name} has no media between {run.instant(wanted.start).isoformat()} and "
        f"{run.instant(wanted.end).isoformat()}: ask for a range that was recorded",
    )


def _unsupported(sentence: str) -> CaptureFailedError:
    return CaptureFailedError(CaptureErrorReason.UNSUPPORTED_LAYOUT, sentence)


def _milliseconds(interval: Interval) -> int:
    return round(interval.ticks * 1000 / TICKS_PER_SECOND)


def _hole(run: Run, hole: Interval, reason: HoleReason) -> Hole:
    return Hole(start=run.instant(hole.start), milliseconds=_milliseconds(hole), reason=reason)


def _gap(run: Run, gap: Interval, track: Track) -> Gap:
    return Gap(track=track, start=run.instant(gap.start), milliseconds=_milliseconds(gap))
