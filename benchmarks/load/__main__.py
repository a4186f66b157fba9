"""Hundreds of recordings of real size on one volume: `python -m benchmarks.load --buffers 500`."""

from __future__ import annotations

import argparse
import asyncio
import compileall
import math
import os
import signal
import sys
import time
from dataclasses import dataclass
from functools import partial
from pathlib import Path

import replay_operator
from benchmarks.capture.media import make_segments
from benchmarks.load.bed import Bed, LoadBenchError, made_bed
from benchmarks.load.figures import lines, table
from benchmarks.load.machine import measured_budget
from benchmarks.load.pacing import (
    BUFFER_BYTES_PER_SECOND,
    SEGMENT_SECONDS,
    bytes_on_disk,
    bytes_per_second,
    chosen_share,
    recordings,
)
from benchmarks.load.stage import RISE_SECONDS, Plan, Stage
from benchmarks.scale.segments import make_segments as make_small_segments
from replay_operator.agent.settings import AgentSettings
from replay_operator.agent.volume_benchmark import DIRECTORY_PREFIX, VolumeBenchmarkError, free_bytes
from replay_operator.controller.agent_client import AgentUnavailable
from replay_operator.domain.free_space import parse_floor
from replay_operator.domain.quantity import GIB
from tests.testbed.build_cache import cache_directory
from tests.testbed.ports import free_ports

_CAPTURED = 8
_SPARE_BYTES = 2 * GIB
"""Stays free above the agent's floor and all that the bench may lay down."""

_CAPTURED_SLACK_SECONDS = 60
_PREPARED = 60
"""Prepared segments are made by so many: those that `capture` measures with are the first."""


@dataclass(frozen=True, slots=True)
class _Media:
    large: list[Path]
    small: list[Path]

    @property
    def large_bytes(self) -> int:
        return self.large[-1].stat().st_size

    @property
    def small_bytes(self) -> int:
        return self.small[-1].stat().st_size


def main() -> int:
    """Run it; the table goes to standard output, progress to standard error. 1 when a bar is missed."""
    asked = _parser().parse_args()
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(128 + signal.SIGTERM))
    # An image has the byte code of everything; a checkout may not.
    compileall.compile_dir(Path(replay_operator.__file__).parent, quiet=1)
    for left in sorted(asked.volume.glob(f"{DIRECTORY_PREFIX}*")):
        _say(f"{left} is from another run: remove it if that one was killed")
    try:
        with made_bed(asked.volume) as bed:
            return _run(asked, bed)
    except (LoadBenchError, VolumeBenchmarkError, AgentUnavailable) as error:
        _say(str(error))
        return 1
    except KeyboardInterrupt:
        _say("interrupted; nothing is left on the volume")
        return 128 + signal.SIGINT


def _run(asked: argparse.Namespace, bed: Bed) -> int:
    seconds = asked.minutes * 60
    media = _media(seconds * 2 + RISE_SECONDS + asked.clip_seconds)
    room_bytes = _room_bytes(bed.volume, asked.max_gib)
    share = asked.scale or _found_share(bed.volume, media, asked.buffers, room_bytes)
    layout = partial(
        recordings,
        asked.buffers,
        share=share,
        captured=min(_CAPTURED, asked.buffers),
        captured_seconds=asked.clip_seconds + _CAPTURED_SLACK_SECONDS,
    )
    buffers = layout(begun_at_ns=0)
    sizes = {"large_bytes": media.large_bytes, "small_bytes": media.small_bytes}
    needed_bytes = bytes_on_disk(buffers, **sizes)
    if needed_bytes > room_bytes:
        raise LoadBenchError(
            f"this lays down {needed_bytes / GIB:.1f} GiB, and there is room for {room_bytes / GIB:.1f}: "
            "choose a smaller --scale or a larger --max-gib"
        )
    rate = bytes_per_second(buffers, **sizes)
    large = sum(buffer.is_large for buffer in buffers)
    told = (
        f"{len(buffers)} buffers: {large} write {media.large_bytes / 1e6:.2f} MB every {SEGMENT_SECONDS} s, "
        f"{len(buffers) - large} write {media.small_bytes / 1e6:.2f} MB; {rate / 1e6:.0f} MB/s in all, "
        f"{rate / len(buffers) / BUFFER_BYTES_PER_SECOND:.2f} of {len(buffers)} times "
        f"{BUFFER_BYTES_PER_SECOND / 1e6:.2f} MB/s; at most {needed_bytes / GIB:.1f} GiB on the disk"
    )
    _say(told)
    plan = Plan(
        recordings=lambda begun_at_ns: layout(begun_at_ns=begun_at_ns),
        captured=min(_CAPTURED, asked.buffers),
        large=media.large,
        small=media.small,
        seconds=seconds,
        clip_seconds=asked.clip_seconds,
        capture_every_seconds=60 / asked.captures,
        least_free_bytes=max(0, free_bytes(bed.volume) - round(room_bytes) - _SPARE_BYTES),
    )
    before = os.getloadavg()[0]
    stage = Stage(bed, plan, free_ports(1)[0], _say)
    baseline, load = asyncio.run(stage.run())
    found = lines(stage.journal, baseline, load, asked_bytes_per_second=rate)
    print(f"{told}\n\n{table(found)}\n\nload average before: {before:.1f}; {os.cpu_count()} cores")
    if any(line.is_missed and line.is_condition for line in found):
        print("\nThe disk did not take this load, so the bars prove nothing: name a smaller --scale.")
    return int(any(line.is_missed for line in found))


