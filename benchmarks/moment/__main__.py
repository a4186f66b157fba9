"""Measures the way from the click to the clip: `python -m benchmarks.moment --captures 20`."""

from __future__ import annotations

import argparse
import compileall
import dataclasses
import json
import os
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

from benchmarks.capture.media import make_segments
from benchmarks.moment.bed import running_stack
from benchmarks.moment.flushed import flush_table, save_flushed
from benchmarks.moment.parts import parts_table
from benchmarks.moment.stored import save_stored
from tests.stack.images import CHECKOUT
from tests.testbed.build_cache import cache_directory

SEGMENTS = 60
"""Of ten seconds each."""

PUBLISHED = (
    "the usual way, as published: 2.1 s for the cut alone (list 0.01, copy 0.8, concat 1.2, move 0.05)"
)


def main() -> int:
    """Run the stages; tables go to standard output, progress to standard error."""
    arguments = _parser().parse_args()
    # The image holds compiled modules; a checkout may not, and containers of the stand-in write none.
    compileall.compile_dir(CHECKOUT / "operator" / "replay_operator", quiet=2)
    kept: dict[str, Any] = {"load_before": os.getloadavg()}
    segments = make_segments(cache_directory(os.environ) / "bench", SEGMENTS) if arguments.captures else []
    with tempfile.TemporaryDirectory(prefix="replay-moment-") as name, running_stack(Path(name)) as stack:
        if arguments.captures:
            stored = save_stored(stack, segments, arguments.captures, _say)
            kept["stored"] = dataclasses.asdict(stored)
            size, seconds = stored.clip_bytes / 1e6, stored.clip_milliseconds / 1000
            print(f"\n{len(stored.captures)} captures of {seconds:.1f} s, {size:.0f} MB each; {PUBLISHED}\n")
            print(parts_table(stored.captures))
        flushed = {
            seconds: save_flushed(stack, seconds, arguments.flushes, _say, arguments.seed)
            for seconds in (arguments.segment_seconds if arguments.flushes else [])
        }
        if flushed:
            kept["flushed"] = {n: [dataclasses.asdict(f) for f in found] for n, found in flushed.items()}
            print("\ntail: Flush, ms, p50 / p95 / most\n")
            print(flush_table(flushed))
    kept["load_after"] = os.getloadavg()
    print(f"\nload average: {kept['load_before'][0]:.1f} before, {kept['load_after'][0]:.1f} after")
    if arguments.json:
        arguments.json.write_text(json.dumps(kept, indent=2) + "\n")
    return 0


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="python -m benchmarks.moment", description=__doc__)
    parser.add_argument("--captures", type=int, default=20, help="of ten stored minutes; 0: none")
    parser.add_argument("--flushes", type=int, default=5, help="for each length of a segment; 0: none")
    parser.add_argument(
        "--segment-seconds",
        type=lambda text: [int(part) for part in text.split(",")],
        default=[2, 4, 10, 15],
        help="lengths for the flushes (default: 2,4,10,15)",
    )
    parser.add_argument("--seed", type=int, default=1, help="of the moments of the flushes")
    parser.add_argument("--json", type=Path, help="also write every figure here")
    return parser


def _say(what: str) -> None:
    print(f"{time.strftime('%H:%M:%S')} {what}", file=sys.stderr, flush=True)


if __name__ == "__main__":
    sys.exit(main())
