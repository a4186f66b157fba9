"""The egress workers in one process: they copy prepared segments into the runs when they are due.

Reads one Task as JSON from standard input, and ends when that is closed, so that nothing fills a disk whose
bench was killed. Tells once a second what was written.
"""

from __future__ import annotations

import asyncio
import contextlib
import json
import os
import shutil
import sys
import time
from concurrent.futures import ThreadPoolExecutor
from dataclasses import asdict, dataclass, field
from pathlib import Path

from benchmarks.load.pacing import SEGMENT_SECONDS, Recorded
from replay_operator.agent.volume_benchmark import free_bytes
from replay_operator.domain.layout import INDEX_PLAYLIST, LIVE_PLAYLIST, RunPath, segment_name
from tests.livekit_double.worker.playlists import PlaylistEntry, event_playlist, live_playlist

_AT_ONCE = 64
"""Copies at once. A volume that keeps up needs a few; more are late, and are counted so."""

_TOLD_SECONDS = 1.0


@dataclass(frozen=True, slots=True)
class Task:
    """What is written.

    Attributes:
        volume: The buffer volume.
        large: Prepared segments of real size, by their number.
        small: Small ones.
        least_free_bytes: With less free, writing ends with an error.
        buffers: Who records.
    """

    volume: Path
    large: list[Path]
    small: list[Path]
    least_free_bytes: int
    buffers: list[Recorded]

    def to_json(self) -> str:
        """Write it for `task_of`."""
        return json.dumps(asdict(self), default=str)


def task_of(text: str) -> Task:
    """Read what `Task.to_json` wrote.

    Args:
        text: One line.
    """
    told = json.loads(text)
    return Task(
        volume=Path(told["volume"]),
        large=[Path(path) for path in told["large"]],
        small=[Path(path) for path in told["small"]],
        least_free_bytes=told["least_free_bytes"],
        buffers=[Recorded(**{**buffer, "path": RunPath(**buffer["path"])}) for buffer in told["buffers"]],
    )


class _Worker:
    """One recording: puts its segments there when they are due."""

    def __init__(self, buffer: Recorded, task: Task, told: Told) -> None:
        self._buffer = buffer
        self._segments = task.large if buffer.is_large else task.small
        self._directory = task.volume / buffer.path.relative
        self._least_free_bytes = task.least_free_bytes
        self._told = told
        self._entries: list[PlaylistEntry] = []

    async def run(self, pool: ThreadPoolExecutor) -> None:
        """Record for ever.

        Raises:
            OSError: The volume refuses, or is nearly full.
        """
        loop = asyncio.get_running_loop()
        begun_ns = time.time_ns()
        while True:
            due_ns = self._buffer.due_ns(len(self._entries))
            await asyncio.sleep(max(0.0, (due_ns - time.time_ns()) / 1e9))
            is_history = due_ns < begun_ns
            size = await loop.run_in_executor(pool, self._publish, due_ns if is_history else None)
            if not is_history:
                self._told.sizes.append(size)
                self._told.late_seconds.append((time.time_ns() - due_ns) / 1e9)

    def _publish(self, came_at_ns: int | None) -> int:
        index = len(self._entries)
        if free_bytes(self._directory) < self._least_free_bytes:
            raise OSError(f"less than {self._least_free_bytes} bytes are free: nothing more is written")
        file = self._directory / segment_name(index)
        shutil.copyfile(self._segments[index], file)
        if came_at_ns is not None:
            os.utime(file, ns=(came_at_ns, came_at_ns))
        started_ns = self._buffer.media_end_ns(index) - SEGMENT_SECONDS * 1_000_000_000
        self._entries.append(PlaylistEntry(file.name, float(SEGMENT_SECONDS), started_ns))
        for name, playlist in ((INDEX_PLAYLIST, event_playlist), (LIVE_PLAYLIST, live_playlist)):
            (self._directory / name).write_text(playlist(self._entries, SEGMENT_SECONDS, ended=False))
        return file.stat().st_size


@dataclass(slots=True)
class Told:
    """What was written since the last line: sizes, and how late each was. Without what was due before."""

    sizes: list[int] = field(default_factory=list)
    late_seconds: list[float] = field(default_factory=list)


async def _work(task: Task) -> None:
    told = Told()
    loop, closed = asyncio.get_running_loop(), asyncio.Event()
    loop.add_reader(sys.stdin, closed.set)
    with ThreadPoolExecutor(_AT_ONCE, thread_name_prefix="worker") as pool:
        async with asyncio.TaskGroup() as group:
            working = [group.create_task(_Worker(each, task, told).run(pool)) for each in task.buffers]
            while not closed.is_set():
                with contextlib.suppress(TimeoutError):
                    await asyncio.wait_for(closed.wait(), _TOLD_SECONDS)
                print(json.dumps(asdict(told)), flush=True)
                told.sizes.clear()
                told.late_seconds.clear()
            for each in working:
                each.cancel()


def main() -> int:
    """Write until standard input is closed."""
    refused: list[BaseException] = []
    try:
        asyncio.run(_work(task_of(sys.stdin.readline())))
    except* OSError as errors:
        refused += errors.exceptions
    for error in refused[:1]:
        print(f"the workers cannot write: {error}", file=sys.stderr, flush=True)
    return int(bool(refused))


if __name__ == "__main__":
    sys.exit(main())
