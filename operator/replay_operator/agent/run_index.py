"""The index file of a run as the agent keeps it: read once, appended to, written anew at times. Blocks.

It is a cache. A crash may tear its last line, and costs a scan of that segment.
"""

from __future__ import annotations

import os
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from pathlib import PurePosixPath

from replay_operator.agent.directories import open_below, read_below, write_atomically
from replay_operator.agent.state import KeptIndex
from replay_operator.agent.volume import Volume
from replay_operator.domain.layout import INDEX_FILE, RunPath
from replay_operator.media.segment_index import MAX_INDEX_BYTES, IndexRecord, read_index

_MODE = 0o664
"""The next agent may be another user of the same group."""

_LEAST_DEAD_LINES = 200


@dataclass(frozen=True, slots=True)
class FoundIndex:
    """What an index holds."""

    records: Mapping[int, IndexRecord]
    kept: KeptIndex


def find_index(volume: Volume, path: RunPath) -> FoundIndex:
    """Read the index of a run. One that is missing or cannot be read is empty: the segments are scanned then.

    Args:
        volume: The buffer volume.
        path: The run.
    """
    try:
        records = _read(volume, path)
    except OSError as error:
        return FoundIndex({}, KeptIndex(0, str(error)))
    return FoundIndex(records, KeptIndex(len(records)))


def keep_index(
    volume: Volume, path: RunPath, kept: KeptIndex, new: Sequence[IndexRecord], live: Collection[int]
) -> KeptIndex:
    """Add records at the end, and write the index anew when most of it is about segments that have gone.

    Nothing is forced to the disk: what a power cut takes is scanned again. A volume that refuses costs scans,
    never coverage.

    Args:
        volume: The buffer volume.
        path: The run.
        kept: The index as it was left.
        new: What to add.
        live: Numbers of all segments on disk.
    """
    if not new:
        return kept
    lines = kept.lines + len(new)
    try:
        _append(volume, path, new)
        if lines > 2 * len(live) + _LEAST_DEAD_LINES:
            lines = _compact(volume, path, live)
    except OSError as error:
        return KeptIndex(lines, str(error))
    return KeptIndex(lines)


def _read(volume: Volume, path: RunPath) -> dict[int, IndexRecord]:
    content = read_below(volume.root, *_parts(path), INDEX_FILE, limit_bytes=MAX_INDEX_BYTES)
    return read_index(content) if content else {}


def _append(volume: Volume, path: RunPath, records: Sequence[IndexRecord]) -> None:
    # A line break first ends what an earlier writer was torn out of.
    content = b"".join([b"\n", *(record.line() for record in records)])
    flags = os.O_WRONLY | os.O_APPEND | os.O_CREAT | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC
    with open_below(volume.root, *_parts(path)) as directory:
        descriptor = os.open(INDEX_FILE, flags, _MODE, dir_fd=directory)
        with os.fdopen(descriptor, "wb") as file:
            if os.fstat(descriptor).st_size == 0:
                os.fchmod(descriptor, _MODE)
            file.write(content)


def _compact(volume: Volume, path: RunPath, live: Collection[int]) -> int:
    kept = [record for index, record in sorted(_read(volume, path).items()) if index in live]
    with open_below(volume.root, *_parts(path)) as directory:
        write_atomically(directory, INDEX_FILE, b"".join(r.line() for r in kept), mode=_MODE)
    return len(kept)


def _parts(path: RunPath) -> tuple[str, ...]:
    return PurePosixPath(path.relative).parts
