"""Decides what a clip will be before a byte of it is written. Pure: scanned segments in, plan or refusal out.

A plan is exact. It predicts the packets and the length of each track, so that the finished file can be
held against it: ffmpeg's exit code proves nothing.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime

from replay_operator.api.replaycapture import Clock, Gap, Hole, Holes, Track, Trim, WhenShort
from replay_operator.media.coverage import MissingMedia, missing_media
from replay_operator.media.cut import Cut, KeptTrack, Share, cut_run, splice_runs
from replay_operator.media.formats import Part, part_that_holds_the_end
from replay_operator.media.refusals import no_media, refuse_format_change_inside, refuse_holes, refuse_short
from replay_operator.media.runs import Run
from replay_operator.media.selection import ScannedSegment, Selection
from replay_operator.media.timeline import (
    MIN_PAUSE_TICKS,
    TICKS_PER_SECOND,
    Interval,
    common,
    milliseconds,
)

_MOOV_BASE_BYTES = 8 * 1024
_MOOV_BYTES_PER_PACKET = {Track.VIDEO: 40, Track.AUDIO: 32}
"""Worst case of the sample tables (DESIGN §7): 2.6 times what a healthy run needs."""

_DEFAULT_PROBE_TICKS = 2 * TICKS_PER_SECOND
_DEFAULT_PROBE_BYTES = 2_000_000
"""A track that starts within these is found by ffmpeg's default probing (5 s, 5 MB) with room to spare."""

_CLOCKS_BEST_FIRST = tuple(Clock)


@dataclass(frozen=True, slots=True)
class Wanted:
    """What is asked of a buffer.

    `range` lies on the timeline of the first run. `reaches_back` says that the buffer has media before
    the range in another run, so that a missing start is a hole and not the end of the buffer. `in_shares`
    asks for a plan of shares even where whole segments would do.
    """

    range: Interval
    when_short: WhenShort
    holes: Holes
    trim: Trim
    reaches_back: bool = False
    in_shares: bool = False


