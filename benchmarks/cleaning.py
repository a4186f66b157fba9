"""Measures what deleting old segments costs: `python -m benchmarks.cleaning`.

The real agent on a real directory, beside a plain script that lists the same directories and unlinks the same
files. Files are not media: the agent is told what is in them, as its index tells it after a restart.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import os
import shutil
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from dataclasses import asdict, dataclass, replace
from datetime import UTC, datetime, timedelta
from pathlib import Path

from replay_operator.agent.daemon import Agent
from replay_operator.agent.segment_probe import ProbedSegment
from replay_operator.agent.segments import MediaSpan
from replay_operator.agent.settings import AgentSettings
from replay_operator.api.agent import BufferPolicy, Policy, RunFile
from replay_operator.domain.layout import INDEX_PLAYLIST, RunPath, segment_name

SEGMENTS = 72
"""Twelve minutes of segments of 10 s."""

SEGMENT_SECONDS = 10
DELETED_SHARE = 0.3
T0 = datetime(2026, 11, 22, 12, tzinfo=UTC)
_SECOND_NS = 1_000_000_000


@dataclass(frozen=True)
class Clock:
    """A clock that stands at the end of the last segment."""

    seconds: int

    def now(self) -> datetime:
        return T0 + timedelta(seconds=self.seconds)

    def monotonic(self) -> float:
        return 1_000_000.0


@dataclass(frozen=True)
class Cleaning:
    """One round: wall and CPU in milliseconds, resident memory in MiB."""

    files: int
    deleted: int
    wall_ms: float
    cpu_ms: float
    rss_empty_mib: float = 0.0
    rss_known_mib: float = 0.0
    rss_highest_mib: float = 0.0


@dataclass(frozen=True)
class Layout:
    """How many sessions of how many segments of how many bytes."""

    root: Path
    sessions: int
    segments: int
    segment_bytes: int

    @property
    def seconds(self) -> int:
        return self.segments * SEGMENT_SECONDS

    @property
    def deleted_each(self) -> int:
        return int(self.segments * DELETED_SHARE)

    def paths(self) -> list[RunPath]:
        return [RunPath("bench", f"buffer-{number:05d}", "run-1") for number in range(self.sessions)]

    def fill(self) -> None:
        """Make the directories as egress leaves them."""
        content = os.urandom(self.segment_bytes)
        listed = "".join(
            f"#EXTINF:{SEGMENT_SECONDS}.000,\n{segment_name(index)}\n" for index in range(self.segments)
        )
        for path in self.paths():
            directory = self.root / path.relative
            directory.mkdir(parents=True)
            for index in range(self.segments):
                (directory / segment_name(index)).write_bytes(content)
            (directory / INDEX_PLAYLIST).write_text(f"#EXTM3U\n#EXT-X-TARGETDURATION:10\n{listed}")
        os.sync()


def main() -> int:
    """Run the bench; tables go to standard output."""
    arguments = _parser().parse_args()
    if arguments.one is not None:
        sessions, segments = arguments.one
        print(json.dumps(asdict(_in_fresh_directory(_agent, arguments, sessions, segments))))
        return 0
    print(f"10 sessions of {SEGMENTS} segments, 30 % to delete, {arguments.rounds} rounds of each in turn\n")
    print("| | wall, ms: median | least | CPU, ms: median | least |\n|---|--:|--:|--:|--:|")
    plain, agent = [], []
    for _ in range(arguments.rounds):
        plain.append(_in_fresh_directory(_plain, arguments, 10, SEGMENTS))
        agent.append(_in_fresh_directory(_agent, arguments, 10, SEGMENTS))
    for name, rounds in (("readdir and unlink, nothing else", plain), ("the agent", agent)):
        walls, cpus = [one.wall_ms for one in rounds], [one.cpu_ms for one in rounds]
        cells = (statistics.median(walls), min(walls), statistics.median(cpus), min(cpus))
        print(f"| {name} | {' | '.join(f'{cell:.1f}' for cell in cells)} |")
    print("\n| files | in | deleted | wall, ms | µs a deletion | RSS empty, MiB | knowing them | highest |")
    print("|--:|---|--:|--:|--:|--:|--:|--:|")
    for sessions, segments in ((10, 100), (10, 1000), (10, 10_000), (1389, SEGMENTS)):
        found = _in_own_process(arguments, sessions, segments)
        print(
            f"| {found.files} | {sessions} x {segments} | {found.deleted} | {found.wall_ms:.0f} "
            f"| {1000 * found.wall_ms / found.deleted:.0f} | {found.rss_empty_mib:.1f} "
            f"| {found.rss_known_mib:.1f} | {found.rss_highest_mib:.1f} |",
            flush=True,
        )
    print(f"\nload {os.getloadavg()[0]:.1f} at the end")
    return 0


def _in_fresh_directory(
    work: Callable[[Layout], Cleaning], arguments: argparse.Namespace, sessions: int, segments: int
) -> Cleaning:
    with tempfile.TemporaryDirectory(prefix="replay-cleaning-", dir=arguments.volume) as directory:
        size = arguments.segment_bytes if segments == SEGMENTS and sessions == 10 else 1024
        layout = Layout(Path(directory) / "buffer", sessions, segments, size)
        layout.root.mkdir()
        layout.fill()
        cleaning = work(layout)
        left = sum(1 for path in layout.root.rglob("seg_*.ts"))
        assert left == sessions * (segments - layout.deleted_each), f"{left} files are left"
        shutil.rmtree(layout.root)
        return cleaning


def _in_own_process(arguments: argparse.Namespace, sessions: int, segments: int) -> Cleaning:
    command = [sys.executable, "-m", "benchmarks.cleaning", "--one", str(sessions), str(segments)]
    if arguments.volume is not None:
        command += ["--volume", str(arguments.volume)]
    answer = subprocess.run(command, check=True, capture_output=True, text=True)
    return Cleaning(**json.loads(answer.stdout.splitlines()[-1]))


def _plain(layout: Layout) -> Cleaning:
    wall, cpu = time.perf_counter(), time.process_time()
    for path in layout.paths():
        directory = f"{layout.root}/{path.relative}"
        with os.scandir(directory) as entries:
            names = sorted(entry.name for entry in entries if entry.name.endswith(".ts"))
        for name in names[: layout.deleted_each]:
            os.unlink(f"{directory}/{name}")  # noqa: PTH108 - a Path for each would cost more than the deletion
    return _taken(layout, wall, cpu)


def _agent(layout: Layout) -> Cleaning:
    return asyncio.run(_clean(layout))


async def _clean(layout: Layout) -> Cleaning:
    settings = AgentSettings(volume=layout.root, archive=layout.root, startup_quiet_seconds=0)
    agent = Agent(settings, clock=Clock(layout.seconds), probe=_told)
    for path in layout.paths():
        (layout.root / path.relative / "run.json").write_text(_run_file())
    rss_empty = _rss_mib()
    await agent.scan()
    await agent.put_policy(_policy(layout, window_seconds=layout.seconds, seq=1))
    await agent.maintain()
    rss_known = _rss_mib()
    kept_seconds = layout.seconds - (layout.deleted_each + 1) * SEGMENT_SECONDS
    await agent.put_policy(_policy(layout, window_seconds=kept_seconds, seq=2))
    _forget_highest_rss()
    wall, cpu = time.perf_counter(), time.process_time()
    await agent.maintain()
    taken = _taken(layout, wall, cpu)
    highest = _status_mib("VmHWM")
    await agent.close()
    return replace(taken, rss_empty_mib=rss_empty, rss_known_mib=rss_known, rss_highest_mib=highest)


def _told(file: Path, index: int, near_ticks: int) -> ProbedSegment:
    del file, near_ticks
    start_ns = index * SEGMENT_SECONDS * _SECOND_NS
    return ProbedSegment(MediaSpan(start_ns, start_ns + SEGMENT_SECONDS * _SECOND_NS), record=None)


def _run_file() -> str:
    facts = RunFile(
        room="r",
        buffer="b",
        segment_seconds=SEGMENT_SECONDS,
        media_started_at_ns=int(T0.timestamp()) * _SECOND_NS,
    )
    return facts.model_dump_json(by_alias=True, exclude_none=True)


def _policy(layout: Layout, *, window_seconds: int, seq: int) -> Policy:
    lines = tuple(
        BufferPolicy(
            path=path.buffer,
            window_seconds=window_seconds,
            slack_seconds=0,
            segment_seconds=SEGMENT_SECONDS,
        )
        for path in layout.paths()
    )
    return Policy(epoch=1, seq=seq, complete=True, buffers=lines)


def _taken(layout: Layout, wall: float, cpu: float) -> Cleaning:
    return Cleaning(
        files=layout.sessions * layout.segments,
        deleted=layout.sessions * layout.deleted_each,
        wall_ms=1000 * (time.perf_counter() - wall),
        cpu_ms=1000 * (time.process_time() - cpu),
    )


def _rss_mib() -> float:
    return _status_mib("VmRSS")


def _status_mib(name: str) -> float:
    for line in Path("/proc/self/status").read_text().splitlines():
        if line.startswith(f"{name}:"):
            return int(line.split()[1]) / 1024
    raise LookupError(name)


def _forget_highest_rss() -> None:
    Path("/proc/self/clear_refs").write_text("5")


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="python -m benchmarks.cleaning", description=__doc__)
    parser.add_argument("--rounds", type=int, default=9, help="rounds of each (default 9)")
    parser.add_argument("--volume", type=Path, help="a directory on the volume to measure on")
    parser.add_argument(
        "--segment-bytes", type=int, default=277_000, help="size of a segment (default: 720p30, 6 s)"
    )
    parser.add_argument("--one", type=int, nargs=2, metavar=("SESSIONS", "SEGMENTS"), help=argparse.SUPPRESS)
    return parser


if __name__ == "__main__":
    sys.exit(main())
