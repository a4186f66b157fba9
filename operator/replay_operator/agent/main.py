"""Runs the agent until it is told to stop."""

from __future__ import annotations

import asyncio
import logging
import signal
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from functools import partial

from aiohttp import web

from replay_operator.agent.archive_meter import MEASURE_SECONDS
from replay_operator.agent.clock import AgentClock, SystemClock
from replay_operator.agent.daemon import Agent
from replay_operator.agent.part_sweep import PART_SWEEP_SECONDS
from replay_operator.agent.rounds import repeat
from replay_operator.agent.segment_probe import probe_segment
from replay_operator.agent.server import make_app
from replay_operator.agent.settings import AgentSettings
from replay_operator.http_server import served

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
    clock = SystemClock()
    again = partial(repeat, stop=stop, monotonic=clock.monotonic)
    agent = Agent(settings, clock=clock, probe=probe_segment)
    try:
        async with (
            _served(make_app(agent), settings.bind_address, settings.port),
            _preview(agent, settings, clock),
            asyncio.TaskGroup() as loops,
        ):
            scanning = loops.create_task(again(agent.scan, settings.scan_interval_seconds))
            loops.create_task(again(agent.maintain, settings.retention_interval_seconds))
            loops.create_task(again(agent.keep_floor, settings.floor_interval_seconds))
            sweeping = loops.create_task(again(agent.sweep_archive, PART_SWEEP_SECONDS))
            measuring = loops.create_task(again(agent.measure_archive, MEASURE_SECONDS))
            await stop.wait()
            # A first scan and a walk over the archive may be long, and both may end anywhere. Deletions are
            # short and end in their own time.
            scanning.cancel()
            sweeping.cancel()
            measuring.cancel()
    finally:
        await agent.close()


@asynccontextmanager
async def _served(app: web.Application, address: str, port: int) -> AsyncIterator[None]:
    async with served(app, address, port, close_seconds=_CLOSE_SECONDS) as addresses:
        _logger.info("listening on %s", addresses)
        yield


@asynccontextmanager
async def _preview(agent: Agent, settings: AgentSettings, clock: AgentClock) -> AsyncIterator[None]:
    """Show buffers and clips to people, where the settings say so."""
    if settings.preview_port is None:
        yield
        return
    # The caches cost memory: only who shows anything pays.
    from replay_operator.agent.preview.application import make_preview_app  # noqa: PLC0415 - see above
    from replay_operator.agent.preview.parts import make_preview  # noqa: PLC0415 - see above

    preview = await asyncio.to_thread(make_preview, agent, settings, clock)
    async with _served(make_preview_app(preview), settings.bind_address, settings.preview_port):
        yield
