"""An egress worker as a process of its own, as it is in a pod: nothing that a test does makes it late."""

from __future__ import annotations

import os
import sys
from asyncio.subprocess import create_subprocess_exec
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

from tests.livekit_double.fixtures import DoubleInProcess
from tests.livekit_double.tests.waiting import until
from tests.stack.images import CHECKOUT


@asynccontextmanager
async def running_worker(double: DoubleInProcess, directory: Path) -> AsyncIterator[None]:
    """Start one and wait until the server has it; kill it at the end.

    Args:
        double: Whose worker it is.
        directory: For what it writes meanwhile, and for its log.
    """
    settings = {
        "LIVEKIT_API_KEY": double.api_key,
        "LIVEKIT_API_SECRET": double.api_secret,
        "LIVEKIT_WS_URL": double.url,
        "LIVEKIT_DOUBLE_TMP": str(directory / "egress-tmp"),
    }
    log = directory / "worker.log"
    with log.open("wb") as output:
        process = await create_subprocess_exec(
            *(sys.executable, "-m", "tests.livekit_double", "worker"),
            cwd=CHECKOUT,
            env={**os.environ, **settings},
            stdout=output,
            stderr=output,
        )
    try:
        await until(lambda: bool(double.server.fleet.links), f"a worker; its log: {log}")
        yield
    finally:
        process.kill()
        await process.wait()
