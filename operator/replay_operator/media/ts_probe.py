"""Scans one MPEG-TS segment: every packet of every track with its times, in one pass of pure Python.

Head and tail alone are not enough: the first packet of the other track can lie 300 kB in, and the counts
are what the finished MP4 is compared with.
"""

from __future__ import annotations

import hashlib
import re
from array import array
from dataclasses import dataclass, replace

from replay_operator.api.replaycapture import Track
from replay_operator.media.timeline import MEDIA_EPOCH_TICKS, TICKS_PER_SECOND, frame_ticks, ticks
from replay_operator.media.ts_grid import TS_PACKET_BYTES, NotMpegTsError, TsGrid, program_tracks
from replay_operator.media.ts_pes import PesHead, pes_heads

_AAC_FRAME_SAMPLES = 1024
_ADTS_RATES_HZ = (96000, 88200, 64000, 48000, 44100, 32000, 24000, 22050, 16000, 12000, 11025, 8000, 7350)
_ADTS_HEADER_BYTES = 7
_NAL_TYPE = re.compile(rb"\x00\x00\x01(.)", re.DOTALL)
_NAL_IDR, _NAL_SPS, _NAL_PPS = 5, 7, 8
_TS_PAYLOAD_BYTES = 184
_KEY_FRAME_HEAD_PACKETS = 16
"""TS packets searched for parameter sets and the IDR slice; they come first in the key frame."""


@dataclass(frozen=True, slots=True)
class TrackScan:
    """One track in one segment.

    Attributes:
        pid: Its packet identifier.
        pts: Presentation time of each packet (a frame) in decode order, ticks, wrap unrolled.
        dts: Decode times, same order.
        key_frames: Positions of key frames (video only).
        parameters: What must not change within a clip: a digest of SPS and PPS, or `rate/channels`.
        frame_ticks: Usual length of a frame.
        first_byte: Where its first packet lies in the segment.
        units: Positions at which a PES packet begins, where some hold several frames; empty where each
            frame has its own. Sound can be cut there and nowhere else.
    """

    track: Track
    pid: int
    pts: array[int]
    dts: array[int]
    key_frames: tuple[int, ...]
    parameters: str
    frame_ticks: int
    first_byte: int
    units: tuple[int, ...] = ()

    @property
    def start(self) -> int:
        """First presentation time."""
        return min(self.pts)

    @property
    def end(self) -> int:
        """End of the last frame."""
        return max(self.pts) + self.frame_ticks

    def moved(self, shift: int) -> TrackScan:
        """Give the same track that many ticks later."""
        pts = ticks(p + shift for p in self.pts)
        dts = pts if self.dts is self.pts else ticks(d + shift for d in self.dts)
        return replace(self, pts=pts, dts=dts)


@dataclass(frozen=True, slots=True)
class SegmentScan:
    """All that a plan needs to know about one segment. Video comes first in `tracks`."""

    size_bytes: int
    tracks: tuple[TrackScan, ...]

    @property
    def start(self) -> int:
        """First presentation time of any track."""
        return min(t.start for t in self.tracks)

    @property
    def picture_start(self) -> int:
        """First presentation time of the video, or of the sound when there is no video.

        The worker begins a segment at a key frame; sound begins up to 60 ms before or after it.
        """
        return self.tracks[0].start

    @property
    def end(self) -> int:
        """End of the last frame of any track."""
        return max(t.end for t in self.tracks)

    def moved(self, shift: int) -> SegmentScan:
        """Give the same segment that many ticks later."""
        return replace(self, tracks=tuple(t.moved(shift) for t in self.tracks)) if shift else self


def scan_segment(data: bytes, *, near_ticks: int = MEDIA_EPOCH_TICKS) -> SegmentScan:
    """Scan a whole segment.

    Args:
        data: The file.
        near_ticks: About where on the run's timeline the segment lies: PTS has 33 bits and wraps after
            26.5 hours; each is taken as the value nearest to this one.

    Raises:
        NotMpegTsError: It is not MPEG-TS, or has no H.264 or AAC packet.
    """
    grid = TsGrid(data)
    starts = grid.starts()
    tracks: list[TrackScan] = []
    for pid, track in program_tracks(grid, starts).items():
        pes = pes_heads(grid, starts.get(pid, []), near_ticks)
        if pes:
            tracks.append(_video(grid, pid, pes) if track is Track.VIDEO else _audio(grid, pid, pes))
    if not tracks:
        raise NotMpegTsError("no H.264 or AAC packet in it")
    return SegmentScan(
        size_bytes=len(data), tracks=tuple(sorted(tracks, key=lambda t: t.track, reverse=True))
    )


