"""Reads a segment file whole, with what tells later that it is still the same one. Blocks."""

from __future__ import annotations

import os
import stat
from dataclasses import dataclass
from pathlib import Path

from replay_operator.media.ts_grid import NotMpegTsError

MAX_SEGMENT_BYTES = 128 * 1024 * 1024
"""15 s at 70 Mbit/s, ten times what LiveKit encodes. What is larger is no segment, and fills the memory."""


@dataclass(frozen=True, slots=True)
class FileStamp:
    """What tells that a segment file is still the one that was scanned."""

    size_bytes: int
    modified_at_ns: int
    inode: int

    @classmethod
    def of(cls, status: os.stat_result) -> FileStamp:
        """Take it from what `stat` says."""
        return cls(status.st_size, status.st_mtime_ns, status.st_ino)


@dataclass(frozen=True, slots=True)
class SegmentBytes:
    """A segment as it was read. `stamp` is None when the file changed meanwhile."""

    data: bytes
    stamp: FileStamp | None


def read_segment(path: Path) -> SegmentBytes:
    """Read a segment.

    Args:
        path: The file. A symbolic link is not followed, a pipe is not waited for.

    Raises:
        NotMpegTsError: It is no regular file, or too large.
        OSError: It cannot be read; FileNotFoundError when it has gone.
    """
    descriptor = os.open(path, os.O_RDONLY | os.O_CLOEXEC | os.O_NOFOLLOW | os.O_NONBLOCK)
    with os.fdopen(descriptor, "rb", buffering=0) as file:
        before = os.fstat(descriptor)
        if not stat.S_ISREG(before.st_mode) or before.st_size > MAX_SEGMENT_BYTES:
            raise NotMpegTsError(f"it is no regular file of at most {MAX_SEGMENT_BYTES} bytes")
        data = file.read(before.st_size)
        stamp = FileStamp.of(before)
        unchanged = len(data) == before.st_size and FileStamp.of(os.fstat(descriptor)) == stamp
        return SegmentBytes(data, stamp if unchanged else None)
