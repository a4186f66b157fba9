"""Measures what a clip costs: `python -m benchmarks.capture --rounds 5`."""

from __future__ import annotations

import argparse
import compileall
import dataclasses
import json
import os
import shutil
import statistics
import sys
import tempfile
import time
from collections.abc import Sequence
from datetime import timedelta
from pathlib import Path

import replay_operator
from benchmarks.capture.measured import Cost, make_cold, measure
from benchmarks.capture.media import SEGMENT_SECONDS, STARTED_AT, lay_out_run, make_segments, write_index
from benchmarks.capture.ways import WAYS, Task
from replay_operator.api.capture_job import CaptureRequest
from replay_operator.domain.layout import INDEX_FILE
from replay_operator.media.capture import plan_clip
from tests.testbed.build_cache import cache_directory

_MEMORY = Path("/dev", "shm")
"""The second volume that every machine has."""

Costs = dict[str, list[Cost]]


def main() -> int:
    """Run the bench; tables go to standard output, progress to standard error."""
    arguments = _parser().parse_args()
    # An image has the byte code of everything; a checkout may not.
    compileall.compile_dir(Path(replay_operator.__file__).parent, quiet=1)
    segments = make_segments(cache_directory(os.environ) / "bench", arguments.segments)
    found: dict[str, Costs] = {}
    with tempfile.TemporaryDirectory(prefix="replay-capture-", dir=arguments.volume) as directory:
        one = Path(directory)
        single = lay_out_run(one / "one" / "run-1", segments).parent
        _print_plan_times(single, arguments.rounds)
        write_index(single / "run-1")
        overlap = len(segments) // 2
        lay_out_run(one / "two" / "run-1", segments[: overlap + 2])
        lay_out_run(one / "two" / "run-2", segments[overlap - 2 :], first=overlap - 2)
        for run in sorted((one / "two").iterdir()):
            write_index(run)
        with tempfile.TemporaryDirectory(prefix="replay-capture-", dir=arguments.second_volume) as second:
            places = {"one volume": one, "two volumes": Path(second)}
            if Path(second).stat().st_dev == one.stat().st_dev:
                _say(f"{second} is on the same volume: two volumes are not measured, see --second-volume")
                del places["two volumes"]
            cases = [
                (f"{runs}, {place}, {temperature}", one / runs.split()[0], scratch)
                for runs in ("one run", "two runs")
                for place, scratch in places.items()
                for temperature in ("warm", "cold")
            ]
            for title, buffer, scratch in cases:
                if arguments.only in title:
                    found[title] = _rounds(arguments, title, buffer, one, scratch)
    for title, costs in found.items():
        print(f"\n{title} (load {os.getloadavg()[0]:.1f} at the end)\n\n{_table(costs)}")
    if arguments.json:
        plain = {
            t: {w: [dataclasses.asdict(c) for c in cs] for w, cs in costs.items()}
            for t, costs in found.items()
        }
        arguments.json.write_text(json.dumps(plain, indent=2) + "\n")
    return 0


def _rounds(arguments: argparse.Namespace, title: str, buffer: Path, volume: Path, scratch: Path) -> Costs:
    """Measure all ways in turn, so that what else the machine does meets them all."""
    environment = {**os.environ, "PYTHONDONTWRITEBYTECODE": "1"}
    costs: Costs = {way.name: [] for way in WAYS}
    seconds = SEGMENT_SECONDS * arguments.segments
    for number in range(arguments.rounds):
        _say(f"{title}: round {number + 1} of {arguments.rounds}")
        for way in WAYS[number % len(WAYS) :] + WAYS[: number % len(WAYS)]:
            with tempfile.TemporaryDirectory(dir=volume) as archive:
                task = Task(
                    buffer=buffer,
                    clip=Path(archive, "clip.mp4"),
                    scratch=Path(tempfile.mkdtemp(dir=scratch), "work"),
                    start=STARTED_AT,
                    end=STARTED_AT + timedelta(seconds=seconds),
                )
                os.sync()
                if "cold" in title:
                    make_cold(sorted(buffer.glob("*/seg_*.ts")))
                costs[way.name].append(measure(way, task, environment))
                shutil.rmtree(task.scratch.parent)
    return costs


def _print_plan_times(buffer: Path, rounds: int) -> None:
    """Say how long a plan takes with the index and without."""
    request = CaptureRequest(
        capture_uid="bench",
        buffer_directory=str(buffer),
        start=STARTED_AT,
        end=STARTED_AT + timedelta(days=1),
        archive_directory=str(buffer),
        clip_path="clip.mp4",
    )
    print("plan, in a process that has started already\n\n| | ms, median | least | most |\n|---|--:|--:|--:|")
    for name in ("without index", "with index"):
        taken = []
        if name == "with index":
            write_index(buffer / "run-1")
        for _ in range(rounds):
            began = time.perf_counter()
            plan_clip(request)
            taken.append(1000 * (time.perf_counter() - began))
        print(f"| {name} | {statistics.median(taken):.0f} | {min(taken):.0f} | {max(taken):.0f} |")
    (buffer / "run-1" / INDEX_FILE).unlink()


def _table(costs: Costs) -> str:
    usual = costs["usual"]
    columns = [
        "way",
        "until the clip is there, s",
        "of the usual",
        "least to most",
        "fsync then, s",
        "CPU, s",
    ]
    columns += ["RSS, MiB", "bytes written per byte"]
    rows = [f"| {' | '.join(columns)} |", f"|---|{'--:|' * (len(columns) - 1)}"]
    for name, found in costs.items():
        ratios = [mine.seconds / other.seconds for mine, other in zip(found, usual, strict=True)]
        cells = [
            name,
            f"{_median([c.seconds for c in found]):.2f}",
            f"{_median(ratios):.2f}",
            f"{min(ratios):.2f} to {max(ratios):.2f}",
            f"{_median([c.fsync_seconds for c in found]):.2f}",
            f"{_median([c.cpu_seconds for c in found]):.2f}",
            f"{_median([c.rss_mib for c in found]):.0f}",
            f"{_median([c.written_bytes / c.result_bytes for c in found]):.2f}",
        ]
        rows.append(f"| {' | '.join(cells)} |")
    return "\n".join(rows)


def _median(values: Sequence[float]) -> float:
    return statistics.median(values)


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="python -m benchmarks.capture", description=__doc__)
    parser.add_argument("--rounds", type=int, default=5, help="how often each way is measured (default 5)")
    parser.add_argument("--segments", type=int, default=60, help="length in segments of 10 s (default 60)")
    parser.add_argument("--only", default="", help="only cases with this in their title, such as 'one run'")
    parser.add_argument("--volume", type=Path, help="a directory on the buffer and archive volume")
    parser.add_argument("--second-volume", type=Path, default=_MEMORY, help="one for the usual way's copies")
    parser.add_argument("--json", type=Path, help="also write every figure to this file")
    return parser


def _say(line: str) -> None:
    print(line, file=sys.stderr, flush=True)


if __name__ == "__main__":
    sys.exit(main())