def _video(grid: TsGrid, pid: int, pes: list[PesHead]) -> TrackScan:
    pts = ticks(p.pts for p in pes)
    marked = [i for i, p in enumerate(pes) if grid.is_random_access(p.row)]
    sets = hashlib.sha256()
    keys: list[int] = []
    for position in marked or range(len(pes)):
        until = pes[position + 1].row if position + 1 < len(pes) else grid.rows
        head = grid.payload_of(pid, pes[position].row, until, most=_KEY_FRAME_HEAD_PACKETS)
        if _is_key_frame(head, sets if not keys else None):
            keys.append(position)
    return TrackScan(
        track=Track.VIDEO,
        pid=pid,
        pts=pts,
        dts=ticks(p.dts for p in pes),
        key_frames=tuple(keys),
        parameters=sets.hexdigest()[:16] if keys else "",
        frame_ticks=frame_ticks(pts),
        first_byte=pes[0].row * TS_PACKET_BYTES,
    )


def _is_key_frame(head: bytes, sets: hashlib._Hash | None) -> bool:
    """Look for an IDR slice; feed the parameter sets before it to a digest."""
    nals = [(m.start(), m.end(), m.group(1)[0] & 0x1F) for m in _NAL_TYPE.finditer(head)]
    for number, (_, begin, kind) in enumerate(nals):
        if kind == _NAL_IDR:
            return True
        if sets is not None and kind in (_NAL_SPS, _NAL_PPS) and number + 1 < len(nals):
            sets.update(head[begin - 1 : nals[number + 1][0]].rstrip(b"\x00"))
    return False


def _audio(grid: TsGrid, pid: int, pes: list[PesHead]) -> TrackScan:
    _refuse_cut_off(grid, pid, pes[-1])
    pts = ticks()
    units: list[int] = []
    parameters = ""
    step = 0
    for number, packet in enumerate(pes):
        frames = 1
        header = grid.data[packet.payload_at : packet.payload_at + _ADTS_HEADER_BYTES]
        if not parameters and (read := _adts_parameters(header)) is not None:
            rate_hz, channels = read
            parameters = f"{rate_hz}/{channels}"
            step = _AAC_FRAME_SAMPLES * TICKS_PER_SECOND // rate_hz
        # One frame to a PES packet is what the worker writes; others pack several.
        if _adts_frame_bytes(header) != packet.payload_bytes:
            until = pes[number + 1].row if number + 1 < len(pes) else grid.rows
            frames = _adts_frames(grid, pid, packet, until)
        units.append(len(pts))
        pts.extend(packet.pts + n * step for n in range(frames))
    return TrackScan(
        track=Track.AUDIO,
        pid=pid,
        pts=pts,
        dts=pts,
        key_frames=(),
        parameters=parameters,
        frame_ticks=step or frame_ticks(pts),
        first_byte=pes[0].row * TS_PACKET_BYTES,
        units=tuple(units) if len(units) < len(pts) else (),
    )


def _refuse_cut_off(grid: TsGrid, pid: int, last: PesHead) -> None:
    """Refuse a segment that ends inside a packet of sound: ffmpeg gives up at half an AAC frame."""
    if last.payload_bytes is None:
        return
    header = last.payload_at - grid.payload(last.row)[0]
    needed = header + last.payload_bytes
    # With an adaptation field in each a packet holds less than 184 bytes, but only the last one has it.
    found = len(grid.payload_of(pid, last.row, grid.rows, most=needed // _TS_PAYLOAD_BYTES + 2))
    if found < needed:
        raise NotMpegTsError(f"it is cut off inside a packet of sound, of which {needed - found} bytes lack")


def _adts_parameters(header: bytes) -> tuple[int, int] | None:
    if _adts_frame_bytes(header) is None:
        return None
    rate = header[2] >> 2 & 0x0F
    if rate >= len(_ADTS_RATES_HZ):
        return None
    return _ADTS_RATES_HZ[rate], (header[2] & 1) << 2 | header[3] >> 6


def _adts_frame_bytes(header: bytes) -> int | None:
    if len(header) < _ADTS_HEADER_BYTES or header[0] != 0xFF or header[1] & 0xF6 != 0xF0:  # noqa: PLR2004 - syncword
        return None
    length = (header[3] & 3) << 11 | header[4] << 3 | header[5] >> 5
    return length if length >= _ADTS_HEADER_BYTES else None


def _adts_frames(grid: TsGrid, pid: int, packet: PesHead, until: int) -> int:
    """Count the ADTS frames that begin in one PES packet; 1 when it cannot be told."""
    payload = grid.payload_of(pid, packet.row, until)
    at = packet.payload_at - grid.payload(packet.row)[0]
    frames = 0
    while (length := _adts_frame_bytes(payload[at : at + _ADTS_HEADER_BYTES])) is not None:
        frames += 1
        at += length
    return max(frames, 1)
