"""One run: the baseline, the way up, the load."""

from __future__ import annotations

import asyncio
import os
import time
from collections.abc import Callable, Coroutine, Mapping, Sequence
from contextlib import AsyncExitStack
from dataclasses import dataclass
from pathlib import Path

import aiohttp

from benchmarks.load.bed import Bed, LoadBenchError, agent, workers
from benchmarks.load.captures import Captures
from benchmarks.load.figures import Stretch
from benchmarks.load.journal import Journal
from benchmarks.load.machine import counted, disk_bytes_written
from benchmarks.load.overdue import OverdueWatch
from benchmarks.load.pacing import SEGMENT_SECONDS, WINDOW_SECONDS, Recorded
from benchmarks.load.stand_in_operator import StandInOperator
from benchmarks.load.writer import Task
from benchmarks.scale.processes import cpu_seconds, memory
from replay_operator.agent.settings import AgentSettings

HISTORY_SECONDS = 15.0
"""Until the history of the captured buffers is written and known."""

RISE_SECONDS = WINDOW_SECONDS + 2.0 * SEGMENT_SECONDS
"""Until windows are full, and the agent deletes as much as comes."""

_READY_SECONDS = 60.0
_MAKING_SECONDS = 5


@dataclass(frozen=True, slots=True)
class Plan:
    """What is done.

    Attributes:
        recordings: Gives all buffers for a time at which the first segments come; captured ones first.
        captured: How many of them are captured from.
        large: Prepared segments of real size.
        small: Small ones.
        seconds: Length of the baseline, and of the load.
        clip_seconds: Length of each clip.
        capture_every_seconds: From one capture to the next.
        least_free_bytes: Writing ends when less is free.
    """

    recordings: Callable[[int], list[Recorded]]
    captured: int
    large: list[Path]
    small: list[Path]
    seconds: float
    clip_seconds: int
    capture_every_seconds: float
    least_free_bytes: int


@dataclass(frozen=True, slots=True)
class _Mark:
    at_seconds: float
    counted: Mapping[str, float]
    cpu_seconds: float
    disk_bytes: int | None


class Stage:
    """Runs a plan on a bed."""

    def __init__(self, bed: Bed, plan: Plan, port: int, say: Callable[[str], None]) -> None:
        """Take what is needed.

        Args:
            bed: Where.
            plan: What.
            port: Where the agent shall listen.
            say: Tells how far it is.
        """
        self._bed = bed
        self._plan = plan
        self._port = port
        self._say = say
        self._failed: asyncio.Future[str] | None = None
        self.journal = Journal()

    async def run(self) -> tuple[Stretch, Stretch]:
        """Measure without the load, and with it.

        Raises:
            LoadBenchError: Workers or agent ended.
            AgentUnavailable: The agent does not make the runs.
        """
        self._failed = asyncio.get_running_loop().create_future()
        async with AsyncExitStack() as stack:
            pid = stack.enter_context(agent(self._bed, self._port))
            session = await stack.enter_async_context(aiohttp.ClientSession())
            url = f"http://127.0.0.1:{self._port}"
            operator = StandInOperator(url, self._bed.tokens / "token", session, self.journal)
            await self._until_ready(operator)
            await stack.enter_async_context(operator.asking())
            captured = self._plan.recordings(time.time_ns())[: self._plan.captured]
            await operator.record(captured)
            await self._start_workers(stack, captured)
            # The agent deletes nothing so soon after its start, which would be no deadline that is missed.
            quiet_seconds: float = AgentSettings.model_fields["startup_quiet_seconds"].default
            await self._pass(max(HISTORY_SECONDS, quiet_seconds), "the captured buffers get their history")
            capturing = self._captures(operator).run(captured, self._plan.capture_every_seconds)
            self._in_background(stack, capturing, "the captures")
            baseline = await self._measure("baseline", pid, operator)
            await self._add_load(stack, operator)
            await self._pass(RISE_SECONDS, "all buffers begin to record")
            return baseline, await self._measure("load", pid, operator)

    def _captures(self, operator: StandInOperator) -> Captures:
        return Captures(
            volume=self._bed.volume,
            archive=self._bed.archive,
            operator=operator,
            journal=self.journal,
            clip_seconds=self._plan.clip_seconds,
            say=self._say,
        )

    async def _add_load(self, stack: AsyncExitStack, operator: StandInOperator) -> None:
        # Making so many runs takes a while, and a segment that is due before counts for nothing.
        begun_at_ns = time.time_ns() + _MAKING_SECONDS * 1_000_000_000
        others = self._plan.recordings(begun_at_ns)[self._plan.captured :]
        await operator.record(others)
        await self._start_workers(stack, others)
        watching = OverdueWatch(self._bed.volume, others, self.journal).run()
        self._in_background(stack, watching, "the look at the disk")

    def _in_background(self, stack: AsyncExitStack, work: Coroutine[None, None, None], name: str) -> None:
        task = asyncio.create_task(work)

        def ended(_: asyncio.Task[None]) -> None:
            if not task.cancelled() and (error := task.exception()) is not None:
                self._fail(f"{name} ended: {error!r}")

        task.add_done_callback(ended)
        stack.push_async_callback(_cancelled, task)

    async def _start_workers(self, stack: AsyncExitStack, buffers: Sequence[Recorded]) -> None:
        task = Task(
            volume=self._bed.volume,
            large=self._plan.large,
            small=self._plan.small,
            least_free_bytes=self._plan.least_free_bytes,
            buffers=list(buffers),
        )
        await stack.enter_async_context(workers(task, self.journal, self._fail))

    async def _measure(self, name: str, pid: int, operator: StandInOperator) -> Stretch:
        before = await self._mark(pid, operator)
        await self._pass(self._plan.seconds, name)
        after = await self._mark(pid, operator)
        disk_bytes = None
        if before.disk_bytes is not None and after.disk_bytes is not None:
            disk_bytes = after.disk_bytes - before.disk_bytes
        return Stretch(
            begin_seconds=before.at_seconds,
            end_seconds=after.at_seconds,
            counted={key: value - before.counted[key] for key, value in after.counted.items()},
            cpu_seconds=after.cpu_seconds - before.cpu_seconds,
            rss_mib=memory(pid).now_mib,
            disk_bytes=disk_bytes,
            load_average=os.getloadavg()[0],
        )

    async def _mark(self, pid: int, operator: StandInOperator) -> _Mark:
        page = await operator.page()
        return _Mark(time.time(), counted(page), cpu_seconds(pid), disk_bytes_written(self._bed.volume))

    async def _until_ready(self, operator: StandInOperator) -> None:
        given_up = time.monotonic() + _READY_SECONDS
        while not await operator.is_ready():
            if time.monotonic() > given_up:
                words = self._bed.agent_log.read_text(errors="replace")[-500:]
                raise LoadBenchError(f"the agent was not ready within {_READY_SECONDS:.0f} s: {words}")
            await asyncio.sleep(0.1)

    def _fail(self, why: str) -> None:
        if self._failed is not None and not self._failed.done():
            self._failed.set_result(why)

    async def _pass(self, seconds: float, what: str) -> None:
        """Let time pass, unless the workers end meanwhile."""
        self._say(f"{what}: {seconds:.0f} s (load average {os.getloadavg()[0]:.1f})")
        assert self._failed is not None
        done, _ = await asyncio.wait({self._failed}, timeout=seconds)
        if done:
            raise LoadBenchError(self._failed.result())


async def _cancelled(task: asyncio.Task[None]) -> None:
    task.cancel()
    await asyncio.gather(task, return_exceptions=True)
