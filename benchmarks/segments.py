"""Measures what the length of a segment changes: `python -m benchmarks.segments --durations 2,4,6,10,15`."""

from __future__ import annotations

import argparse
import asyncio
import os
import random
import statistics
import sys
import tempfile
import threading
import time
from collections import Counter
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from itertools import pairwise
from pathlib import Path

from livekit.protocol import egress

from benchmarks.capture.media import SEGMENT_SECONDS, make_segments
from replay_operator.agent.clock import SystemClock
from replay_operator.agent.file_work import FileWork
from replay_operator.agent.metrics import AgentMetrics
from replay_operator.agent.scan import Scanner
from replay_operator.agent.segment_probe import probe_segment
from replay_operator.agent.volume import Volume
from replay_operator.api.agent import RunFile
from replay_operator.api.capture_job import CaptureRequest
from replay_operator.api.replaycapture import Trim
from replay_operator.domain.layout import INDEX_PLAYLIST, LIVE_PLAYLIST, RunPath, segment_index, segment_name
from replay_operator.media.capture import plan_clip
from replay_operator.media.ts_grid import TS_PACKET_BYTES
from tests.livekit_double.segment_paths import SegmentPaths
from tests.livekit_double.timing import Timing
from tests.livekit_double.worker.encoding_plan import encoding_plan
from tests.livekit_double.worker.publication import Publication
from tests.livekit_double.worker.recording import Recording, TrackState
from tests.livekit_double.worker.source import SyntheticSource
from tests.testbed.build_cache import cache_directory

_KEPT_SEGMENTS = 6
_SCAN_SECONDS = 1
_CLIP_SECONDS = (1.0, 9.0)
_WINDOW_SECONDS = 600
_HEAD = (
    "| segmentSeconds | files in 10 min | on the disk after its end, s | newest instant, oldest it gets, s "
    "| 2 x s + 0.7 | segments seen | clip beyond what was asked, mean / most, s |"
)


@dataclass(frozen=True, slots=True)
class Run:
    """One recording of LiveKit's double, on the volume."""

    seconds: int
    path: RunPath
    recording: Recording


@dataclass(frozen=True, slots=True)
class Segment:
    """A segment on disk: when its media ended, and when it could be read, both Unix seconds."""

    media_end: float
    arrived: float


def main() -> int:
    """Run the bench; tables go to standard output, progress to standard error."""
    arguments = _parser().parse_args()
    durations: Sequence[int] = arguments.durations
    with tempfile.TemporaryDirectory(prefix="replay-segments-", dir=arguments.volume) as directory:
        asyncio.run(_recorded(Path(directory), durations, arguments))
    cpu = {seconds: _agent_cpu_ms(seconds, arguments) for seconds in durations}
    print("| segmentSeconds | CPU of the agent, ms a segment | ms a minute and buffer |\n|--:|--:|--:|")
    for seconds, milliseconds in cpu.items():
        print(f"| {seconds} | {milliseconds:.1f} | {milliseconds * 60 / seconds:.0f} |")
    print(f"\nload {os.getloadavg()[0]:.1f} at the end")
    return 0


async def _recorded(root: Path, durations: Sequence[int], arguments: argparse.Namespace) -> None:
    """Record with every duration at the same time, follow it as the agent does, and look at what came."""
    volume, operations = Volume(root / "volume"), Operations()
    volume.root.mkdir()
    runs = [_start(volume, root / "scratch", seconds) for seconds in durations]
    scanner = _scanner(volume)
    segments: dict[int, dict[int, Segment]] = {seconds: {} for seconds in durations}
    # The longest needs two durations until its first segment, and two more for two more.
    end = time.monotonic() + 4 * max(durations) + 3
    with operations.counted():
        while time.monotonic() < end:
            await scanner.scan()
            for run in runs:
                _note(volume, scanner, run, segments[run.seconds])
            await asyncio.sleep(_SCAN_SECONDS)
    precision = {run.seconds: _overhangs(volume, run, arguments) for run in runs}
    for run in runs:
        await asyncio.to_thread(run.recording.kill)
    print(_HEAD)
    print("|--:|--:|--:|--:|--:|--:|--:|")
    for seconds in durations:
        print(_row(seconds, list(segments[seconds].values()), precision[seconds]))
    written = operations.counts[_SEGMENT_WRITTEN]
    print(f"\nfile operations on the volume, for each of {written} segments, whatever their length\n")
    print("| operation | a segment |\n|---|--:|")
    for name, count in sorted(operations.counts.items()):
        print(f"| {name} | {count / written:.2f} |")
    print(f"\nload {os.getloadavg()[0]:.1f} at the end of this part\n")