@dataclass(frozen=True, slots=True)
class TrackPlan:
    """One track of the clip.

    Attributes:
        pid: Its packet identifier in what ffmpeg reads.
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
    """One clip. All times are on the timeline of the first run, less the stretches in `closed`.

    Attributes:
        runs: How many runs it is made from.
        clock: The worst clock that any of them has.
        segments: All that are read.
        shares: What to take from which segment. Empty: every segment goes in as it is.
        closed: Holes that are taken out of the timeline.
        origin: First presentation time: ffmpeg's time zero.
        start: First instant shown.
        end: End of the last frame shown.
        first_instant: Capture time of the first instant shown.
        last_instant: Capture time of the last instant shown.
        dts_limit: Packets decoded from here on are dropped; None keeps all.
        moov_bytes: Room to leave for the index in front of the media.
        size_bytes: Upper bound of the clip's size.
        packets_in_doubt: Packets of a track that may be cut in two where a segment was lost.
    """

    runs: int
    clock: Clock
    segments: tuple[ScannedSegment, ...]
    shares: tuple[Share, ...]
    closed: tuple[Interval, ...]
    tracks: tuple[TrackPlan, ...]
    origin: int
    start: int
    end: int
    first_instant: datetime
    last_instant: datetime
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
        return milliseconds(self.end - self.start)


def make_plan(selections: Sequence[Selection], wanted: Wanted) -> Plan:
    """Plan the clip.

    Args:
        selections: For each run, the scanned segments that hold media of the range. All on one timeline,
            that of the first run.
        wanted: The range and what to do where it lacks something.

    Raises:
        CaptureFailedError: NoMedia, BufferTooShort, HolesInRange or UnsupportedLayout.
    """
    reference = selections[0].run
    found = _that_matter(selections, wanted.range)
    if not found:
        raise no_media(reference, wanted.range)
    for selection in found:
        refuse_format_change_inside(selection)
    refuse_short(reference, found, wanted.range.start, wanted.when_short, reaches_back=wanted.reaches_back)
    part = part_that_holds_the_end(found, wanted.range.end)
    if len(part.selections) == 1 and not wanted.in_shares:
        cut = cut_run(part.selections[0], wanted.range, wanted.trim)
    else:
        cut = splice_runs(part.selections, wanted.range, wanted.trim)
    if cut is None:
        raise no_media(reference, wanted.range)
    missing = _missing(found, part, wanted, cut.tracks)
    if wanted.holes is Holes.FAIL:
        refuse_holes(reference, missing.holes)
    if wanted.holes is Holes.CLOSE and (inner := _inner_holes(cut, missing)):
        spliced = splice_runs(part.selections, wanted.range, wanted.trim) or cut
        return _plan(reference, part, spliced, missing, inner)
    return _plan(reference, part, cut, missing, ())


def _that_matter(selections: Sequence[Selection], wanted: Interval) -> list[Selection]:
    """Leave out runs that reach into the range by a few frames only, unless there are no others.

    Twenty milliseconds at the start would cost a hidden segment, and hold its last picture up to the next.
    """
    found = [s for s in selections if s.segments]
    more = [s for s in found if sum(i.ticks for i in common([s.span], [wanted])) > MIN_PAUSE_TICKS]
    return more or found


def _plan(reference: Run, part: Part, cut: Cut, missing: MissingMedia, closed: tuple[Interval, ...]) -> Plan:
    end = _end(cut.tracks)
    first_instant, last_instant = reference.instant(cut.start), reference.instant(end)
    probing = _probing(cut)
    cut = cut.closing(closed)
    tracks = tuple(_track_plan(track) for track in cut.tracks)
    moov_bytes = _MOOV_BASE_BYTES + sum(_MOOV_BYTES_PER_PACKET[t.track] * t.packets for t in tracks)
    read = {s.file.path for s in cut.segments}
    used = [s for s in part.selections if any(g.file.path in read for g in s.segments)]
    return Plan(
        runs=len(used),
        clock=max((s.run.clock for s in used), key=_CLOCKS_BEST_FIRST.index),
        segments=cut.segments,
        shares=cut.shares,
        closed=closed,
        tracks=tracks,
        origin=cut.origin,
        start=cut.start,
        end=_end(cut.tracks),
        first_instant=first_instant,
        last_instant=last_instant,
        dts_limit=cut.dts_limit,
        moov_bytes=moov_bytes,
        size_bytes=moov_bytes + sum(s.file.size_bytes for s in cut.segments),
        probing=probing,
        holes=tuple(
            Hole(start=reference.instant(h.start), milliseconds=milliseconds(h.ticks), reason=r)
            for h, r in missing.holes
        ),
        gaps=tuple(
            Gap(track=t, start=reference.instant(g.start), milliseconds=milliseconds(g.ticks))
            for g, t in missing.gaps
        ),
        packets_in_doubt=sum(_packets_in_doubt(s) for s in used),
    )


def _track_plan(kept: KeptTrack) -> TrackPlan:
    return TrackPlan(
        track=kept.track,
        pid=kept.pid,
        packets=len(kept.pts),
        key_frames=kept.key_frames,
        start=min(kept.pts),
        end=max(kept.pts) + kept.frame_ticks,
        frame_ticks=kept.frame_ticks,
    )


def _end(tracks: Sequence[KeptTrack]) -> int:
    return max(max(t.pts) + t.frame_ticks for t in tracks)


def _missing(
    found: Sequence[Selection], part: Part, wanted: Wanted, tracks: Sequence[KeptTrack]
) -> MissingMedia:
    start = wanted.range.start
    if not wanted.reaches_back:
        start = max(start, min(s.oldest_ticks for s in found if s.oldest_ticks is not None))
    kept: dict[Track, Sequence[int]] = {t.track: t.pts for t in tracks}
    for selection in part.selections:
        for track in _asked_tracks(selection.run):
            kept.setdefault(track, ())
    return missing_media(part, kept, Interval(start, max(start, wanted.range.end)))


def _asked_tracks(run: Run) -> list[Track]:
    if run.file is None:
        return []
    asked = ((Track.VIDEO, run.file.video_track), (Track.AUDIO, run.file.audio_track))
    return [track for track, track_id in asked if track_id]


def _inner_holes(cut: Cut, missing: MissingMedia) -> tuple[Interval, ...]:
    end = _end(cut.tracks)
    return tuple(h for h, _ in missing.holes if cut.start < h.start and h.end < end)


def _packets_in_doubt(selection: Selection) -> int:
    """One packet at each edge of a lost segment: an indexes' jump, or the last before lost ones."""
    indexes = [s.file.index for s in selection.segments]
    return 2 * sum(1 for lost in selection.lost_indexes if indexes[0] < lost < indexes[-1])


def _probing(cut: Cut) -> Probing | None:
    """Widen ffmpeg's probing when a track starts late; else it fails, or drops the picture in silence."""
    latest = max(min(t.pts) for t in cut.tracks) - cut.origin
    farthest = max(t.first_byte for t in cut.tracks)
    if latest <= _DEFAULT_PROBE_TICKS and farthest <= _DEFAULT_PROBE_BYTES:
        return None
    return Probing(
        microseconds=(latest + 10 * TICKS_PER_SECOND) * 100 // 9,
        size_bytes=farthest + 4 * _DEFAULT_PROBE_BYTES,
    )
