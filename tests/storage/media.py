"""Segments of any size: real ones, filled up with the null packets that MPEG-TS has for this."""

from __future__ import annotations

import subprocess
from pathlib import Path

SEGMENT_SECONDS = 2

_PACKET_BYTES = 188
_NULL_PACKET = b"\x47\x1f\xff\x10" + b"\xff" * (_PACKET_BYTES - 4)


def make_segments(directory: Path, *, count: int, segment_bytes: int) -> list[bytes]:
    """Encode `count` segments in a row, from PTS 3600 s on, each filled up to about `segment_bytes`."""
    frames = 10
    subprocess.run(
        [
            *("ffmpeg", "-nostdin", "-loglevel", "error"),
            *("-f", "lavfi", "-i", f"testsrc=size=64x36:rate={frames}"),
            *("-t", str(count * SEGMENT_SECONDS)),
            *("-c:v", "libx264", "-preset", "ultrafast", "-threads", "1", "-sc_threshold", "0"),
            *("-g", str(frames * SEGMENT_SECONDS), "-muxdelay", "0", "-muxpreload", "0"),
            *("-output_ts_offset", "3600", "-f", "segment", "-segment_time", str(SEGMENT_SECONDS)),
            *("-segment_format", "mpegts", str(directory / "seg_%05d.ts")),
        ],
        check=True,
        timeout=60,
    )
    files = sorted(directory.glob("seg_*.ts"))[:count]
    assert len(files) == count
    return [_filled(file.read_bytes(), segment_bytes) for file in files]


def _filled(segment: bytes, segment_bytes: int) -> bytes:
    return segment + _NULL_PACKET * max(0, (segment_bytes - len(segment)) // _PACKET_BYTES)
