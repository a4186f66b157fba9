"""Finds the PES packets of a track in a segment, and reads and writes their timestamps (ISO/IEC 13818-1)."""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

from replay_operator.media.ts_grid import TS_PACKET_BYTES, TsGrid

_WRAP = 1 << 33
_HALF_WRAP = 1 << 32
_PES_FIXED_BYTES = 9
_TIMESTAMP_BYTES = 5


class PesHead(NamedTuple):
    """The head of one PES packet with a PTS. A tuple, because thousands are made.

    Attributes:
        row: The TS packet in which it begins.
        pts: Presentation time in ticks, wrap unrolled.
        dts: Decode time in ticks, wrap unrolled.
        pts_at: Where the PTS is written in the segment.
        dts_at: Where the DTS is written; None when there is none, because it is the PTS.
        payload_at: Where its payload begins.
        payload_bytes: Its length; None when the packet does not tell.
    """

    row: int
    pts: int
    dts: int
    pts_at: int
    dts_at: int | None
    payload_at: int
    payload_bytes: int | None


def pes_heads(grid: TsGrid, rows: Sequence[int], near_ticks: int) -> list[PesHead]:
    """Read the heads of PES packets that have a PTS. One flat loop: this is where the time goes.

    Args:
        grid: The segment.
        rows: TS packets of one PID in which a PES packet begins.
        near_ticks: PTS has 33 bits and wraps after 26.5 hours; each is taken as the value nearest to this.
    """
    data = grid.data
    heads: list[PesHead] = []
    for row in rows:
        begin = row * TS_PACKET_BYTES
        control = data[begin + 3]
        at = begin + 5 + data[begin + 4] if control & 0x20 else begin + 4
        room = begin + TS_PACKET_BYTES - at
        if not control & 0x10 or room < _PES_FIXED_BYTES + _TIMESTAMP_BYTES:
            continue
        if data[at : at + 3] != b"\x00\x00\x01":
            continue
        flags = data[at + 7]
        if not flags & 0x80:
            continue
        pts_at = at + _PES_FIXED_BYTES
        pts = dts = _read(data, pts_at, near_ticks)
        dts_at = None
        if flags & 0x40 and room >= _PES_FIXED_BYTES + 2 * _TIMESTAMP_BYTES:
            dts_at = pts_at + _TIMESTAMP_BYTES
            dts = _read(data, dts_at, near_ticks)
        header = _PES_FIXED_BYTES + data[at + 8]
        declared = data[at + 4] << 8 | data[at + 5]
        payload_bytes = declared + 6 - header if declared else None
        heads.append(PesHead(row, pts, dts, pts_at, dts_at, at + header, payload_bytes))
    return heads


def write_timestamp(data: bytearray, at: int, ticks: int) -> None:
    """Replace a timestamp, leaving the four bits that say which one it is.

    Args:
        data: The segment.
        at: Where the timestamp is written.
        ticks: The new value; it wraps by itself.
    """
    value = ticks % _WRAP
    field = (data[at] >> 4) << 36 | 1 << 32 | 1 << 16 | 1
    field |= (value >> 30) << 33 | (value >> 15 & 0x7FFF) << 17 | (value & 0x7FFF) << 1
    data[at : at + _TIMESTAMP_BYTES] = field.to_bytes(_TIMESTAMP_BYTES)


def _read(data: bytes, at: int, near: int) -> int:
    raw = int.from_bytes(data[at : at + _TIMESTAMP_BYTES])
    value = raw >> 3 & 0x1C0000000 | raw >> 2 & 0x3FFF8000 | raw >> 1 & 0x7FFF
    if -_HALF_WRAP <= value - near < _HALF_WRAP:
        return value
    return near + (value - near + _HALF_WRAP) % _WRAP - _HALF_WRAP
