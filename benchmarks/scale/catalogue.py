"""What a catalogue costs the operator, there or away: `python -m benchmarks.scale.catalogue`."""

from __future__ import annotations

import argparse
import socket
import statistics
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from benchmarks.scale.bed import Bed, BedPlan, BenchError
from benchmarks.scale.figures import BringUp
from benchmarks.scale.stages import StagePlan, bring_up

KINDS = ("none", "sqlite", "silent")


@contextmanager
def catalogue_url(kind: str, directory: Path) -> Iterator[str]:
    """Give the URL of a catalogue for as long as the block.

    Args:
        kind: `none`; `sqlite`: a file; `silent`: a Postgres that takes connections and never answers, the
            slowest way of being away.
        directory: For the file.
    """
    if kind == "silent":
        with socket.create_server(("127.0.0.1", 0)) as server:
            yield f"postgresql://nobody@127.0.0.1:{server.getsockname()[1]}/away"
    elif kind == "sqlite":
        yield f"sqlite:///{directory}/catalogue.db"
    else:
        yield ""


def main() -> int:
    """Run the bench; the table goes to standard output, progress to standard error."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.scale.catalogue", description=__doc__)
    parser.add_argument("--buffers", type=int, default=300)
    parser.add_argument("--rounds", type=int, default=3)
    arguments = parser.parse_args()
    runs: dict[str, list[BringUp]] = {kind: [] for kind in KINDS}
    try:
        for round_ in range(arguments.rounds):
            # In turn, and each time another one first: what else goes on is shared alike.
            for kind in KINDS[round_ % 3 :] + KINDS[: round_ % 3]:
                up = _bring_up(kind, arguments.buffers)
                print(f"{time.strftime('%H:%M:%S')} {kind}: {up}", file=sys.stderr, flush=True)
                runs[kind].append(up)
    except BenchError as error:
        print(error, file=sys.stderr)
        return 1
    print(table(runs))
    return 0


def _bring_up(kind: str, buffers: int) -> BringUp:
    plan = StagePlan(
        buffers=buffers,
        segment_seconds=10,
        window_seconds=14400,
        settle_seconds=0,
        idle_seconds=0,
        limit_seconds=300,
    )
    with tempfile.TemporaryDirectory(prefix="replay-scale-") as text:
        directory = Path(text)
        with catalogue_url(kind, directory) as url:
            settings = {"REPLAY_CATALOGUE_URL": url}
            bed = Bed(
                BedPlan(buffers, 10, real_agent=False, segments=(), operator_settings=settings), directory
            )
            with bed:
                return bring_up(bed, plan)


def table(runs: dict[str, list[BringUp]]) -> str:
    """Give medians, and their ratio to those without a catalogue.

    Args:
        runs: Of each kind.
    """
    rows = ["| catalogue | until all record, s | ratio | operator CPU, s | ratio | highest RSS, MiB |"]
    rows.append("|---|--:|--:|--:|--:|--:|")
    seconds = {kind: statistics.median(up.seconds for up in ups) for kind, ups in runs.items()}
    cpu = {
        kind: statistics.median(up.cpu_percent["operator"] * up.seconds / 100 for up in ups)
        for kind, ups in runs.items()
    }
    for kind, ups in runs.items():
        peak = statistics.median(up.peak_mib for up in ups)
        rows.append(
            f"| {kind} | {seconds[kind]:.1f} | {seconds[kind] / seconds['none']:.3f} "
            f"| {cpu[kind]:.1f} | {cpu[kind] / cpu['none']:.2f} | {peak:.0f} |"
        )
    return "\n".join(rows)


if __name__ == "__main__":
    sys.exit(main())
