"""Measures what following segments costs the agent: `python -m benchmarks.agent --buffers 1000`."""

from __future__ import annotations

import argparse
import asyncio
import os
import resource
import shutil
import statistics
import sys
import tempfile
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

from benchmarks.capture.media import SEGMENT_SECONDS, make_segments
from replay_operator.agent.clock import SystemClock
from replay_operator.agent.file_work import FileWork
from replay_operator.agent.metrics import AgentMetrics
from replay_operator.agent.scan import Scanner
from replay_operator.agent.segment_probe import probe_segment
from replay_operator.agent.volume import Volume
from replay_operator.api.agent import RunFile
from replay_operator.domain.layout import INDEX_PLAYLIST, LIVE_PLAYLIST, RunPath, segment_name
from replay_operator.media.segment_file import read_segment
from replay_operator.media.segment_index import index_record
from replay_operator.media.timeline import MEDIA_EPOCH_TICKS
from replay_operator.media.ts_probe import scan_segment
from tests.testbed.build_cache import cache_directory

_NAP_SECONDS = 0.005
_RECORDED = Path(__file__).parents[2] / "tests" / "data"
_SMALL = _RECORDED / "livekit" / "run-320x180p15-6s" / "seg_00003.ts"
_MIDDLE = _RECORDED / "media" / "killed-720p30-6s" / "seg_00006.ts"


@dataclass(frozen=True)
class Taken:
    """Time that something took, wall and CPU, and the longest that the event loop was late meanwhile."""

    wall_seconds: float
    cpu_seconds: float
    longest_stall_seconds: float = 0.0


def main() -> int:
    """Run the bench; tables go to standard output, progress to standard error."""
    arguments = _parser().parse_args()
    large = make_segments(cache_directory(os.environ) / "bench", 60)[30]
    print("one segment, CPU in ms, median of", arguments.rounds, "\n")
    print("| segment | reading alone | reading and scanning | for the index | segments a second and core |")
    print("|---|--:|--:|--:|--:|")
    for name, path in (("320x180, 15 f/s, 6 s", _SMALL), ("720p30, 6 s", _MIDDLE), ("1080p60, 10 s", large)):
        print(_one_segment(f"{name}, {path.stat().st_size / 1000:.0f} kB", path, arguments.rounds))
    print(f"\nthe whole agent's scan, {arguments.buffers} buffers, {SEGMENT_SECONDS} s segments\n")
    print("| segment | pass | wall, ms | CPU, ms | event loop late, ms |\n|---|---|--:|--:|--:|")
    for name, path in (("320x180, 126 kB", _SMALL), ("720p30, 277 kB", _MIDDLE), ("1080p60, 7.9 MB", large)):
        with tempfile.TemporaryDirectory(prefix="replay-agent-", dir=arguments.volume) as directory:
            for line in asyncio.run(_passes(Path(directory), path, arguments.buffers)):
                print(f"| {name} | {line} |", flush=True)
    print(f"\nload {os.getloadavg()[0]:.1f} at the end, RSS {_rss_mib():.0f} MiB at most")
    return 0


def _one_segment(name: str, path: Path, rounds: int) -> str:
    read = read_segment(path)
    assert read.stamp is not None
    stamp, scan = read.stamp, scan_segment(read.data)

    def write_down() -> None:
        record = index_record(7, stamp, scan)
        assert record is not None
        record.line()

    reading = _cpu_ms(lambda: read_segment(path), rounds)
    scanning = _cpu_ms(lambda: scan_segment(read_segment(path).data, near_ticks=MEDIA_EPOCH_TICKS), rounds)
    writing = _cpu_ms(write_down, rounds)
    cells = (reading, scanning, writing, 1000 / (scanning + writing))
    return f"| {name} | {' | '.join(f'{cell:.2f}' for cell in cells[:3])} | {cells[3]:.0f} |"