def _media(seconds: float) -> _Media:
    """Take prepared segments for runs of this length, or make them."""
    needed = math.ceil((seconds + 2 * _CAPTURED_SLACK_SECONDS) / SEGMENT_SECONDS)
    number = math.ceil(needed / _PREPARED) * _PREPARED
    cache = cache_directory(os.environ) / "bench"
    _say(f"{number} segments of both sizes are taken from {cache}, or made")
    small = cache / f"320x180-{number}x{SEGMENT_SECONDS}s"
    return _Media(
        make_segments(cache, number),
        make_small_segments(small, count=number, segment_seconds=SEGMENT_SECONDS),
    )


def _room_bytes(volume: Path, max_gib: float) -> float:
    """What may be laid down: the agent's floor would delete what goes beyond."""
    status = os.statvfs(volume)
    floor = parse_floor(AgentSettings.model_fields["free_space_floor"].default)
    floor_bytes = floor.bytes_of(status.f_blocks * status.f_frsize)
    room_bytes = min(max_gib * GIB, free_bytes(volume) - floor_bytes - _SPARE_BYTES)
    if room_bytes < GIB:
        raise LoadBenchError(f"{volume} has too little free space above the agent's floor: free some")
    return room_bytes


def _found_share(volume: Path, media: _Media, buffers: int, room_bytes: float) -> float:
    budget = measured_budget(volume, media.large_bytes, BUFFER_BYTES_PER_SECOND, _say)
    if budget is None:
        raise LoadBenchError("the volume is too slow for a single buffer: name a --scale to try it anyway")
    share = chosen_share(budget, buffers=buffers, large_bytes=media.large_bytes, room_bytes=room_bytes)
    _say(f"{budget.suggested_mbps} MB/s are suggested for this volume: a share of {share:.2f} is taken")
    return share


def _scale(text: str) -> float | None:
    if text == "auto":
        return None
    share = float(text)
    if not 0 < share <= 1:
        raise argparse.ArgumentTypeError("a share is larger than 0 and at most 1, or auto")
    return share


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="python -m benchmarks.load", description=__doc__)
    parser.add_argument("--buffers", type=int, default=500, help="how many record (default 500)")
    parser.add_argument(
        "--scale",
        type=_scale,
        default=None,
        metavar="SHARE",
        help="share of them with segments of real size, the others write small ones; "
        "auto: what this disk takes (default)",
    )
    parser.add_argument(
        "--minutes", type=float, default=1.75, help="length of the baseline and of the load (default 1.75)"
    )
    parser.add_argument("--captures", type=float, default=20.0, help="a minute (default 20)")
    parser.add_argument("--clip-seconds", type=int, default=120, help="length of a clip (default 120)")
    parser.add_argument("--max-gib", type=float, default=17.0, help="on the disk at most (default 17)")
    parser.add_argument(
        "--volume", type=Path, default=Path(), help="a directory on the volume (default: here)"
    )
    return parser


def _say(line: str) -> None:
    print(f"{time.strftime('%H:%M:%S')} load: {line}", file=sys.stderr, flush=True)


if __name__ == "__main__":
    sys.exit(main())
