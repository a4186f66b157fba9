"""`replay-operator benchmark-volume`: what a mounted volume can take, and the setting that follows from it.

It runs in a pod with the image of the agent. docs/capacity.md has the Job.
"""

from __future__ import annotations

import argparse
import json
import os
import signal
import sys
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from pathlib import Path
from types import FrameType

from replay_operator.agent.volume_benchmark import (
    DIRECTORY_PREFIX,
    Load,
    VolumeBenchmarkError,
    free_bytes,
    measure,
    own_directory,
    space_needed,
)
from replay_operator.api.replaybuffer import Encoding, EncodingPreset
from replay_operator.cli.numbers import number, whole_number, whole_numbers
from replay_operator.domain.capacity import bytes_per_second
from replay_operator.domain.quantity import GIB
from replay_operator.domain.recording_cost import MEGABYTE
from replay_operator.domain.write_budget import (
    SAFE_SHARE,
    WriteBudget,
    WriteStep,
    deadline_seconds,
    write_budget,
)

EXIT_FAILED = 1
_WRITERS = range(1, 513)
"""Each is a thread."""
_SIGNALS = (signal.SIGTERM, signal.SIGINT)

_CACHE = (
    "A segment counts when it is forced to the disk, so the page cache does not flatter these figures; "
    "`until written` is what it makes of them. The cache of a controller, and the burst credits of a cloud "
    "disk, still may: let it run longer (--seconds, --max-gib)."
)
_MEMORY = "This is memory (tmpfs), no disk: the figures say nothing about a volume."


@dataclass(frozen=True, slots=True)
class Report:
    """All that is told.

    Attributes:
        volume: What was measured.
        file_system: Its type, as the kernel names it.
        segment_bytes: Size of the segments that were written.
        segment_seconds: Their duration.
        deadline_seconds: In which each had to be stored.
        steps: What was measured.
        skipped_writers: Numbers of writers for which the volume has no room.
        budget: What follows; None when not even one buffer does.
        notes: How far the figures can be trusted.
    """

    volume: str
    file_system: str
    segment_bytes: int
    segment_seconds: int
    deadline_seconds: float
    steps: tuple[WriteStep, ...]
    skipped_writers: tuple[int, ...]
    budget: WriteBudget | None
    notes: tuple[str, ...]


def main(arguments: Sequence[str], *, free: Callable[[Path], int] = free_bytes) -> int:
    """Measure, print, and leave nothing behind.

    Args:
        arguments: The command line without the program's name and the subcommand.
        free: Tells how much is free on a volume.

    Returns:
        The exit code: 1 when the volume cannot be measured, or is too slow for one buffer.
    """
    flags = _parser().parse_args(arguments)
    try:
        with _unwound_by_signals():
            report = _measure(flags, free)
    except (VolumeBenchmarkError, OSError) as error:
        sys.stderr.write(f"replay-operator: {error}\n")
        return EXIT_FAILED
    text = json.dumps(asdict(report), indent=2) if flags.output == "json" else _table(report)
    sys.stdout.write(text + "\n")
    return 0 if report.budget is not None else EXIT_FAILED


def _measure(flags: argparse.Namespace, free: Callable[[Path], int]) -> Report:
    volume: Path = flags.directory
    if not volume.is_dir():
        raise VolumeBenchmarkError(f"{volume} is no directory: name where the volume is mounted")
    for left in sorted(volume.glob(f"{DIRECTORY_PREFIX}*")):
        _say(f"{left} is from another run: remove it if that one was killed")
    rate = bytes_per_second(Encoding(preset=EncodingPreset(flags.preset)))
    segment_bytes = rate * flags.segment_seconds
    writers = sorted(set(flags.buffers))
    fitting = _fitting(volume, writers, segment_bytes, free)
    load = Load(
        segment_bytes=segment_bytes,
        segment_seconds=flags.segment_seconds,
        step_seconds=flags.seconds,
        writer_bytes=flags.max_gib * GIB / sum(fitting),
        least_free_bytes=free(volume) / 4,
    )
    with own_directory(volume) as directory:
        steps = tuple(_steps(directory, fitting, load, free))
    file_system = _file_system(volume)
    return Report(
        volume=str(volume),
        file_system=file_system,
        segment_bytes=segment_bytes,
        segment_seconds=flags.segment_seconds,
        deadline_seconds=deadline_seconds(flags.segment_seconds),
        steps=steps,
        skipped_writers=tuple(n for n in writers if n not in fitting),
        budget=write_budget(steps, segment_seconds=flags.segment_seconds, bytes_per_second=rate),
        notes=(_CACHE, *([_MEMORY] if file_system in {"tmpfs", "ramfs"} else [])),
    )


def _fitting(
    volume: Path, writers: Sequence[int], segment_bytes: int, free: Callable[[Path], int]
) -> list[int]:
    """Leave out what would take more than half of the free space."""
    room = free(volume)
    fitting = [n for n in writers if space_needed(n, segment_bytes) <= room / 2]
    if not fitting:
        needed = space_needed(writers[0], segment_bytes) / MEGABYTE
        raise VolumeBenchmarkError(
            f"{volume} has {room / MEGABYTE:.0f} MB free, and {writers[0]} writers need {needed:.0f} "
            "MB of at most half of that: free some space, or choose fewer --buffers or --segment-seconds"
        )
    return fitting


