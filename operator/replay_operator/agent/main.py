"""Runs the agent until it is told to stop."""

from __future__ import annotations

import asyncio
import logging
import signal
from collections.abc import Awaitable, Callable

from aiohttp import web

from replay_operator.agent.archive_meter import MEASURE_SECONDS
from replay_operator.agent.clock import SystemClock
from replay_operator.agent.daemon import Agent
from replay_operator.agent.part_sweep import PART_SWEEP_SECONDS
from replay_operator.agent.segment_probe import probe_segment
from replay_operator.agent.server import make_app
from replay_operator.agent.settings import AgentSettings

_CLOSE_SECONDS = 5.0
"""How long open requests may take to end at a stop; well inside the usual 30 s of a pod's grace period."""

_logger = logging.getLogger(__name__)


async def run_agent(settings: AgentSettings) -> None:
    """Serve and keep the volume until SIGTERM or SIGINT.

    Args:
        settings: Everything that can be set.

    Raises:
        OSError: The address cannot be listened on.
    """
    stop = asyncio.Event()
    loop = asyncio.get_running_loop()
    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, stop.set)
    agent = Agent(settings, clock=SystemClock(), probe=probe_segment)
    runner = web.AppRunner(make_app(agent), access_log=None, shutdown_timeout=_CLOSE_SECONDS)
    await runner.setup()
    try:
        await web.TCPSite(runner, settings.bind_address, settings.port).start()
        _logger.info("listening on %s", runner.addresses)
        async with asyncio.TaskGroup() as loops:
            scanning = loops.create_task(_repeat(agent.scan, settings.scan_interval_seconds, stop))
            loops.create_task(_repeat(agent.maintain, settings.retention_interval_seconds, stop))
            loops.create_task(_repeat(agent.keep_floor, settings.floor_interval_seconds, stop))
            sweeping = loops.create_task(_repeat(agent.sweep_archive, PART_SWEEP_SECONDS, stop))
            measuring = loops.create_task(_repeat(agent.measure_archive, MEASURE_SECONDS, stop))
            await stop.wait()
            # A first scan and a walk over the archive may be long, and both may end anywhere. Deletions are
            # short and end in their own time.
            scanning.cancel()
            sweeping.cancel()
            measuring.cancel()
    finally:
        await runner.cleanup()
        await agent.close()


async def _repeat(work: Callable[[], Awaitable[None]], interval_seconds: float, stop: asyncio.Event) -> None:
    while not stop.is_set():
        await work()
        try:
            async with asyncio.timeout(interval_seconds):
                await stop.wait()
        except TimeoutError:
            continue
