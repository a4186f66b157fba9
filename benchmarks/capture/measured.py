"""Runs one command to its end and says what it cost."""

from __future__ import annotations

import dataclasses
import os
import subprocess
import time
from collections.abc import Mapping, Sequence
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path

from benchmarks.capture.arrival import Arrival, held_back, wait_until_settled
from benchmarks.capture.ways import Task, Way

_LOOK_SECONDS = 0.001


@dataclass(frozen=True)
class Cost:
    """What one run cost.

    `seconds` is until the clip was whole under its name, `exit_seconds` until the process had ended,
    `fsync_seconds` what a wait for the disk takes after that. `written_bytes` counts all calls of `write`
    of it and its children.
    """

    seconds: float
    exit_seconds: float
    fsync_seconds: float
    cpu_seconds: float
    rss_mib: float
    written_bytes: int
    result_bytes: int


class WayFailedError(Exception):
    """A command that is measured ended with an error."""


def measure(way: Way, task: Task, environment: Mapping[str, str]) -> Cost:
    """Make a clip.

    Args:
        way: How.
        task: Which.
        environment: The environment of the command.

    Raises:
        WayFailedError: It ended with an error, or made nothing.
    """
    with ExitStack() as stack:
        arrival = None
        if way.awaits_segment:
            length = task.end - task.start
            arrival = stack.enter_context(held_back(task.buffer, length))
            task = dataclasses.replace(task, start=arrival.started_at, end=arrival.started_at + length)
        return _measure(way, task, environment, arrival)


def _measure(way: Way, task: Task, environment: Mapping[str, str], arrival: Arrival | None) -> Cost:
    command, result = way.command(task), task.clip
    ends = subprocess.PIPE if way.waits else subprocess.DEVNULL
    began = time.perf_counter()
    with subprocess.Popen(
        command, stdin=ends, stdout=ends, stderr=subprocess.DEVNULL, env=environment
    ) as process:
        if process.stdin is not None and process.stdout is not None:
            process.stdout.readline()
            began = time.perf_counter()
            process.stdin.write(b"go\n")
            process.stdin.flush()
        if arrival is not None:
            wait_until_settled(task.clip.parent)
            began = time.perf_counter()
            arrival.come()
        published: float | None = None
        while os.waitid(os.P_PID, process.pid, os.WEXITED | os.WNOHANG | os.WNOWAIT) is None:
            if way.publishes and published is None and result.exists():
                published = time.perf_counter() - began
            time.sleep(_LOOK_SECONDS)
        ended = time.perf_counter() - began
        io = dict(line.split(": ") for line in Path(f"/proc/{process.pid}/io").read_text().splitlines())
        _, status, usage = os.wait4(process.pid, 0)
        process.returncode = os.waitstatus_to_exitcode(status)
    if process.returncode != 0 or not result.exists():
        raise WayFailedError(f"{' '.join(command)[:200]} ended with {process.returncode}")
    waiting = time.perf_counter()
    with result.open("rb") as file:
        os.fsync(file.fileno())
    return Cost(
        seconds=published or ended,
        exit_seconds=ended,
        fsync_seconds=time.perf_counter() - waiting,
        cpu_seconds=usage.ru_utime + usage.ru_stime,
        rss_mib=usage.ru_maxrss / 1024,
        written_bytes=int(io["wchar"]),
        result_bytes=result.stat().st_size,
    )


def make_cold(files: Sequence[Path]) -> None:
    """Drop files from the page cache; they have to be on the disk.

    Args:
        files: Which.
    """
    for path in files:
        with path.open("rb") as file:
            os.fsync(file.fileno())
            os.posix_fadvise(file.fileno(), 0, 0, os.POSIX_FADV_DONTNEED)