def _steps(
    directory: Path, writers: Sequence[int], load: Load, free: Callable[[Path], int]
) -> Iterator[WriteStep]:
    """Measure with more and more writers, until a segment comes too late."""
    for at_once in writers:
        _say(f"{at_once} writers at once, {load.step_seconds:g} s at most ...")
        step = measure(directory, at_once, load, free=free)
        yield step
        if not step.keeps(deadline_seconds(load.segment_seconds)):
            return


@contextmanager
def _unwound_by_signals() -> Iterator[None]:
    """Let a signal unwind the stack, so that the directory is removed: SIGTERM ends a pod.

    A second one is ignored: removing takes a moment.
    """

    def unwind(received: int, _: FrameType | None) -> None:
        for each in _SIGNALS:
            signal.signal(each, signal.SIG_IGN)
        raise SystemExit(128 + received)

    before = [(each, signal.signal(each, unwind)) for each in _SIGNALS]
    try:
        yield
    finally:
        for each, handler in before:
            signal.signal(each, handler)


def _file_system(volume: Path) -> str:
    """Give the type of the file system of the mount with this device number; empty if it is not listed."""
    device = os.stat(volume).st_dev  # noqa: PTH116 - one look
    wanted = f"{os.major(device)}:{os.minor(device)}"
    for line in Path("/proc/self/mountinfo").read_text(encoding="utf-8").splitlines():
        mount, _, kind = line.partition(" - ")
        if mount.split()[2] == wanted:
            return kind.split()[0]
    return ""


def _table(report: Report) -> str:
    head = (
        f"{report.volume} ({report.file_system or 'unknown file system'}), segments of "
        f"{report.segment_bytes / MEGABYTE:.1f} MB for {report.segment_seconds} s, each to be stored in "
        f"{report.deadline_seconds:g} s"
    )
    lines = [
        head,
        "",
        "writers  segments     MB/s  until written, ms  until stored, ms     in time",
        "                              median   worst     median   worst",
    ]
    lines += [_row(step, report.deadline_seconds) for step in report.steps]
    if report.skipped_writers:
        skipped = ", ".join(map(str, report.skipped_writers))
        lines.append(f"{skipped} writers were left out: they would take more than half of the free space")
    return "\n".join([*lines, "", _conclusion(report.budget), *report.notes])


def _row(step: WriteStep, deadline: float) -> str:
    times = [
        1000 * seconds
        for spread in (step.buffered, step.stored)
        for seconds in (spread.median_seconds, spread.worst_seconds)
    ]
    late = f"no: {step.given_up} gave up" if step.given_up else "no"
    return (
        f"{step.writers:7}  {step.segments:8}  {step.bytes_per_second / MEGABYTE:7.0f}  "
        f"{times[0]:8.0f}{times[1]:8.0f}  {times[2]:9.0f}{times[3]:8.0f}     "
        f"{'yes' if step.keeps(deadline) else late}"
    )


def _conclusion(budget: WriteBudget | None) -> str:
    if budget is None:
        return "Too slow for one buffer of this kind. Choose a faster class, or a preset with fewer bits."
    measured_mbps = budget.measured_bytes_per_second / MEGABYTE
    return (
        f"REPLAY_WRITE_BUDGET_MBPS={budget.suggested_mbps}\n"
        f"That is room for {budget.buffers} buffers: {SAFE_SHARE:.0%} of {measured_mbps:.0f} MB/s, the most "
        f"that up to {budget.writers} writers at once stored in time."
    )


def _say(text: str) -> None:
    sys.stderr.write(f"replay-operator: {text}\n")


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="replay-operator benchmark-volume",
        description="Write to a volume as recordings do, and say what it can take. Whatever records there "
        "now is slowed down meanwhile.",
    )
    parser.add_argument("directory", type=Path, metavar="DIRECTORY", help="where the volume is mounted")
    parser.add_argument(
        "--preset",
        choices=[preset.value for preset in EncodingPreset],
        default=EncodingPreset.H264_1080P_60.value,
        metavar="PRESET",
        help="encoding of the buffers (default %(default)s)",
    )
    parser.add_argument(
        "--segment-seconds",
        type=whole_number(range(2, 16)),
        default=10,
        metavar="SECONDS",
        help="2 to 15 (10)",
    )
    parser.add_argument(
        "--seconds",
        type=number(0.1, 600),
        default=30.0,
        help="for each number of writers, and at most one segment's duration more (30)",
    )
    parser.add_argument(
        "--buffers",
        type=whole_numbers(_WRITERS),
        default=(1, 4, 16, 64),
        metavar="N,N,...",
        help="how many write at once (1,4,16,64)",
    )
    parser.add_argument(
        "--max-gib",
        type=number(0.001, 1024),
        default=20.0,
        help="written in all, a segment each apart (20)",
    )
    parser.add_argument("-o", "--output", choices=("json", "table"), default="table")
    return parser
