"""The 188-byte grid of an MPEG-TS file: its packets, its sections, and which PID carries which track.

The columns of the grid are taken with strided slices and searched by regular expressions, so that Python
code runs once per PES packet, not once per byte.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence

from replay_operator.api.replaycapture import Track

TS_PACKET_BYTES = 188

_SYNC = 0x47
_STARTS_PAYLOAD = bytes(flags & 0xC0 == 0x40 for flags in range(256))  # noqa: PLR2004 - see below
"""Second byte of a packet with payload_unit_start_indicator and without transport_error_indicator."""

_MARK = re.compile(b"\x01")
"""A single byte, not a set of them, is looked for ten times as fast."""

STREAM_TYPES = {Track.VIDEO: 0x1B, Track.AUDIO: 0x0F}
"""stream_type of H.264 and of AAC with ADTS headers (ISO/IEC 13818-1 table 2-34)."""

_STREAM_TRACKS = {kind: track for track, kind in STREAM_TYPES.items()}


class NotMpegTsError(ValueError):
    """The bytes are no whole MPEG-TS segment with a video or audio track that we know."""


class TsGrid:
    """The segment as rows of 188 bytes."""

    def __init__(self, data: bytes) -> None:
        if not data or len(data) % TS_PACKET_BYTES:
            raise NotMpegTsError(f"{len(data)} bytes are not a whole number of 188-byte packets")
        self.data = data
        self.rows = len(data) // TS_PACKET_BYTES
        if data[0::TS_PACKET_BYTES].count(_SYNC) != self.rows:
            raise NotMpegTsError("a packet does not begin with the sync byte 0x47")
        self.flags = data[1::TS_PACKET_BYTES]
        self.pid_low = data[2::TS_PACKET_BYTES]

    def pid(self, row: int) -> int:
        """The PID of a row."""
        return (self.flags[row] & 0x1F) << 8 | self.pid_low[row]

    def starts(self) -> dict[int, list[int]]:
        """Rows that begin a PES packet or section, by PID."""
        flags, low = self.flags, self.pid_low
        rows = [match.start() for match in _MARK.finditer(flags.translate(_STARTS_PAYLOAD))]
        pids = [(flags[row] & 0x1F) << 8 | low[row] for row in rows]
        by_pid: dict[int, list[int]] = {pid: [] for pid in pids}
        for row, pid in zip(rows, pids, strict=True):
            by_pid[pid].append(row)
        return by_pid

    def payload(self, row: int) -> tuple[int, int]:
        """First and one-past-last byte of a row's payload; equal when it has none."""
        begin = row * TS_PACKET_BYTES
        end = begin + TS_PACKET_BYTES
        control = self.data[begin + 3]
        if not control & 0x10:
            return end, end
        first = begin + 4
        if control & 0x20:
            first += 1 + self.data[first]
        return min(first, end), end

    def random_access(self, rows: Sequence[int]) -> list[int]:
        """Give the positions of rows that carry the random access indicator: a key frame begins there."""
        data = self.data
        begins = [row * TS_PACKET_BYTES for row in rows]
        return [
            position
            for position, begin in enumerate(begins)
            if data[begin + 3] & 0x20 and data[begin + 4] and data[begin + 5] & 0x40
        ]

    def payload_of(self, pid: int, row: int, until: int, most: int | None = None) -> bytes:
        """Join the payload of a PID from a row on, up to another row or a number of its packets."""
        parts: list[bytes] = []
        for current in range(row, until):
            if self.pid(current) == pid:
                first, end = self.payload(current)
                parts.append(self.data[first:end])
                if most is not None and len(parts) >= most:
                    break
        return b"".join(parts)


def program_tracks(grid: TsGrid, starts: dict[int, list[int]]) -> dict[int, Track]:
    """Read PAT and PMT: which PID carries which track. The first of each kind counts."""
    pids: dict[int, Track] = {}
    # Each table is read once, however many others name it: hostile ones may all name each other.
    for pmt_pid in _pmt_pids(_sections(grid, starts.get(0, []))):
        for pmt in _sections(grid, starts.get(pmt_pid, [])):
            for pid, track in _elementary_streams(pmt):
                if track not in pids.values():
                    pids[pid] = track
    return pids


def _pmt_pids(tables: list[bytes]) -> list[int]:
    return list(
        dict.fromkeys(
            (pat[at + 2] & 0x1F) << 8 | pat[at + 3]
            for pat in tables
            for at in range(8, len(pat) - 3, 4)
            if pat[at] << 8 | pat[at + 1]
        )
    )


def _sections(grid: TsGrid, rows: list[int]) -> list[bytes]:
    """Give the distinct PSI sections that begin in these rows, without their CRC."""
    # The worker repeats its tables ten times a second.
    payloads = dict.fromkeys(grid.data[slice(*grid.payload(row))] for row in rows)
    seen: dict[bytes, None] = {}
    for payload in payloads:
        first = 1 + payload[0] if payload else 0
        if first + 3 <= len(payload):
            length = (payload[first + 1] & 0x0F) << 8 | payload[first + 2]
            seen.setdefault(payload[first : max(first, first + 3 + length - 4)])
    return list(seen)


def _elementary_streams(pmt: bytes) -> Iterator[tuple[int, Track]]:
    if len(pmt) < 12:  # noqa: PLR2004 - fixed part of a PMT section
        return
    at = 12 + ((pmt[10] & 0x0F) << 8 | pmt[11])
    while at + 5 <= len(pmt):
        track = _STREAM_TRACKS.get(pmt[at])
        if track is not None:
            yield (pmt[at + 1] & 0x1F) << 8 | pmt[at + 2], track
        at += 5 + ((pmt[at + 3] & 0x0F) << 8 | pmt[at + 4])