def _start(volume: Volume, scratch: Path, seconds: int) -> Run:
    path = RunPath("bench", f"every-{seconds}-s", "run-1")
    run_file = RunFile(room="r", buffer="b", segment_seconds=seconds)
    volume.make_run(path, run_file)
    directory = volume.directory(path)
    options = egress.EncodingOptions(width=320, height=180, framerate=15, video_bitrate=200)
    plan = encoding_plan(egress.TrackCompositeEgressRequest(advanced=options), seconds)
    names = (directory / name for name in ("seg", INDEX_PLAYLIST, LIVE_PLAYLIST))
    publication = Publication(
        SegmentPaths(*map(str, names), timestamp_suffix=False),
        plan,
        Timing(),
        egress_id=f"EG_{seconds}",
        temporary_directory=scratch,
        has_manifest=False,
    )
    flowing = TrackState.FLOWING
    source = SyntheticSource(plan)
    recording = Recording(
        plan, publication, source, video=flowing, audio=flowing, timing=Timing(), on_failure=_fail
    )
    started_at_ns = time.time_ns()
    recording.start(started_at_ns)
    volume.make_run(path, run_file.model_copy(update={"media_started_at_ns": started_at_ns}))
    return Run(seconds, path, recording)


def _fail(error: OSError) -> None:
    raise error


def _note(volume: Volume, scanner: Scanner, run: Run, segments: dict[int, Segment]) -> None:
    """Note what has arrived, and delete the oldest as the agent does."""
    state = scanner.state.run(run.path)
    complete = state.complete_segments() if state is not None else []
    for segment in complete:
        assert segment.span is not None
        media_end_ns = run.recording.started_at_ns + segment.span.end_ns
        segments[segment.index] = Segment(media_end_ns / 1e9, segment.arrived_at_ns / 1e9)
    if state is not None and len(complete) > _KEPT_SEGMENTS:
        gone = volume.remove_segments(run.path, [each.index for each in complete[:-_KEPT_SEGMENTS]]).gone
        for index in gone:
            state.segments.pop(index)


