"""One container from its first start to its last end: retries, probes, restarts with back-off."""

import asyncio
import contextlib
import time
from collections.abc import Awaitable, Callable

from tests.testbed.node.api import Json
from tests.testbed.node.containers import ContainerPlan, ContainerProcess, Exit
from tests.testbed.node.errors import ContainerStartError, ContainerWaitingError
from tests.testbed.node.isolation import Isolation
from tests.testbed.node.probes import Probe, Prober, follow_readiness, until_dead, until_started
from tests.testbed.node.status import ContainerRecord
from tests.testbed.node.stopping import StopOrder, terminate

# The kubelet starts at 10 s and ends at 300 s; a test has no time for that.
_FIRST_BACKOFF_SECONDS = 0.25
_LONGEST_BACKOFF_SECONDS = 5.0
_RETRY_SECONDS = 1.0
_CANNOT_START = 128

Planner = Callable[[int], Awaitable[ContainerPlan]]


def restart_backoff_seconds(restarts: int) -> float:
    """The pause before the next start, after so many restarts."""
    return min(_LONGEST_BACKOFF_SECONDS, _FIRST_BACKOFF_SECONDS * 2.0**restarts)


def starts_again(policy: str, exit_code: int) -> bool:
    """Whether a container that ended so is started again under the pod's restartPolicy."""
    return policy == "Always" or (policy == "OnFailure" and exit_code != 0)


class ContainerLife:
    """Drives one container and keeps its record.

    Attributes:
        record: what the status shows.
        process: the running process, or the one that ran last.
    """

    def __init__(
        self,
        container: Json,
        *,
        pod_ip: str,
        restart_policy: str,
        grace_seconds: float,
        isolation: Isolation,
        plan: Planner,
        stop: StopOrder,
        changed: Callable[[], None],
    ) -> None:
        self.record = ContainerRecord(container["name"], container["image"])
        self.process: ContainerProcess | None = None
        self._container = container
        self._pod_ip = pod_ip
        self._restart_policy = restart_policy
        self._grace_seconds = grace_seconds
        self._isolation = isolation
        self._plan = plan
        self._stop = stop
        self._changed = changed

    @property
    def alive(self) -> bool:
        """Whether the process runs now."""
        return self.process is not None and not self.process.ended.done()

    async def run(self) -> None:
        """Returns when the container has ended for good; the record is final then."""
        while not self._stop.is_given():
            end = await self._run_once()
            if end is None:
                continue
            self.record.terminated(end)
            if self._stop.is_given() or not starts_again(self._restart_policy, end.code):
                break
            self._changed()
            await self._back_off()
        self.record.final = True
        self._changed()

    async def _back_off(self) -> None:
        seconds = restart_backoff_seconds(self.record.restart_count)
        message = f"back-off {seconds} s restarting failed container {self.record.name}"
        self.record.waiting("CrashLoopBackOff", message)
        self._changed()
        if not await self._stop.pause(seconds):
            self.record.restarting()

    async def _run_once(self) -> Exit | None:
        """Starts the container and waits for its end; None when it cannot start yet."""
        try:
            plan = await self._plan(self.record.restart_count)
        except ContainerWaitingError as error:
            self.record.waiting(error.reason, error.message)
            self._changed()
            await self._stop.pause(_RETRY_SECONDS)
            return None
        try:
            self.process = await ContainerProcess.start(plan, self._isolation)
        except (ContainerStartError, OSError) as error:
            now = time.time()
            return Exit(_CANNOT_START, str(error), "StartError", now, now)
        self.record.running(self.process.started_at)
        return await self._accompany(self.process)

    async def _accompany(self, process: ContainerProcess) -> Exit:
        probing = asyncio.create_task(self._probe(process))
        stopping = asyncio.create_task(self._stop.wait())
        try:
            await asyncio.wait({process.ended, stopping}, return_when=asyncio.FIRST_COMPLETED)
            if not process.ended.done():
                await self._stop.carry_out(process)
        finally:
            for task in (probing, stopping):
                task.cancel()
                with contextlib.suppress(asyncio.CancelledError):
                    await task
            process.kill()
        return await process.wait()

    async def _probe(self, process: ContainerProcess) -> None:
        prober = Prober(self._container, self._pod_ip, process)
        startup, readiness, liveness = (
            Probe.parse(self._container.get(name))
            for name in ("startupProbe", "readinessProbe", "livenessProbe")
        )
        self._changed()
        if startup and not await until_started(prober, startup):
            await terminate(process, self._grace_seconds)
            return
        self.record.started = True
        self.record.ready = readiness is None
        self._changed()
        async with asyncio.TaskGroup() as tasks:
            if readiness:
                tasks.create_task(follow_readiness(prober, readiness, self._report_readiness))
            if liveness:
                tasks.create_task(self._kill_when_dead(prober, liveness, process))

    async def _kill_when_dead(self, prober: Prober, liveness: Probe, process: ContainerProcess) -> None:
        await until_dead(prober, liveness)
        await terminate(process, self._grace_seconds)

    def _report_readiness(self, ready: bool) -> None:
        self.record.ready = ready
        self._changed()
