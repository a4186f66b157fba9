"""The worker process and its signals: SIGTERM and SIGQUIT drain, SIGINT ends what it records."""

import asyncio
import signal
from collections.abc import Mapping

from tests.livekit_double.signals import received
from tests.livekit_double.worker.config import worker_config
from tests.livekit_double.worker.worker import Worker


async def run(environment: Mapping[str, str]) -> None:
    """Works until a signal has ended it.

    Args:
        environment: see `worker_config`.

    Raises:
        ValueError: if the configuration lacks something.
    """
    worker = await Worker(worker_config(environment)).start()
    print(f"worker {worker.config.worker_id} is up, capacity {worker.config.capacity}", flush=True)
    interrupted = asyncio.create_task(received(signal.SIGINT))
    terminated = asyncio.create_task(received(signal.SIGTERM, signal.SIGQUIT))
    gone = asyncio.create_task(worker.gone.wait())
    await asyncio.wait({interrupted, terminated, gone}, return_when=asyncio.FIRST_COMPLETED)
    if gone.done():
        return
    if not interrupted.done():
        drained = asyncio.create_task(worker.drain())
        await asyncio.wait({drained, interrupted}, return_when=asyncio.FIRST_COMPLETED)
        if drained.done():
            return
        drained.cancel()
    await worker.interrupt()