def _row(seconds: int, segments: Sequence[Segment], overhangs: Sequence[float]) -> str:
    late = statistics.median(each.arrived - each.media_end for each in segments)
    # Just before a segment arrives, the newest instant is the end of the one before.
    oldest = max(after.arrived - before.media_end for before, after in pairwise(segments))
    files = -(-_WINDOW_SECONDS // seconds)
    beyond = f"{statistics.mean(overhangs):.1f} / {max(overhangs):.1f}"
    cells = (
        seconds,
        files,
        f"{late:.2f}",
        f"{oldest:.2f}",
        f"{2 * seconds + 0.7:.1f}",
        len(segments),
        beyond,
    )
    return f"| {' | '.join(map(str, cells))} |"


def _overhangs(volume: Volume, run: Run, arguments: argparse.Namespace) -> list[float]:
    """Ask for ranges at random places with `trim: Segment`, and see how much longer the clips would be."""
    chance = random.Random(f"{arguments.seed}/{run.seconds}")  # noqa: S311 - moments, no secrets
    indices = sorted(volume.list_segments(run.path))
    started = datetime.fromtimestamp(run.recording.started_at_ns / 1e9, UTC)
    first, last = indices[0] * run.seconds, (indices[-1]) * run.seconds
    found = []
    for _ in range(arguments.ranges):
        length = min(chance.uniform(*_CLIP_SECONDS), last - first)
        start = started + timedelta(seconds=chance.uniform(first, last - length))
        request = CaptureRequest(
            capture_uid="bench",
            buffer_directory=str(volume.directory(run.path)),
            start=start,
            end=start + timedelta(seconds=length),
            trim=Trim.SEGMENT,
            archive_directory="none",
            clip_path="none.mp4",
        )
        found.append(plan_clip(request).milliseconds / 1000 - length)
    return found


_SEGMENT_WRITTEN = "segment, written"


class Operations:
    """Counts what this process does to files of the volume, by Python's audit events."""

    def __init__(self) -> None:
        self.counts: Counter[str] = Counter()
        self._counting = threading.Event()
        sys.addaudithook(self._heard)

    @contextmanager
    def counted(self) -> Iterator[None]:
        """Count while the block runs."""
        self._counting.set()
        try:
            yield
        finally:
            self._counting.clear()

    def _heard(self, event: str, arguments: tuple[object, ...]) -> None:
        if not self._counting.is_set() or event not in {"open", "os.remove"}:
            return
        path = arguments[0]
        name = os.path.basename(path) if isinstance(path, str) else ""  # noqa: PTH119 - called very often
        kind = _kind(name)
        if kind is None or (isinstance(path, str) and "/scratch/" in path):
            return
        if event == "os.remove":
            self.counts[f"{kind}, deleted"] += 1
            return
        flags = arguments[2]
        assert isinstance(flags, int)
        writes = flags & os.O_ACCMODE != os.O_RDONLY
        self.counts[f"{kind}, {'written' if writes else 'read'}"] += 1


def _kind(name: str) -> str | None:
    if segment_index(name) is not None:
        return "segment"
    return name if name in {INDEX_PLAYLIST, LIVE_PLAYLIST, "segments.index"} else None


def _agent_cpu_ms(seconds: int, arguments: argparse.Namespace) -> float:
    """Let a segment of 1080p60 arrive in many buffers, and give the CPU that the agent takes for one."""
    with tempfile.TemporaryDirectory(prefix="replay-segments-", dir=arguments.volume) as directory:
        source = Path(directory) / "source"
        source.write_bytes(_cut(seconds))
        return asyncio.run(_one_each(Volume(Path(directory)), source, seconds, arguments.buffers))


def _cut(seconds: int) -> bytes:
    """Cut so many seconds out of segments of ten, between packets."""
    segments = make_segments(cache_directory(os.environ) / "bench", 60)
    content = segments[30].read_bytes() + segments[31].read_bytes()
    packets = segments[30].stat().st_size * seconds // SEGMENT_SECONDS // TS_PACKET_BYTES
    return content[: packets * TS_PACKET_BYTES]


async def _one_each(volume: Volume, source: Path, seconds: int, buffers: int) -> float:
    scanner = _scanner(volume)
    paths = [RunPath("bench", f"buffer-{number:05d}", "run-1") for number in range(buffers)]
    run_file = RunFile(room="r", buffer="b", segment_seconds=seconds, media_started_at_ns=1)
    for path in paths:
        scanner.adopt(path, volume.make_run(path, run_file))
    await scanner.scan()
    for path in paths:
        directory = volume.directory(path)
        (directory / segment_name(0)).hardlink_to(source)
        for name in (INDEX_PLAYLIST, LIVE_PLAYLIST):
            (directory / name).write_text(f"#EXTM3U\n#EXTINF:{seconds}.000,\n{segment_name(0)}\n")
    began = time.process_time()
    await scanner.scan()
    taken = time.process_time() - began
    assert all(run.complete_segments() for run in scanner.state.runs())
    return 1000 * taken / buffers


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


def _durations(text: str) -> tuple[int, ...]:
    return tuple(int(part) for part in text.split(","))


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="python -m benchmarks.segments", description=__doc__)
    parser.add_argument("--durations", type=_durations, default=(2, 4, 6, 10, 15), help="in seconds")
    parser.add_argument("--ranges", type=int, default=200, help="clips that are planned (default 200)")
    parser.add_argument("--buffers", type=int, default=50, help="for the agent's CPU (default 50)")
    parser.add_argument("--seed", type=int, default=1, help="of the ranges")
    parser.add_argument("--volume", type=Path, help="a directory on the volume to measure on")
    return parser


if __name__ == "__main__":
    sys.exit(main())
