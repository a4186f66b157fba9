"""Real capture workers as processes, at a steady rate, and how long each takes."""

from __future__ import annotations

import asyncio
import contextlib
import os
import sys
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from datetime import timedelta
from itertools import count, cycle
from pathlib import Path

from pydantic import ValidationError

from benchmarks.capture.measured import make_cold
from benchmarks.load.journal import Journal, Measure
from benchmarks.load.pacing import SEGMENT_SECONDS, Recorded
from benchmarks.load.stand_in_operator import StandInOperator
from replay_operator.api.capture_job import CaptureResult
from replay_operator.controller.agent_client import AgentUnavailable
from replay_operator.domain.egress import ns_to_datetime
from replay_operator.domain.layout import segment_name

AT_ONCE = 3
"""As many Jobs as an install runs at once (DESIGN §7)."""

_LEAD_SECONDS = 5
"""A Job is made so long before its last segment is due (the setting captureLeadSeconds)."""

_BEFORE_THE_END_SECONDS = 3
"""A capture ends within a segment, not at its edge."""

_TOLERANCE = timedelta(milliseconds=100)
_PATIENCE = timedelta(seconds=60)
_NS = 1_000_000_000


@dataclass(frozen=True, slots=True)
class Wanted:
    """One clip: of which buffer, up to which segment, and whether that is still to come."""

    uid: str
    buffer: Recorded
    last_index: int
    is_awaited: bool


def wanted(uid: str, buffer: Recorded, now_ns: int, *, is_awaited: bool) -> Wanted:
    """Choose the newest range that lies on the disk, or one whose last segment is still to come.

    Args:
        uid: Of the capture.
        buffer: Of which.
        now_ns: The time.
        is_awaited: Which of both. A worker has time to start and to join the other segments before.
    """
    if is_awaited:
        return Wanted(uid, buffer, buffer.next_index(now_ns + _LEAD_SECONDS * _NS), is_awaited=True)
    # A segment that was due a moment ago may be late.
    return Wanted(uid, buffer, buffer.next_index(now_ns - 2 * _NS) - 1, is_awaited=False)


class Captures:
    """Starts captures, stored and awaited ones in turn."""

    def __init__(
        self,
        *,
        volume: Path,
        archive: Path,
        operator: StandInOperator,
        journal: Journal,
        clip_seconds: int,
        say: Callable[[str], None],
    ) -> None:
        """Take what is needed.

        Args:
            volume: The buffer volume.
            archive: The archive volume.
            operator: Pins.
            journal: Where latencies are noted.
            clip_seconds: Length of each clip.
            say: Tells of a capture that went wrong.
        """
        self._volume = volume
        self._archive = archive
        self._operator = operator
        self._journal = journal
        self._clip = timedelta(seconds=clip_seconds)
        self._say = say
        self._places = asyncio.Semaphore(AT_ONCE)

    async def run(self, buffers: Sequence[Recorded], every_seconds: float) -> None:
        """Capture for ever.

        Args:
            buffers: Captured in turn.
            every_seconds: From one capture to the next.
        """
        order: Iterator[Recorded] = cycle(buffers)
        next_at = time.monotonic()
        async with asyncio.TaskGroup() as group:
            for number in count():
                group.create_task(self._capture(f"load{number:04d}", next(order), is_awaited=number % 2 == 1))
                next_at += every_seconds
                await asyncio.sleep(max(0.0, next_at - time.monotonic()))

    async def _capture(self, uid: str, buffer: Recorded, *, is_awaited: bool) -> None:
        chosen = wanted(uid, buffer, time.time_ns(), is_awaited=is_awaited)
        before_end = timedelta(seconds=_BEFORE_THE_END_SECONDS)
        end = ns_to_datetime(buffer.media_end_ns(chosen.last_index)) - before_end
        start = end - self._clip
        clip = self._archive / f"{uid}.mp4"
        command = [
            *(sys.executable, "-m", "replay_operator", "capture"),
            *("--buffer", str(self._volume / buffer.path.buffer), "--output", str(clip)),
            *("--start", start.isoformat(), "--end", end.isoformat(), "--only", "clip"),
        ]
        try:
            await self._operator.pin(uid, buffer, start, end)
            if is_awaited:
                early_ns = buffer.due_ns(chosen.last_index) - _LEAD_SECONDS * _NS - time.time_ns()
                await asyncio.sleep(max(0, early_ns) / _NS)
                command += ["--wait-until", (end + _PATIENCE).isoformat()]
            async with self._places:
                if not is_awaited:
                    await asyncio.to_thread(make_cold, self._segments(chosen))
                await self._make(chosen, command, clip)
            await self._operator.unpin(uid)
        except AgentUnavailable as error:
            self._fail(chosen, str(error))
        finally:
            for left in self._archive.glob(f"*{uid}*"):
                left.unlink(missing_ok=True)

    def _segments(self, chosen: Wanted) -> list[Path]:
        directory = self._volume / chosen.buffer.path.relative
        number = int(self._clip.total_seconds()) // SEGMENT_SECONDS + 2
        indices = range(max(0, chosen.last_index - number), chosen.last_index + 1)
        return [file for index in indices if (file := directory / segment_name(index)).exists()]

    async def _make(self, chosen: Wanted, command: Sequence[str], clip: Path) -> None:
        began_ns = time.time_ns()
        process = await asyncio.create_subprocess_exec(
            *command,
            stdin=asyncio.subprocess.DEVNULL,
            stdout=asyncio.subprocess.PIPE,
            stderr=asyncio.subprocess.PIPE,
            env={**os.environ, "PYTHONDONTWRITEBYTECODE": "1"},
        )
        try:
            answer, words = await process.communicate()
        finally:
            if process.returncode is None:
                with contextlib.suppress(ProcessLookupError):
                    process.terminate()
                await process.wait()
        if trouble := self._trouble(answer):
            self._fail(chosen, f"{trouble} {words.decode(errors='replace')[-300:]}")
            return
        if chosen.is_awaited:
            file = self._volume / chosen.buffer.path.relative / segment_name(chosen.last_index)
            measure, began_ns = Measure.AWAITED, await asyncio.to_thread(_written_ns, file)
        else:
            measure = Measure.STORED
        there_ns = await asyncio.to_thread(_named_ns, clip)
        self._journal.note(measure, time.time(), (there_ns - began_ns) / _NS)

    def _trouble(self, answer: bytes) -> str | None:
        try:
            result = CaptureResult.model_validate_json(answer)
        except ValidationError:
            return "the worker gave no answer."
        if result.clip is None:
            return result.error.message if result.error is not None else "no clip, and no error."
        if (
            result.clip.holes
            or abs(timedelta(milliseconds=result.clip.milliseconds) - self._clip) > _TOLERANCE
        ):
            return f"the clip has {result.clip.milliseconds} ms and {len(result.clip.holes)} holes."
        return None

    def _fail(self, chosen: Wanted, why: str) -> None:
        kind = "awaited" if chosen.is_awaited else "stored"
        self._say(f"capture {chosen.uid} ({kind}, {chosen.buffer.path.buffer}): {why}")
        self._journal.note(Measure.NO_CLIP, time.time())


def _written_ns(file: Path) -> int:
    return file.stat().st_mtime_ns


def _named_ns(clip: Path) -> int:
    """A clip gets its name when it is whole and on the disk, and that is the last change of its inode."""
    return clip.stat().st_ctime_ns
