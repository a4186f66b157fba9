"""The index file of a run: what a scan found in each segment, so that nobody has to scan it again.

One line for each segment, appended by the agent when the segment arrives:

    1 <CRC-32> <index> <bytes> <mtime, ns> <inode> <first tick> <last tick> <packets>

The checksum, in hexadecimal, is of all that follows it, so that a line torn by a crash is passed over. A
later line for the same segment wins. The last column is the whole scan, deflated, in base64: see `_packed`.

The file is a cache. Whoever reads it compares size, mtime and inode with the segment, and scans when they
differ. Nothing breaks when it is missing, damaged or made by an enemy: reading takes bounded time and
memory, and a clip is held against its plan before it is published.
"""

from __future__ import annotations

import struct
import zlib
from base64 import b64decode, b64encode
from dataclasses import dataclass
from itertools import accumulate, pairwise
from operator import add

from replay_operator.api.replaycapture import Track
from replay_operator.media.segment_file import FileStamp
from replay_operator.media.timeline import ticks
from replay_operator.media.ts_pes import WRAP_TICKS
from replay_operator.media.ts_probe import SegmentScan, TrackScan

MAX_INDEX_BYTES = 32 * 1024 * 1024
"""What is read of an index file, from its end. 4000 segments need 1.6 MB, with jittering times 13 MB."""

MAX_INDEX_LINES = 32 * 1024
"""How many lines are read, from the end. The agent lets a window of 4000 segments have half as many."""

_VERSION = b"1"
_MAX_PACKED_BYTES = 64 * 1024
"""Thirty times what a segment of 15 s needs. One that needs more is not written down."""
_MAX_LINE_BYTES = _MAX_PACKED_BYTES + 256
_MAX_UNPACKED_BYTES = 1024 * 1024
_MAX_TICKS = 1 << 40
"""Four months."""

_FAST = 1
"""Level of deflation. The best one takes five times as long and saves a tenth."""

_KINDS = (Track.VIDEO, Track.AUDIO)
_LAYOUTS = ([Track.VIDEO, Track.AUDIO], [Track.VIDEO], [Track.AUDIO])
_HEAD = struct.Struct("<BHIQqBIIII")


