"""Measures what viewers of one buffer cost the agent: `python -m benchmarks.preview --viewers 50`."""

from __future__ import annotations

import argparse
import asyncio
import os
import secrets
import sys
import tempfile
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path

from benchmarks.capture.media import SEGMENT_SECONDS, lay_out_run, make_segments, write_index
from benchmarks.preview.viewers import Places, look
from benchmarks.scale.processes import cpu_seconds, memory, read_bytes
from replay_operator.domain.signed_address import Scope, SigningKey, signed_query
from tests.testbed.build_cache import cache_directory

MEGABYTE = 1e6
_UID = "0d4f7d3c-6c8e-4f65-9df2-3a1f0f8f7f10"
_RUN = "20261122T140000Z-ab12cd34"
_WINDOW = 60


@dataclass(frozen=True)
class Way:
    """How the agent reads the volume."""

    name: str
    over_network: bool
    memory: str


WAYS = (
    Way("network volume, 64Mi of memory", over_network=True, memory="64Mi"),
    Way("network volume, no memory", over_network=True, memory="0"),
    Way("local volume, sendfile", over_network=False, memory="0"),
)


@dataclass(frozen=True)
class Cost:
    """What all viewers of one way together cost the agent's process."""

    sent_bytes: int
    read_bytes: int
    cpu_seconds: float
    idle_mib: float
    peak_mib: float


def main() -> int:
    """Run the bench; tables go to standard output."""
    arguments = _parser().parse_args()
    segments = make_segments(cache_directory(os.environ) / "bench", _WINDOW)[: arguments.window]
    if arguments.segments > len(segments):
        sys.exit(f"--segments {arguments.segments}: the window has {len(segments)}")
    looked = f"{arguments.segments} segments of {SEGMENT_SECONDS} s each, window of {len(segments)}"
    print(f"{arguments.viewers} viewers of one buffer, {looked}, 1080p60 at 6 Mbit/s\n")
    with tempfile.TemporaryDirectory(prefix="replay-preview-", dir=arguments.volume) as directory:
        root = Path(directory)
        write_index(lay_out_run(root / "volume" / "bench" / _UID / _RUN, segments))
        (root / "secrets").mkdir()
        key = SigningKey(secrets.token_urlsafe(48).encode())
        (root / "secrets" / "preview-key").write_bytes(key.secret)
        for places in Places:
            costs = {way: asyncio.run(_cost(root, key, way, places, arguments)) for way in WAYS}
            print(f"{places}:\n\n{table(costs, arguments.segments * SEGMENT_SECONDS)}\n", flush=True)
    print(f"load {os.getloadavg()[0]:.1f} at the end")
    return 0


def table(costs: dict[Way, Cost], looked_seconds: float) -> str:
    """Give the table of the ways, each beside the first one.

    Args:
        costs: Of each way; the first is what the others are compared with.
        looked_seconds: How long each viewer would have looked in real time.
    """
    first = next(iter(costs.values()))
    lines = [
        "| way | sent, MB | read, MB | CPU, s | % of a core | RSS, MiB | most | read, ratio | CPU, ratio |",
        "|---|--:|--:|--:|--:|--:|--:|--:|--:|",
    ]
    for way, cost in costs.items():
        cells = (
            f"{cost.sent_bytes / MEGABYTE:.0f}",
            f"{cost.read_bytes / MEGABYTE:.0f}",
            f"{cost.cpu_seconds:.2f}",
            f"{100 * cost.cpu_seconds / looked_seconds:.1f}",
            f"{cost.idle_mib:.0f}",
            f"{cost.peak_mib:.0f}",
            f"{cost.read_bytes / max(1, first.read_bytes):.1f}",
            f"{cost.cpu_seconds / first.cpu_seconds:.2f}" if first.cpu_seconds else "",
        )
        lines.append(f"| {way.name} | {' | '.join(cells)} |")
    return "\n".join(lines)


async def _cost(root: Path, key: SigningKey, way: Way, places: Places, arguments: argparse.Namespace) -> Cost:
    query = signed_query(key, Scope("buffer", _UID), datetime.now(UTC) + timedelta(hours=1))
    async with _server(root, way) as (pid, port):
        idle, cpu, read = memory(pid), cpu_seconds(pid), read_bytes(pid)
        sent = await look(
            f"http://127.0.0.1:{port}/v1/preview/{_UID}",
            query,
            viewers=arguments.viewers,
            segments=arguments.segments,
            places=places,
        )
        return Cost(
            sent_bytes=sent,
            read_bytes=read_bytes(pid) - read,
            cpu_seconds=cpu_seconds(pid) - cpu,
            idle_mib=idle.now_mib,
            peak_mib=memory(pid).peak_mib,
        )


@asynccontextmanager
async def _server(root: Path, way: Way) -> AsyncIterator[tuple[int, int]]:
    """Run the agent's preview; give its process id and its port."""
    more = ["--over-network"] if way.over_network else []
    process = await asyncio.create_subprocess_exec(
        *(sys.executable, "-m", "benchmarks.preview.server", "--memory", way.memory, *more),
        *("--volume", str(root / "volume"), "--secrets", str(root / "secrets")),
        stdout=asyncio.subprocess.PIPE,
    )
    try:
        assert process.stdout is not None
        yield process.pid, int(await process.stdout.readline())
    finally:
        process.terminate()
        await process.wait()


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="python -m benchmarks.preview", description=__doc__)
    parser.add_argument("--viewers", type=int, default=50, help="how many look (default 50)")
    parser.add_argument("--segments", type=int, default=10, help="how many segments each (default 10)")
    parser.add_argument("--window", type=int, default=_WINDOW, help=f"segments there are, to {_WINDOW}")
    parser.add_argument("--volume", type=Path, help="a directory on the volume to measure on")
    return parser


if __name__ == "__main__":
    sys.exit(main())
