"""The order to stop a pod: given once or more, each time with a grace period, the shortest one counts."""

import asyncio
import signal
import time

from tests.testbed.node.containers import ContainerProcess


class StopOrder:
    """Shared by the containers of one pod."""

    def __init__(self) -> None:
        self._deadline: float | None = None
        self._given = asyncio.Event()
        self._changed = asyncio.Event()

    def is_given(self) -> bool:
        """Whether the pod has to stop."""
        return self._given.is_set()

    async def wait(self) -> None:
        """Returns when the pod has to stop."""
        await self._given.wait()

    def give(self, grace_seconds: float) -> None:
        """Orders the stop; SIGKILL follows after the grace period."""
        deadline = time.monotonic() + grace_seconds
        if self._deadline is None or deadline < self._deadline:
            self._deadline = deadline
            self._changed.set()
        self._given.set()

    async def pause(self, seconds: float) -> bool:
        """Waits for a time, or until the stop is ordered.

        Returns:
            Whether it is ordered.
        """
        try:
            async with asyncio.timeout(seconds):
                await self._given.wait()
        except TimeoutError:
            return False
        return True

    async def carry_out(self, process: ContainerProcess) -> None:
        """SIGTERM, then SIGKILL when the grace period is over. Returns when the process has ended."""
        process.signal(signal.SIGTERM)
        while not process.ended.done():
            left = (self._deadline or 0.0) - time.monotonic()
            if left <= 0:
                process.kill()
                await asyncio.wait({process.ended})
                return
            self._changed.clear()
            shortened = asyncio.create_task(self._changed.wait())
            await asyncio.wait({process.ended, shortened}, timeout=left, return_when=asyncio.FIRST_COMPLETED)
            shortened.cancel()


async def terminate(process: ContainerProcess, grace_seconds: float) -> None:
    """Stops one process for a reason of its own, for example a failed liveness probe."""
    order = StopOrder()
    order.give(grace_seconds)
    await order.carry_out(process)
