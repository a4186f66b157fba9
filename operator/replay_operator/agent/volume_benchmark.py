"""Writes to a volume as egress workers and the agent do, and measures how long that takes. Blocks.

A segment is created, written in small pieces and closed; both playlists are rewritten in place; the oldest
segment is deleted. Unlike a worker, a writer forces each segment to the disk before it counts, so that the
page cache does not flatter the figure.
"""

from __future__ import annotations

import os
import shutil
import statistics
import tempfile
import threading
import time
from collections.abc import Callable, Iterator
from concurrent.futures import FIRST_EXCEPTION, Future, ThreadPoolExecutor, wait
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path

from replay_operator.domain.layout import INDEX_FILE, INDEX_PLAYLIST, LIVE_PLAYLIST, segment_name
from replay_operator.domain.write_budget import Spread, WriteStep

DIRECTORY_PREFIX = ".replay-benchmark-"
"""No namespace begins so: the agent passes such a directory over."""

KEPT_SEGMENTS = 3
"""So many of each writer lie on the volume, beside the one that is written."""

_COPY_BYTES = 64 * 1024
"""The smallest part of a segment that was seen at its final path (livekit-measured §2)."""

_SPARE_BYTES = 1024 * 1024
_PLAYLIST_ENTRY = "#EXT-X-PROGRAM-DATE-TIME:2026-11-22T14:21:03.795Z\n#EXTINF:10.000,\nseg_00000.ts\n"
_LIVE_PLAYLIST = 5 * _PLAYLIST_ENTRY
_INDEX_PLAYLIST = 360 * _PLAYLIST_ENTRY
"""Of a run of an hour; it is handed over after two."""
_INDEX_LINE = b"." * 400
_LOOK_SECONDS = 0.1


class VolumeBenchmarkError(Exception):
    """The volume cannot be measured; the message says why."""


@dataclass(frozen=True, slots=True)
class Load:
    """What each writer does, and when a step ends.

    Attributes:
        segment_bytes: Size of one segment.
        segment_seconds: Its duration. A writer gives up a segment that is not stored by then.
        step_seconds: A step ends after this time.
        writer_bytes: A writer is done when it has written so much, and a step when all are.
        least_free_bytes: Everything ends with an error when less than this is free on the volume.
    """

    segment_bytes: int
    segment_seconds: float
    step_seconds: float
    writer_bytes: float
    least_free_bytes: float


@contextmanager
def own_directory(volume: Path) -> Iterator[Path]:
    """Make a directory of our own on a volume, and remove it with all that is in it at the end.

    Args:
        volume: Where.

    Raises:
        VolumeBenchmarkError: It cannot be made.
    """
    try:
        directory = Path(tempfile.mkdtemp(prefix=DIRECTORY_PREFIX, dir=volume))
    except OSError as error:
        raise VolumeBenchmarkError(f"cannot write to {volume}: {error.strerror}") from error
    try:
        yield directory
    finally:
        try:
            shutil.rmtree(directory, ignore_errors=True)
        finally:
            # A signal in the middle of it must not leave the rest.
            shutil.rmtree(directory, ignore_errors=True)


def free_bytes(volume: Path) -> int:
    """Give what a user without privileges may still write to a volume.

    Args:
        volume: Any directory on it.

    Raises:
        OSError: It cannot be read.
    """
    status = os.statvfs(volume)
    return status.f_bavail * status.f_frsize


def space_needed(writers: int, segment_bytes: int) -> int:
    """Give how much of the volume a step takes at most.

    Args:
        writers: How many write at once.
        segment_bytes: Size of one segment.
    """
    return writers * (KEPT_SEGMENTS + 1) * (segment_bytes + _SPARE_BYTES)


