"""Scans one MPEG-TS segment: every packet of every track with its times, in one pass of pure Python.

Head and tail alone are not enough: the first packet of the other track can lie 300 kB in, and the counts
are what the finished MP4 is compared with.
"""

from __future__ import annotations

import hashlib
import re
import struct
from array import array
from dataclasses import dataclass, field, replace
from operator import add

from replay_operator.api.replaycapture import Track
from replay_operator.media.timeline import MEDIA_EPOCH_TICKS, TICKS_PER_SECOND, frame_ticks, ticks
from replay_operator.media.ts_grid import TS_PACKET_BYTES, NotMpegTsError, TsGrid, program_tracks
from replay_operator.media.ts_pes import PesHeads, pes_heads

_AAC_FRAME_SAMPLES = 1024
_ADTS_RATES_HZ = (96000, 88200, 64000, 48000, 44100, 32000, 24000, 22050, 16000, 12000, 11025, 8000, 7350)
_ADTS_HEADER_BYTES = 7
_ADTS_LENGTH = struct.Struct(">3xHBx")
_SYNC = 0xFF
_IS_ADTS = bytes(byte & 0xF6 == 0xF0 for byte in range(256))  # noqa: PLR2004 - the rest of the syncword, layer 0
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
        start: First presentation time.
        end: End of the last frame.
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
    start: int = field(init=False, compare=False)
    end: int = field(init=False, compare=False)

    def __post_init__(self) -> None:
        # Asked for a dozen times for each segment of a plan.
        object.__setattr__(self, "start", min(self.pts))
        object.__setattr__(self, "end", max(self.pts) + self.frame_ticks)

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
        if pes.rows:
            tracks.append(_video(grid, pid, pes) if track is Track.VIDEO else _audio(grid, pid, pes))
    if not tracks:
        raise NotMpegTsError("no H.264 or AAC packet in it")
    return SegmentScan(
        size_bytes=len(data), tracks=tuple(sorted(tracks, key=lambda t: t.track, reverse=True))
    )


def _video(grid: TsGrid, pid: int, pes: PesHeads) -> TrackScan:
    rows = pes.rows
    marked = grid.random_access(rows)
    sets = hashlib.sha256()
    keys: list[int] = []
    for position in marked or range(len(rows)):
        until = pes.row_after(position, grid.rows)
        head = grid.payload_of(pid, rows[position], until, most=_KEY_FRAME_HEAD_PACKETS)
        if _is_key_frame(head, sets if not keys else None):
            keys.append(position)
    return TrackScan(
        track=Track.VIDEO,
        pid=pid,
        pts=pes.pts,
        dts=pes.dts,
        key_frames=tuple(keys),
        parameters=sets.hexdigest()[:16] if keys else "",
        frame_ticks=frame_ticks(pes.pts),
        first_byte=rows[0] * TS_PACKET_BYTES,
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


def _audio(grid: TsGrid, pid: int, pes: PesHeads) -> TrackScan:
    _refuse_cut_off(grid, pid, pes)
    begins = list(map(add, pes.begins, pes.header_bytes))
    headers = [grid.data[at : at + _ADTS_HEADER_BYTES] for at in begins]
    read = next((found for header in headers if (found := _adts_parameters(header)) is not None), None)
    rate_hz, channels = read or (0, 0)
    step = _AAC_FRAME_SAMPLES * TICKS_PER_SECOND // rate_hz if rate_hz else 0
    pts, units = pes.pts, list[int]()
    # One frame to a PES packet is what the worker writes; others pack several.
    if not _fills_each(b"".join(headers), pes):
        pts, units = _unpacked(grid, pid, pes, headers, step)
    return TrackScan(
        track=Track.AUDIO,
        pid=pid,
        pts=pts,
        dts=pts,
        key_frames=(),
        parameters=f"{rate_hz}/{channels}" if read else "",
        frame_ticks=step or frame_ticks(pts),
        first_byte=pes.rows[0] * TS_PACKET_BYTES,
        units=tuple(units) if len(units) < len(pts) else (),
    )


def _fills_each(headers: bytes, pes: PesHeads) -> bool:
    """Say whether each PES packet holds exactly one ADTS frame, all at once: see `_adts_frame_bytes`."""
    found = len(pes.rows)
    if len(headers) != found * _ADTS_HEADER_BYTES or headers[::_ADTS_HEADER_BYTES].count(_SYNC) != found:
        return False
    if headers[1::_ADTS_HEADER_BYTES].translate(_IS_ADTS).count(1) != found:
        return False
    lengths = [(high & 0x3FF) << 3 | low >> 5 for high, low in _ADTS_LENGTH.iter_unpack(headers)]
    return lengths == [pes.payload_bytes(position) for position in range(found)]


def _unpacked(
    grid: TsGrid, pid: int, pes: PesHeads, headers: list[bytes], step: int
) -> tuple[array[int], list[int]]:
    """Give the time of each frame of PES packets that hold several, and where a packet begins among them."""
    pts = ticks()
    units: list[int] = []
    for position, (first, header) in enumerate(zip(pes.pts, headers, strict=True)):
        frames = 1
        if _adts_frame_bytes(header) != pes.payload_bytes(position):
            frames = _adts_frames(grid, pid, pes, position)
        units.append(len(pts))
        pts.extend(first + n * step for n in range(frames))
    return pts, units


def _refuse_cut_off(grid: TsGrid, pid: int, pes: PesHeads) -> None:
    """Refuse a segment that ends inside a packet of sound: ffmpeg gives up at half an AAC frame."""
    last = len(pes.rows) - 1
    payload_bytes = pes.payload_bytes(last)
    if payload_bytes is None:
        return
    needed = pes.header_bytes[last] + payload_bytes
    # With an adaptation field in each a packet holds less than 184 bytes, but only the last one has it.
    found = len(grid.payload_of(pid, pes.rows[last], grid.rows, most=needed // _TS_PAYLOAD_BYTES + 2))
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


def _adts_frames(grid: TsGrid, pid: int, pes: PesHeads, position: int) -> int:
    """Count the ADTS frames that begin in one PES packet; 1 when it cannot be told."""
    row = pes.rows[position]
    payload = grid.payload_of(pid, row, pes.row_after(position, grid.rows))
    at = pes.payload_at(position) - grid.payload(row)[0]
    frames = 0
    while (length := _adts_frame_bytes(payload[at : at + _ADTS_HEADER_BYTES])) is not None:
        frames += 1
        at += length
    return max(frames, 1)
