"""Where a clip begins and ends on the packets of its tracks. Pure."""

from __future__ import annotations

from array import array
from dataclasses import dataclass

from replay_operator.api.replaycapture import Track
from replay_operator.media.selection import Selection
from replay_operator.media.timeline import MIN_PAUSE_TICKS, Interval, first_clean_cut, frame_ticks, ticks


@dataclass(frozen=True, slots=True)
class Line:
    """All packets of one track in the selected segments, in decode order."""

    track: Track
    pid: int
    pts: array[int]
    dts: array[int]
    key_frames: tuple[int, ...]
    frame_ticks: int

    def kept(self, limit: int | None) -> int:
        """Count the packets before the limit. ffmpeg ends a track at the first one that reaches it."""
        if limit is None:
            return len(self.pts)
        return next((i for i, d in enumerate(self.dts) if d >= limit), len(self.dts))


def track_lines(selection: Selection, wanted: Interval) -> list[Line]:
    """Join each track over the segments; a track without a frame in the range is left out of the clip."""
    lines = []
    for track in (Track.VIDEO, Track.AUDIO):
        scans = [t for s in selection.segments for t in s.scan.tracks if t.track is track]
        pts, dts = ticks(), ticks()
        keys: list[int] = []
        for scan in scans:
            keys.extend(scan.pts[position] for position in scan.key_frames)
            pts.extend(scan.pts)
            dts.extend(scan.dts)
        if any(wanted.start <= p < wanted.end for p in pts):
            frame = frame_ticks(pts) or scans[0].frame_ticks
            lines.append(Line(track, scans[0].pid, pts, dts, tuple(keys), frame))
    return lines


def first_shown(lines: list[Line], start: int) -> int:
    """Choose the first instant shown: a frame's own time, so that every player agrees on it.

    A player may show the frame before, or shift the track, when the edit begins inside a frame. Where the
    picture pauses at the start the clip begins with the held frame, earlier than asked but whole.
    """
    lead = lines[0]
    after = min((p for p in lead.pts if p >= start), default=start)
    before = max((p for p in lead.pts if p < start), default=start)
    if after - start <= max(MIN_PAUSE_TICKS, 2 * lead.frame_ticks):
        return after
    return before


def dts_limit(lines: list[Line], end: int) -> int | None:
    """Choose where to stop: one DTS for all tracks, the only way in which ffmpeg can cut while copying.

    The cut is clean for the picture, and not before the end, so that sound reaches the end too.
    """
    not_before = end
    for line in lines:
        cut = first_clean_cut(line.pts, line.dts, not_before)
        if cut is not None:
            # Half-way between two packets, so that rounding to microseconds cannot move the cut.
            return (cut.last_kept_dts + cut.first_dropped_dts + 1) // 2
        not_before = max(not_before, max(line.dts) + 1)
    return None
