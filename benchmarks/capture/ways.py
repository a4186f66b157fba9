"""The ways to make one file of a buffer that are compared."""

from __future__ import annotations

import shlex
import sys
from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path

_PATIENCE = timedelta(minutes=1)


@dataclass(frozen=True)
class Task:
    """One clip to make: the buffer's directory, where the clip goes, and a scratch directory."""

    buffer: Path
    clip: Path
    scratch: Path
    start: datetime
    end: datetime

    @property
    def segments(self) -> str:
        """All segments, for a shell."""
        return f"{shlex.quote(str(self.buffer))}/*/seg_*.ts"


@dataclass(frozen=True)
class Way:
    """A way.

    Attributes:
        publishes: The clip gets its name only when it is whole; else it is whole when the process ends.
        waits: It says when it is ready, by a line, and begins when it gets one.
        awaits_segment: It is started while the newest segment is missing, and begins when that comes.
    """

    name: str
    command: Callable[[Task], list[str]]
    publishes: bool = False
    waits: bool = False
    awaits_segment: bool = False


def usual(task: Task) -> list[str]:
    """Copy, concat demuxer, second pass for the index, move: what is usually done."""
    scratch, clip = shlex.quote(str(task.scratch)), shlex.quote(str(task.clip))
    runs = f"{shlex.quote(str(task.buffer))}/*/"
    script = f"""
        set -e; mkdir {scratch}; for run in {runs}; do cp "$run"seg_*.ts {scratch}; done; cd {scratch}
        for f in seg_*.ts; do echo "file $f"; done > list.txt
        ffmpeg -nostdin -loglevel error -f concat -safe 0 -i list.txt -c copy -movflags +faststart -y out.mp4
        mv out.mp4 {clip}"""
    return ["sh", "-c", script]


def ffmpeg_alone(task: Task) -> list[str]:
    """The join alone, without plan, check, fsync and publication."""
    inputs = f"concat:$(ls {task.segments} | paste -sd '|')"
    options = "-nostdin -loglevel error -f mpegts -dts_delta_threshold 1000000"
    outputs = "-map 0:v:0 -map 0:a:0 -c copy -moov_size 3000000 -y"
    return ["sh", "-c", f'ffmpeg {options} -i "{inputs}" {outputs} {shlex.quote(str(task.clip))}']


def cat(task: Task) -> list[str]:
    """The floor: the same bytes, read and written once."""
    return ["sh", "-c", f"cat {task.segments} > {shlex.quote(str(task.clip))}"]


def _flags(task: Task) -> list[str]:
    times = ["--start", task.start.isoformat(), "--end", task.end.isoformat()]
    return ["--buffer", str(task.buffer), *times, "--output", str(task.clip), "--no-thumbnail"]


def ours(task: Task) -> list[str]:
    """The whole process of a capture Job."""
    return [sys.executable, "-m", "replay_operator", "capture", *_flags(task)]


def ours_waiting(task: Task) -> list[str]:
    """A capture Job that has started before its last segment was there, from that moment on."""
    return [sys.executable, "-m", "benchmarks.capture.waiting", *_flags(task)]


def ours_awaiting(task: Task) -> list[str]:
    """A capture Job that waits for the newest segment, and has joined the others meanwhile."""
    until = datetime.now(UTC) + _PATIENCE
    return [*ours(task), "--wait-until", until.isoformat()]


WAYS = (
    Way("usual", usual),
    Way("ours, whole process", ours, publishes=True),
    Way("ours, process waiting", ours_waiting, publishes=True, waits=True),
    Way("ours, from the newest segment on", ours_awaiting, publishes=True, awaits_segment=True),
    Way("ffmpeg alone", ffmpeg_alone),
    Way("cat", cat),
)
