"""Finds the PES packets of a track in a segment, and reads and writes their timestamps (ISO/IEC 13818-1)."""

from __future__ import annotations

import struct
from array import array
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import compress

from replay_operator.media.timeline import ticks
from replay_operator.media.ts_grid import TS_PACKET_BYTES, TsGrid

WRAP_TICKS = 1 << 33
"""PTS and DTS have 33 bits: they start again after 26.5 hours."""

_HALF_WRAP_TICKS = WRAP_TICKS >> 1
_FIXED_BYTES = 9
_TIMESTAMP_BYTES = 5
_HEAD_BYTES = _FIXED_BYTES + 2 * _TIMESTAMP_BYTES
_LAST_BEGIN = TS_PACKET_BYTES - _FIXED_BYTES - _TIMESTAMP_BYTES
_LAST_DTS_BEGIN = TS_PACKET_BYTES - _HEAD_BYTES
_LENGTH_FIELD_END = 6
_START_CODE = b"\x00\x00\x01"
_PTS = struct.Struct(">9xBHH5x")
_DTS = struct.Struct(">14xBHH")
_HAS_PTS = bytes(flags >> 7 for flags in range(256))
_HAS_DTS = bytes(flags >> 6 & 1 for flags in range(256))


@dataclass(frozen=True, slots=True)
class PesHeads:
    """The heads of the PES packets of one track that have a PTS, as columns of equal length.

    Attributes:
        rows: The TS packet in which each begins.
        begins: The byte at which it begins.
        pts: Presentation time in ticks, wrap unrolled.
        dts: Decode time in ticks, wrap unrolled; the PTS where no DTS is written.
        has_dts: 1 where a DTS is written, else 0.
        header_bytes: Length of the header up to the payload.
        declared_bytes: PES_packet_length: what follows that field; 0 when the packet does not tell.
    """

    rows: list[int]
    begins: list[int]
    pts: array[int]
    dts: array[int]
    has_dts: bytes
    header_bytes: list[int]
    declared_bytes: list[int]

    def pts_at(self, position: int) -> int:
        """Where a PTS is written in the segment."""
        return self.begins[position] + _FIXED_BYTES

    def dts_at(self, position: int) -> int:
        """Where a DTS is written, if one is."""
        return self.begins[position] + _FIXED_BYTES + _TIMESTAMP_BYTES

    def payload_at(self, position: int) -> int:
        """Where a payload begins."""
        return self.begins[position] + self.header_bytes[position]

    def payload_bytes(self, position: int) -> int | None:
        """Length of a payload; None where the packet does not tell."""
        declared = self.declared_bytes[position]
        return declared + _LENGTH_FIELD_END - self.header_bytes[position] if declared else None

    def row_after(self, position: int, rows: int) -> int:
        """The TS packet in which the next one begins; one past the last of the segment behind the last."""
        return self.rows[position + 1] if position + 1 < len(self.rows) else rows


def pes_heads(grid: TsGrid, rows: Sequence[int], near_ticks: int) -> PesHeads:
    """Read the heads of PES packets that have a PTS, all together: one by one takes three times as long.

    Args:
        grid: The segment.
        rows: TS packets of one PID in which a PES packet begins.
        near_ticks: Each time is taken as the value nearest to this one, because it wraps.
    """
    data = grid.data
    kept: list[int] = []
    begins: list[int] = []
    for row in rows:
        first = row * TS_PACKET_BYTES
        control = data[first + 3]
        begin = first + 5 + data[first + 4] if control & 0x20 else first + 4
        if control & 0x10 and begin - first <= _LAST_BEGIN:
            kept.append(row)
            begins.append(begin)
    # Only the very last one can be shorter.
    heads = b"".join([data[b : b + _HEAD_BYTES] for b in begins]).ljust(len(begins) * _HEAD_BYTES, b"\0")
    good = _with_pts(heads)
    if 0 in good:
        kept, begins = list(compress(kept, good)), list(compress(begins, good))
        heads = b"".join(compress(_split(heads), good))
    has_dts = heads[7::_HEAD_BYTES].translate(_HAS_DTS)
    pts = _times(_PTS, heads, near_ticks)
    dts = pts
    if 1 in has_dts:
        has_dts = bytes(
            h if b % TS_PACKET_BYTES <= _LAST_DTS_BEGIN else 0 for h, b in zip(has_dts, begins, strict=True)
        )
        written = _times(_DTS, heads, near_ticks)
        dts = ticks([d if has else p for has, d, p in zip(has_dts, written, pts, strict=True)])
    declared = zip(heads[4::_HEAD_BYTES], heads[5::_HEAD_BYTES], strict=True)
    return PesHeads(
        rows=kept,
        begins=begins,
        pts=pts,
        dts=dts,
        has_dts=has_dts,
        header_bytes=[_FIXED_BYTES + length for length in heads[8::_HEAD_BYTES]],
        declared_bytes=[high << 8 | low for high, low in declared],
    )


def write_timestamp(data: bytearray, at: int, ticks: int) -> None:
    """Replace a timestamp, leaving the four bits that say which one it is.

    Args:
        data: The segment.
        at: Where the timestamp is written.
        ticks: The new value; it wraps by itself.
    """
    value = ticks % WRAP_TICKS
    field = (data[at] >> 4) << 36 | 1 << 32 | 1 << 16 | 1
    field |= (value >> 30) << 33 | (value >> 15 & 0x7FFF) << 17 | (value & 0x7FFF) << 1
    data[at : at + _TIMESTAMP_BYTES] = field.to_bytes(_TIMESTAMP_BYTES)


def unrolled(value: int, near: int) -> int:
    """Give the time nearest to a place among all that a wrapped one may stand for.

    Args:
        value: The time in ticks.
        near: The place.
    """
    return near + (value - near + _HALF_WRAP_TICKS) % WRAP_TICKS - _HALF_WRAP_TICKS


def _with_pts(heads: bytes) -> bytes:
    """Say of each head, 1 or 0, whether it is one of a PES packet with a PTS."""
    columns = [heads[byte::_HEAD_BYTES] for byte in range(len(_START_CODE))]
    if all(column.count(byte) == len(column) for column, byte in zip(columns, _START_CODE, strict=True)):
        return heads[7::_HEAD_BYTES].translate(_HAS_PTS)
    return bytes([head.startswith(_START_CODE) and head[7] >> 7 for head in _split(heads)])


def _split(heads: bytes) -> list[bytes]:
    return [heads[at : at + _HEAD_BYTES] for at in range(0, len(heads), _HEAD_BYTES)]


def _times(field: struct.Struct, heads: bytes, near: int) -> array[int]:
    values = [(a & 0x0E) << 29 | (b & 0xFFFE) << 14 | c >> 1 for a, b, c in field.iter_unpack(heads)]
    if all(abs(v - near) < _HALF_WRAP_TICKS for v in (min(values, default=near), max(values, default=near))):
        return ticks(values)
    return ticks(unrolled(v, near) for v in values)
