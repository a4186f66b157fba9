"""Directories on the volume, the agent's process, the workers' process. All of it goes with the bench."""

from __future__ import annotations

import asyncio
import json
import os
import sys
import time
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import asynccontextmanager, contextmanager
from dataclasses import dataclass
from pathlib import Path

from benchmarks.load.journal import Journal, Measure
from benchmarks.load.writer import Task
from replay_operator.agent.volume_benchmark import own_directory
from tests.testbed.children import Children

_TOKEN = "load-bench"  # noqa: S105 - of a server on the loopback address that lives for minutes
_STOP_SECONDS = 20.0
AGENT = "agent"


class LoadBenchError(Exception):
    """A part of the bench ended; the message says which."""


@dataclass(frozen=True, slots=True)
class Bed:
    """Where everything lies."""

    volume: Path
    archive: Path
    tokens: Path
    logs: Path

    @property
    def agent_log(self) -> Path:
        """What the agent writes."""
        return self.logs / f"{AGENT}.log"


@contextmanager
def made_bed(place: Path) -> Iterator[Bed]:
    """Make the directories, and remove them with everything in them at the end.

    Args:
        place: A directory on the volume to measure on.

    Raises:
        VolumeBenchmarkError: They cannot be made.
    """
    with own_directory(place) as directory:
        bed = Bed(directory / "buffer", directory / "archive", directory / "tokens", directory / "logs")
        for each in (bed.volume, bed.archive, bed.tokens):
            each.mkdir()
        (bed.tokens / "token").write_text(_TOKEN)
        yield bed


@contextmanager
def agent(bed: Bed, port: int) -> Iterator[int]:
    """Run the real agent with its own settings, and give its process id.

    Args:
        bed: Its volumes.
        port: Where it listens.
    """
    settings = {"VOLUME": bed.volume, "ARCHIVE": bed.archive, "TOKEN_DIRECTORY": bed.tokens, "PORT": port}
    environment = {f"REPLAY_AGENT_{name}": str(value) for name, value in settings.items()}
    command = [sys.executable, "-m", "replay_operator", "agent"]
    with Children(bed.logs) as children:
        yield children.start(AGENT, command, env={**os.environ, **environment}).pid


@asynccontextmanager
async def workers(task: Task, journal: Journal, failed: Callable[[str], None]) -> AsyncIterator[None]:
    """Run the workers, and note what they write.

    Args:
        task: What they write.
        journal: Where it is noted.
        failed: Called when they end by themselves.
    """
    process = await asyncio.create_subprocess_exec(
        *(sys.executable, "-m", "benchmarks.load.writer"),
        stdin=asyncio.subprocess.PIPE,
        stdout=asyncio.subprocess.PIPE,
        # Ctrl-C is for the bench, which then closes their input.
        start_new_session=True,
        # A line tells of a second of hundreds of segments.
        limit=1 << 20,
    )
    async with _ended(process):
        assert process.stdin is not None
        process.stdin.write(task.to_json().encode() + b"\n")
        listening = asyncio.create_task(_listen(process, journal, failed))
        try:
            yield
        finally:
            listening.cancel()
            process.stdin.close()


async def _listen(
    process: asyncio.subprocess.Process, journal: Journal, failed: Callable[[str], None]
) -> None:
    assert process.stdout is not None
    async for line in process.stdout:
        told, now = json.loads(line), time.time()
        journal.note_all(Measure.WRITTEN, now, told["sizes"])
        journal.note_all(Measure.WRITE_LATE, now, told["late_seconds"])
    failed("the workers have ended: see above")


@asynccontextmanager
async def _ended(process: asyncio.subprocess.Process) -> AsyncIterator[None]:
    try:
        yield
    finally:
        if process.returncode is None:
            process.terminate()
            try:
                await asyncio.wait_for(process.wait(), _STOP_SECONDS)
            except TimeoutError:
                process.kill()
                await process.wait()
