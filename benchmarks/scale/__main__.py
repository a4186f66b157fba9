"""Measures what numbers of buffers cost: `python -m benchmarks.scale --buffers 100,1000,5000`."""

from __future__ import annotations

import argparse
import dataclasses
import json
import sys
import tempfile
import time
from pathlib import Path

from benchmarks.scale.bed import Bed, BedPlan, BenchError
from benchmarks.scale.figures import Figures, cpu_table, table
from benchmarks.scale.segments import SegmentsError, make_segments
from benchmarks.scale.stages import StagePlan, bring_up, idle, restart

REAL_AGENT_UP_TO = 500
"""A real agent beside everything else on two cores falls behind with more (README.md)."""


def main() -> int:
    """Run the bench; the table goes to standard output, progress to standard error."""
    arguments = _parser().parse_args()
    runs: list[Figures] = []
    try:
        with tempfile.TemporaryDirectory(prefix="replay-scale-") as directory:
            runs.extend(_measure(arguments, number, Path(directory)) for number in arguments.buffers)
    except (BenchError, SegmentsError) as error:
        _say(str(error))
        return 1
    print(table(runs))
    print()
    print(cpu_table(runs))
    if arguments.json:
        arguments.json.write_text(json.dumps([dataclasses.asdict(run) for run in runs], indent=2) + "\n")
    return 0


def _measure(arguments: argparse.Namespace, buffers: int, directory: Path) -> Figures:
    agent = arguments.agent
    if agent == "auto":
        agent = "real" if buffers <= REAL_AGENT_UP_TO else "fake"
    real_agent = agent == "real"
    segments = (
        make_segments(
            directory / "segments", count=arguments.segments, segment_seconds=arguments.segment_seconds
        )
        if real_agent
        else []
    )
    plan = StagePlan(
        buffers=buffers,
        segment_seconds=arguments.segment_seconds,
        window_seconds=arguments.window_seconds,
        settle_seconds=arguments.settle_seconds,
        idle_seconds=arguments.idle_seconds,
        limit_seconds=arguments.limit_seconds,
    )
    here = directory / str(buffers)
    here.mkdir()
    settings = dict(pair.split("=", 1) for pair in arguments.setting)
    bed_plan = BedPlan(buffers, arguments.segment_seconds, real_agent, tuple(segments), settings)
    with Bed(bed_plan, here) as bed:
        _say(f"{buffers} buffers: control plane, LiveKit's double and agent are up; bringing up")
        up = bring_up(bed, plan)
        _say(f"{buffers} buffers: {up}")
        quiet = idle(bed, plan)
        _say(f"{buffers} buffers: {quiet}")
        again = restart(bed, plan)
        _say(f"{buffers} buffers: {again}")
        return Figures(buffers, agent, up, quiet, again, bed.crashes)


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="python -m benchmarks.scale", description=__doc__)
    parser.add_argument(
        "--buffers",
        type=lambda text: [int(part) for part in text.split(",")],
        default=[100, 1000],
        help="numbers of buffers, one run each (default: 100,1000)",
    )
    parser.add_argument(
        "--agent",
        choices=("auto", "real", "fake"),
        default="auto",
        help=f"auto: the real one up to {REAL_AGENT_UP_TO} buffers, else one that keeps no files",
    )
    parser.add_argument("--segment-seconds", type=int, default=10)
    parser.add_argument(
        "--window-seconds",
        type=int,
        default=14400,
        help="long by default: a window that fills is written at each quarter, once in a buffer's life",
    )
    parser.add_argument("--segments", type=int, default=120, help="prepared segments of one run")
    parser.add_argument("--settle-seconds", type=float, default=20.0)
    parser.add_argument("--idle-seconds", type=float, default=60.0)
    parser.add_argument("--limit-seconds", type=float, default=900.0, help="for the bring-up")
    parser.add_argument(
        "--setting", action="append", default=[], metavar="NAME=VALUE", help="of the operator, by variable"
    )
    parser.add_argument("--json", type=Path, help="also write every figure here")
    return parser


def _say(what: str) -> None:
    print(f"{time.strftime('%H:%M:%S')} {what}", file=sys.stderr, flush=True)


if __name__ == "__main__":
    sys.exit(main())
