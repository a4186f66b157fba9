"""Where a clip begins and ends on the packets of its tracks. Pure."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from itertools import pairwise
from pathlib import Path

from replay_operator.api.replaycapture import Track, Trim
from replay_operator.media.selection import ScannedSegment, Selection
from replay_operator.media.splice import Piece, splice, strand_of
from replay_operator.media.timeline import (
    MIN_PAUSE_TICKS,
    Interval,
    closed_before,
    first_clean_cut,
    frame_ticks,
    ticks,
)
from replay_operator.media.ts_excerpt import OUTPUT_PIDS

_TRACKS = (Track.VIDEO, Track.AUDIO)


@dataclass(frozen=True, slots=True)
class KeptTrack:
    """What the clip will have of one track.

    Attributes:
        pid: Its packet identifier in what ffmpeg reads.
        pts: Presentation times in decode order.
        dts: Decode times, same order; empty when no limit on them is needed.
        key_frames: Presentation times of its key frames.
        first_byte: About where ffmpeg meets its first packet; never too low.
    """

    track: Track
    pid: int
    pts: Sequence[int]
    dts: Sequence[int]
    key_frames: tuple[int, ...]
    frame_ticks: int
    first_byte: int

    def before(self, limit: int | None) -> KeptTrack:
        """Drop what ffmpeg drops: it ends a track at the first packet decoded at the limit or later."""
        kept = next((i for i, d in enumerate(self.dts) if limit is not None and d >= limit), len(self.dts))
        pts = self.pts[:kept]
        newest = max(pts, default=0)
        keys = tuple(k for k in self.key_frames if k <= newest)
        return replace(self, pts=pts, dts=self.dts[:kept], key_frames=keys)


@dataclass(frozen=True, slots=True)
class Share:
    """Consecutive packets of one track in one segment that go into the clip.

    Attributes:
        selection: The run that the segment is of.
        first: Position of the first packet, counted in the segment.
        last: One past the last.
        start: First presentation time among them.
    """

    selection: Selection
    segment: ScannedSegment
    track: Track
    first: int
    last: int
    start: int


@dataclass(frozen=True, slots=True)
class Cut:
    """What goes into the clip.

    Attributes:
        tracks: Video first. At least one.
        segments: All that are read.
        origin: First presentation time of any track, in the clip or not: ffmpeg's time zero.
        start: First instant shown.
        dts_limit: ffmpeg drops packets decoded from here on; None keeps all.
        shares: What to take from which segment, in this order. Empty: every segment goes in as it is.
    """

    tracks: tuple[KeptTrack, ...]
    segments: tuple[ScannedSegment, ...]
    origin: int
    start: int
    dts_limit: int | None = None
    shares: tuple[Share, ...] = ()

    def closing(self, holes: Sequence[Interval]) -> Cut:
        """Take stretches without media out of the timeline. Shares keep their times: see `closed_before`."""
        if not holes:
            return self
        moved = (
            replace(
                t,
                pts=[p - closed_before(holes, p) for p in t.pts],
                key_frames=tuple(k - closed_before(holes, k) for k in t.key_frames),
            )
            for t in self.tracks
        )
        return replace(self, tracks=tuple(moved), start=self.start - closed_before(holes, self.start))


def cut_run(selection: Selection, wanted: Interval, trim: Trim) -> Cut | None:
    """Cut a clip out of one run, by a limit on DTS. None when no track has a frame in the range."""
    found = [t for track in _TRACKS if (t := _whole_track(selection, track)) is not None]
    tracks = [t for t in found if any(wanted.start <= p < wanted.end for p in t.pts)]
    if not tracks:
        return None
    limit = None if trim is Trim.SEGMENT else _dts_limit(tracks, wanted.end)
    origin = selection.span.start
    start = origin if trim is Trim.SEGMENT else _first_shown(tracks[0], max(wanted.start, origin))
    return Cut(tuple(t.before(limit) for t in tracks), selection.segments, origin, start, dts_limit=limit)


def splice_runs(selections: Sequence[Selection], wanted: Interval, trim: Trim) -> Cut | None:
    """Cut a clip out of several runs, packet by packet. None when no track has a frame in the range.

    Args:
        selections: Runs of one format on one timeline, the earliest start first.
        wanted: The range.
        trim: Whether the clip ends at the end of the range or with its last segment.
    """
    pieces: dict[Track, list[Piece]] = {}
    for track in _TRACKS:
        strands = [s for selection in selections if (s := strand_of(selection, track)) is not None]
        # Sound goes back as far as the hidden start of the picture.
        start = min([wanted.start, *(min(p.pts) for p in pieces.get(Track.VIDEO, [])[:1])])
        chosen = splice(strands, Interval(start, wanted.end), trim_end=trim is Trim.EXACT)
        if any(wanted.start <= p < wanted.end for piece in chosen for p in piece.pts):
            pieces[track] = chosen
    if not pieces:
        return None
    shares = sorted(
        (s for found in pieces.values() for p in found for s in _shares(p)), key=lambda s: s.start
    )
    segments = tuple({s.segment.file.path: s.segment for s in shares}.values())
    tracks = tuple(_spliced_track(track, found, shares) for track, found in pieces.items())
    origin = min(min(t.pts) for t in tracks)
    first = origin if trim is Trim.SEGMENT else _first_shown(tracks[0], max(wanted.start, origin))
    return Cut(tracks, segments, origin, first, shares=tuple(shares))


def _whole_track(selection: Selection, track: Track) -> KeptTrack | None:
    pts, dts = ticks(), ticks()
    keys: list[int] = []
    frame = pid = first_byte = before = 0
    for segment in selection.segments:
        for scan in segment.scan.tracks:
            if scan.track is track:
                if not pts:
                    pid, frame, first_byte = scan.pid, scan.frame_ticks, before + scan.first_byte
                keys.extend(scan.pts[position] for position in scan.key_frames)
                pts.extend(scan.pts)
                dts.extend(scan.dts)
        before += segment.scan.size_bytes
    if not pts:
        return None
    return KeptTrack(track, pid, pts, dts, tuple(keys), frame_ticks(pts) or frame, first_byte)


def _spliced_track(track: Track, pieces: list[Piece], shares: list[Share]) -> KeptTrack:
    pts = ticks(p for piece in pieces for p in piece.pts)
    entries = ((piece, e) for piece in pieces for e in piece.strand.entries)
    shown = (piece.strand.pts[e] for piece, e in entries if piece.first <= e < piece.last)
    keys = tuple(shown) if track is Track.VIDEO else ()
    frame = frame_ticks(pts) or pieces[0].strand.frame_ticks
    return KeptTrack(track, OUTPUT_PIDS[track], pts, (), keys, frame, _bytes_before(track, shares))


def _bytes_before(track: Track, shares: list[Share]) -> int:
    read: dict[Path, int] = {}
    for share in shares:
        size = share.segment.scan.size_bytes
        if share.track is track:
            first = next(t.first_byte for t in share.segment.scan.tracks if t.track is track)
            others = sum(size for path, size in read.items() if path != share.segment.file.path)
            return others + (size if share.first else first)
        read[share.segment.file.path] = size
    return 0


def _shares(piece: Piece) -> list[Share]:
    strand = piece.strand
    shares = []
    for segment, (begin, end) in zip(strand.segments, pairwise(strand.offsets), strict=True):
        first, last = max(piece.first, begin), min(piece.last, end)
        if first < last:
            start = min(strand.pts[first:last])
            shares.append(Share(strand.selection, segment, strand.track, first - begin, last - begin, start))
    return shares


def _first_shown(lead: KeptTrack, start: int) -> int:
    """Choose the first instant shown: a frame's own time, so that every player agrees on it.

    A player may show the frame before, or shift the track, when the edit begins inside a frame. Where the
    picture pauses at the start the clip begins with the held frame, earlier than asked but whole.
    """
    after = min((p for p in lead.pts if p >= start), default=start)
    before = max((p for p in lead.pts if p < start), default=start)
    if after - start <= max(MIN_PAUSE_TICKS, 2 * lead.frame_ticks):
        return after
    return before


def _dts_limit(tracks: Sequence[KeptTrack], end: int) -> int | None:
    """Choose where to stop: one DTS for all tracks, the only way in which ffmpeg can cut while copying.

    The cut is clean for the picture, and not before the end, so that sound reaches the end too.
    """
    not_before = end
    for track in tracks:
        cut = first_clean_cut(track.pts, track.dts, not_before)
        if cut is not None:
            # Half-way between two packets, so that rounding to microseconds cannot move the cut.
            return (cut.last_kept_dts + cut.first_dropped_dts + 1) // 2
        not_before = max(not_before, max(track.dts) + 1)
    return None