def _cpu_ms(work: Callable[[], object], rounds: int) -> float:
    taken = []
    for _ in range(rounds):
        began = time.process_time()
        work()
        taken.append(1000 * (time.process_time() - began))
    return statistics.median(taken)


async def _passes(root: Path, segment: Path, buffers: int) -> Sequence[str]:
    """Let one segment arrive in every buffer, and time what the scanner does about it."""
    volume = Volume(root)
    paths = [RunPath("bench", f"buffer-{number:05d}", "run-1") for number in range(buffers)]
    run_file = RunFile(room="r", buffer="b", segment_seconds=SEGMENT_SECONDS, media_started_at_ns=1)
    scanner = _scanner(volume)
    for path in paths:
        scanner.adopt(path, volume.make_run(path, run_file))
    source = root / "segment.ts"
    shutil.copyfile(segment, source)
    await scanner.scan()
    lines = []
    for index in (0, 1):
        for path in paths:
            _arrive(volume.directory(path), source, index)
        baseline = _timed_reading([volume.directory(path) / segment_name(index) for path in paths])
        lines.append(_line(f"reading the files, nothing else ({index + 1})", baseline))
        lines.append(_line(f"one segment in every buffer ({index + 1})", await _timed(scanner)))
    lines.append(_line("nothing new", await _timed(scanner)))
    fresh = _scanner(volume)
    lines.append(_line("restart, from the index", await _timed(fresh)))
    return lines


def _scanner(volume: Volume) -> Scanner:
    return Scanner(
        volume=volume,
        files=FileWork(),
        clock=SystemClock(),
        probe=probe_segment,
        metrics=AgentMetrics(),
        guard=asyncio.Lock(),
        relist_interval_seconds=3600,
    )


def _arrive(directory: Path, source: Path, index: int) -> None:
    # A link, not a copy: thousands of segments of 8 MB would not fit, and the agent reads the same bytes.
    (directory / segment_name(index)).hardlink_to(source)
    entries = "".join(f"#EXTINF:{SEGMENT_SECONDS}.000,\n{segment_name(i)}\n" for i in range(index + 1))
    for name in (INDEX_PLAYLIST, LIVE_PLAYLIST):
        (directory / name).write_text(f"#EXTM3U\n#EXT-X-TARGETDURATION:{SEGMENT_SECONDS}\n{entries}")


def _timed_reading(files: Sequence[Path]) -> Taken:
    wall, cpu = time.perf_counter(), time.process_time()
    for file in files:
        file.read_bytes()
    return Taken(time.perf_counter() - wall, time.process_time() - cpu)


async def _timed(scanner: Scanner) -> Taken:
    stalls: list[float] = [0.0]
    watch = asyncio.create_task(_watch_loop(stalls))
    await asyncio.sleep(0)
    wall, cpu = time.perf_counter(), time.process_time()
    await scanner.scan()
    taken = Taken(time.perf_counter() - wall, time.process_time() - cpu, max(stalls))
    watch.cancel()
    return taken


async def _watch_loop(stalls: list[float]) -> None:
    """Note how late a short nap ends: so late would be an answer to the operator."""
    while True:
        before = time.perf_counter()
        await asyncio.sleep(_NAP_SECONDS)
        stalls.append(time.perf_counter() - before - _NAP_SECONDS)


def _line(name: str, taken: Taken) -> str:
    times = (taken.wall_seconds, taken.cpu_seconds, taken.longest_stall_seconds)
    return f"{name} | {' | '.join(f'{1000 * seconds:.0f}' for seconds in times)}"


def _rss_mib() -> float:
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="python -m benchmarks.agent", description=__doc__)
    parser.add_argument("--buffers", type=int, default=1000, help="how many buffers (default 1000)")
    parser.add_argument(
        "--rounds", type=int, default=50, help="how often one segment is scanned (default 50)"
    )
    parser.add_argument("--volume", type=Path, help="a directory on the volume to measure on")
    return parser


if __name__ == "__main__":
    sys.exit(main())