@dataclass(frozen=True, slots=True)
class IndexRecord:
    """One line of an index.

    Attributes:
        index: Number of the segment.
        stamp: The file that was scanned.
        start: First presentation time of any track, ticks.
        end: End of the last frame of any track, ticks.
        packed: The scan, unread.
    """

    index: int
    stamp: FileStamp
    start: int
    end: int
    packed: bytes

    def scan(self, near_ticks: int) -> SegmentScan | None:
        """Unpack the scan; None when it makes no sense.

        Args:
            near_ticks: About where on the run's timeline the segment lies, because times wrap.
        """
        try:
            scan = SegmentScan(self.stamp.size_bytes, _unpack(self.packed))
        except (ValueError, struct.error, zlib.error):
            return None
        if (scan.start, scan.end) != (self.start, self.end):
            return None
        wraps = (near_ticks - self.start + WRAP_TICKS // 2) // WRAP_TICKS
        return scan.moved(wraps * WRAP_TICKS)

    def line(self) -> bytes:
        """Write it down, with a line break at the end."""
        stamp = self.stamp
        numbers = (self.index, stamp.size_bytes, stamp.modified_at_ns, stamp.inode, self.start, self.end)
        content = b"%d %d %d %d %d %d %s" % (*numbers, self.packed)
        return b"%s %08x %s\n" % (_VERSION, zlib.crc32(content), content)


def index_record(index: int, stamp: FileStamp, scan: SegmentScan) -> IndexRecord | None:
    """Make the record of a segment; None for a scan that is too large to keep.

    Args:
        index: Number of the segment.
        stamp: The file as it was when it was scanned.
        scan: What is in it.
    """
    try:
        packed = b64encode(zlib.compress(b"".join(map(_packed, scan.tracks)), _FAST))
    except struct.error:
        return None
    if len(packed) > _MAX_PACKED_BYTES:
        return None
    return IndexRecord(index, stamp, scan.start, scan.end, packed)


def read_index(content: bytes) -> dict[int, IndexRecord]:
    """Read an index file: the last good line of each segment. Whatever is not a good line is passed over.

    Args:
        content: The file, or its end.
    """
    records = map(_record, content.rsplit(b"\n", MAX_INDEX_LINES))
    return {record.index: record for record in records if record is not None}


def _record(line: bytes) -> IndexRecord | None:
    if len(line) > _MAX_LINE_BYTES or not line.startswith(_VERSION + b" "):
        return None
    try:
        _, checksum, content = line.split(b" ", 2)
        if int(checksum, 16) != zlib.crc32(content):
            return None
        *numbers, packed = content.split(b" ")
        index, size_bytes, modified_at_ns, inode, start, end = map(int, numbers)
    except ValueError:
        return None
    if index < 0 or not -_MAX_TICKS < start <= end < _MAX_TICKS:
        return None
    return IndexRecord(index, FileStamp(size_bytes, modified_at_ns, inode), start, end, packed)


def _packed(scan: TrackScan) -> bytes:
    """Write one track: a head, its parameters, positions, steps of the DTS, and PTS less DTS unless all 0."""
    parameters = scan.parameters.encode()
    offsets = [] if scan.dts is scan.pts else [p - d for p, d in zip(scan.pts, scan.dts, strict=True)]
    steps = [later - earlier for earlier, later in pairwise(scan.dts)]
    head = _HEAD.pack(
        _KINDS.index(scan.track),
        scan.pid,
        scan.frame_ticks,
        scan.first_byte,
        scan.dts[0],
        len(parameters),
        len(scan.key_frames),
        len(scan.units),
        len(scan.dts),
        len(offsets),
    )
    positions = struct.pack(f"<{len(scan.key_frames) + len(scan.units)}I", *scan.key_frames, *scan.units)
    return head + parameters + positions + struct.pack(f"<{len(steps) + len(offsets)}i", *steps, *offsets)


def _unpack(packed: bytes) -> tuple[TrackScan, ...]:
    """Read the tracks.

    Raises:
        ValueError: They make no sense.
        struct.error: They end too early.
        zlib.error: They were not deflated.
    """
    inflate = zlib.decompressobj()
    data = inflate.decompress(b64decode(packed, validate=True), _MAX_UNPACKED_BYTES)
    if not inflate.eof:
        raise ValueError("more than any scan needs")
    tracks: list[TrackScan] = []
    at = 0
    while at < len(data):
        track, at = _track(data, at)
        tracks.append(track)
    if [t.track for t in tracks] not in _LAYOUTS:
        raise ValueError("no tracks, or not in their order")
    return tuple(tracks)


def _track(data: bytes, at: int) -> tuple[TrackScan, int]:
    kind, pid, frame, first_byte, first_dts, letters, keys, units, packets, offsets = _HEAD.unpack_from(
        data, at
    )
    at += _HEAD.size
    parameters = data[at : at + letters].decode("ascii")
    at += letters
    positions = struct.unpack_from(f"<{keys + units}I", data, at)
    at += 4 * len(positions)
    numbers = struct.unpack_from(f"<{packets - 1 + offsets}i", data, at)
    at += 4 * len(numbers)
    if kind >= len(_KINDS) or offsets not in (0, packets) or abs(first_dts) >= _MAX_TICKS:
        raise ValueError("no such track")
    key_frames, unit_starts = positions[:keys], positions[keys:]
    for places in (key_frames, unit_starts):
        if any(a >= b for a, b in pairwise((*places, packets))):
            raise ValueError("positions that are not in the track")
    dts = ticks(accumulate(numbers[: packets - 1], initial=first_dts))
    pts = ticks(map(add, dts, numbers[packets - 1 :])) if offsets else dts
    return (
        TrackScan(
            track=_KINDS[kind],
            pid=pid,
            pts=pts,
            dts=dts,
            key_frames=key_frames,
            parameters=parameters,
            frame_ticks=frame,
            first_byte=first_byte,
            units=unit_starts,
        ),
        at,
    )
