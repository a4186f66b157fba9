"""Takes some packets of a segment and gives them new times and PIDs, so that runs can follow each other.

Two runs have the same clock start, may number their tracks differently, and are cut at places of their
own. A concat list cannot express that: it ends a file at the first packet of *any* track past its limit,
and loses the sound of a run without picture, whose only track has the number of the others' picture.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass

from replay_operator.api.replaycapture import Track
from replay_operator.media.ts_grid import STREAM_TYPES, TS_PACKET_BYTES, TsGrid
from replay_operator.media.ts_pes import PesHeads, pes_heads, write_timestamp

OUTPUT_PIDS = {Track.VIDEO: 0x41, Track.AUDIO: 0x42}
"""The PIDs that the worker gives to a run with both tracks (livekit-measured §2)."""

_PMT_PID = 0x20
_PROGRAM = 1
_CRC_POLYNOMIAL = 0x04C11DB7


@dataclass(frozen=True, slots=True)
class Excerpt:
    """What to take of one track of a segment.

    Attributes:
        pid: The PID that the track has in the segment.
        first: Number of the first PES packet taken.
        last: One past the number of the last.
    """

    track: Track
    pid: int
    first: int
    last: int


class ExcerptWriter:
    """Writes one stream from excerpts of many segments."""

    def __init__(self) -> None:
        self._newest_dts: dict[Track, int] = {}

    def tables(self, tracks: Sequence[Track]) -> bytes:
        """Begin the stream: say which tracks there will be.

        Args:
            tracks: Those of the clip.
        """
        pat = bytes([0, _PROGRAM, 0xC1, 0, 0, 0, _PROGRAM, 0xE0 | _PMT_PID >> 8, _PMT_PID & 0xFF])
        streams = [(STREAM_TYPES[t], OUTPUT_PIDS[t]) for t in tracks]
        pmt = bytes([0, _PROGRAM, 0xC1, 0, 0, 0xE0 | streams[0][1] >> 8, streams[0][1] & 0xFF, 0xF0, 0])
        pmt += b"".join(bytes([kind, 0xE0 | pid >> 8, pid & 0xFF, 0xF0, 0]) for kind, pid in streams)
        return _section_packet(0, 0, pat) + _section_packet(_PMT_PID, 2, pmt)

    def packets(
        self, data: bytes, excerpts: Iterable[Excerpt], near_ticks: int, moved: Callable[[int], int]
    ) -> bytes:
        """Take packets of a segment, in the order in which they lie there.

        Args:
            data: The segment.
            excerpts: What to take; at most one of each track.
            near_ticks: About where on its run's timeline the segment lies.
            moved: Gives the new place of a presentation time.

        Raises:
            NotMpegTsError: It is not MPEG-TS.
        """
        grid = TsGrid(data)
        starts = grid.starts()
        output = bytearray(data)
        marks = 0
        for excerpt in excerpts:
            heads = pes_heads(grid, starts.get(excerpt.pid, []), near_ticks)
            self._write_times(output, excerpt, heads, moved)
            marks |= _mark_rows(grid, excerpt, heads)
        marked = marks.to_bytes(grid.rows)
        # Whole columns at once: a segment has tens of thousands of rows.
        output[1::TS_PACKET_BYTES] = grid.flags.translate(_WITHOUT_PID)
        output[2::TS_PACKET_BYTES] = marked
        view = memoryview(output)
        return b"".join(
            view[run.start() * TS_PACKET_BYTES : run.end() * TS_PACKET_BYTES]
            for run in _MARKED.finditer(marked)
        )

    def _write_times(
        self, output: bytearray, excerpt: Excerpt, heads: PesHeads, moved: Callable[[int], int]
    ) -> None:
        track = excerpt.track
        for position in range(excerpt.first, min(excerpt.last, len(heads.rows))):
            pts = moved(heads.pts[position])
            dts = pts - heads.pts[position] + heads.dts[position]
            if heads.has_dts[position]:
                # Decode times of two runs may cross at a splice, and lie far back after an unmuted picture.
                dts = min(max(dts, self._newest_dts.get(track, 0) + 1), pts)
                write_timestamp(output, heads.dts_at(position), dts)
            write_timestamp(output, heads.pts_at(position), pts)
            self._newest_dts[track] = dts


_WITHOUT_PID = bytes(flags & 0xE0 for flags in range(256))
_MARKED = re.compile(rb"[^\x00]+")


def _mark_rows(grid: TsGrid, excerpt: Excerpt, heads: PesHeads) -> int:
    """Give a number with one byte for each row: the new PID where the row is taken, else 0.

    A number, because numbers can be combined bit by bit without a loop in Python.
    """
    taken = heads.rows[excerpt.first : excerpt.last]
    if not taken:
        return 0
    until = heads.rows[excerpt.last] if excerpt.last < len(heads.rows) else grid.rows
    high = bytes(0xFF if flags & 0x1F == excerpt.pid >> 8 else 0 for flags in range(256))
    low = bytes(OUTPUT_PIDS[excerpt.track] if byte == excerpt.pid & 0xFF else 0 for byte in range(256))
    rows = slice(taken[0], until)
    marks = int.from_bytes(grid.flags[rows].translate(high)) & int.from_bytes(
        grid.pid_low[rows].translate(low)
    )
    return marks << 8 * (grid.rows - until)


def _section_packet(pid: int, table: int, body: bytes) -> bytes:
    section = bytes([table, 0xB0, len(body) + 4]) + body
    packet = bytes([0x47, 0x40 | pid >> 8, pid & 0xFF, 0x10, 0]) + section + _crc(section)
    return packet.ljust(TS_PACKET_BYTES, b"\xff")


def _crc(data: bytes) -> bytes:
    """CRC-32/MPEG-2, which is not the one of zlib."""
    value = 0xFFFFFFFF
    for byte in data:
        value ^= byte << 24
        for _ in range(8):
            value = value << 1 ^ (_CRC_POLYNOMIAL if value & 0x80000000 else 0)
        value &= 0xFFFFFFFF
    return value.to_bytes(4)