def measure(
    directory: Path, writers: int, load: Load, *, free: Callable[[Path], int] = free_bytes
) -> WriteStep:
    """Let writers write at once, without a pause.

    Args:
        directory: Our own, on the volume.
        writers: How many.
        load: What each does, and when they end.
        free: Tells how much is free.

    Raises:
        VolumeBenchmarkError: The volume refuses, or somebody else fills it.
    """
    noise = os.urandom(load.segment_bytes + _SPARE_BYTES)
    whistle = _Whistle()
    crew = [_Writer(directory / f"{writers}-{number}", load, noise, whistle) for number in range(writers)]
    began = time.perf_counter()
    with ThreadPoolExecutor(writers, thread_name_prefix="writer") as pool:
        try:
            running = [pool.submit(writer.run) for writer in crew]
            _watch(running, directory, load, free)
        except BaseException:
            whistle.aborted.set()
            raise
        finally:
            whistle.ended.set()
    try:
        for each in running:
            each.result()
    except OSError as error:
        raise VolumeBenchmarkError(f"the volume refused a write: {error.strerror}") from error
    seconds = time.perf_counter() - began
    for writer in crew:
        shutil.rmtree(writer.directory, ignore_errors=True)
    return _step(crew, load, seconds)


def _watch(running: list[Future[None]], directory: Path, load: Load, free: Callable[[Path], int]) -> None:
    """Return when the step is over: its time, an error, or all writers are done."""
    end = time.monotonic() + load.step_seconds
    while time.monotonic() < end:
        if free(directory) < load.least_free_bytes:
            raise VolumeBenchmarkError("somebody else is filling the volume: nothing more is written")
        done = wait(running, timeout=_LOOK_SECONDS, return_when=FIRST_EXCEPTION).done
        if len(done) == len(running) or any(each.exception() for each in done):
            return


def _step(crew: list[_Writer], load: Load, seconds: float) -> WriteStep:
    buffered = [each for writer in crew for each in writer.buffered]
    stored = [each for writer in crew for each in writer.stored]
    return WriteStep(
        writers=len(crew),
        segments=len(stored),
        bytes_per_second=len(stored) * load.segment_bytes / seconds,
        buffered=_spread(buffered),
        stored=_spread(stored),
        given_up=sum(writer.gave_up for writer in crew),
    )


def _spread(seconds: list[float]) -> Spread:
    return Spread(statistics.median(seconds), max(seconds)) if seconds else Spread(0.0, 0.0)


@dataclass(frozen=True, slots=True)
class _Whistle:
    """Ends the writers: after their segment, or in the middle of it."""

    ended: threading.Event = field(default_factory=threading.Event)
    aborted: threading.Event = field(default_factory=threading.Event)


@dataclass(slots=True)
class _Writer:
    """One recording's worker, and the agent behind it. Used by one thread."""

    directory: Path
    load: Load
    noise: bytes
    whistle: _Whistle
    buffered: list[float] = field(default_factory=list)
    stored: list[float] = field(default_factory=list)
    gave_up: bool = False

    def run(self) -> None:
        """Write segment after segment; the first is stored even when the step is over before."""
        self.directory.mkdir()
        index = 0
        while not self.gave_up and (index == 0 or not self._is_over()):
            self._segment(index)
            self._playlists()
            if index >= KEPT_SEGMENTS:
                (self.directory / segment_name(index - KEPT_SEGMENTS)).unlink()
            index += 1

    def _is_over(self) -> bool:
        written_bytes = len(self.stored) * self.load.segment_bytes
        return written_bytes >= self.load.writer_bytes or self.whistle.ended.is_set()

    def _segment(self, index: int) -> None:
        began = time.perf_counter()
        # A new place in the noise each time: a volume that stores equal blocks once must not win by it.
        offset = index * 4099 % _SPARE_BYTES
        content = memoryview(self.noise)[offset : offset + self.load.segment_bytes]
        with (self.directory / segment_name(index)).open("wb", buffering=0) as file:
            for position in range(0, len(content), _COPY_BYTES):
                file.write(content[position : position + _COPY_BYTES])
                if self._too_late(began):
                    return
            buffered = time.perf_counter() - began
            os.fdatasync(file.fileno())
        stored = time.perf_counter() - began
        self.gave_up = stored > self.load.segment_seconds
        self.buffered.append(buffered)
        self.stored.append(stored)

    def _too_late(self, began: float) -> bool:
        late = time.perf_counter() - began > self.load.segment_seconds
        self.gave_up = late or self.whistle.aborted.is_set()
        return self.gave_up

    def _playlists(self) -> None:
        (self.directory / INDEX_PLAYLIST).write_text(_INDEX_PLAYLIST)
        (self.directory / LIVE_PLAYLIST).write_text(_LIVE_PLAYLIST)
        with (self.directory / INDEX_FILE).open("ab") as file:
            file.write(_INDEX_LINE)
