"""The agent's preview in a process of its own: it scans a volume once, serves it, and ends with SIGTERM."""

from __future__ import annotations

import argparse
import asyncio
import signal
from pathlib import Path

from aiohttp import web

from replay_operator.agent.clock import SystemClock
from replay_operator.agent.daemon import Agent
from replay_operator.agent.preview.application import make_preview_app
from replay_operator.agent.preview.parts import make_preview
from replay_operator.agent.segment_probe import probe_segment
from replay_operator.agent.settings import AgentSettings


async def serve(settings: AgentSettings, *, over_network: bool) -> None:
    """Serve until SIGTERM, and print the port.

    Args:
        settings: Of the agent.
        over_network: The volume is treated as one on a network file system, whatever it is.
    """
    stop = asyncio.Event()
    asyncio.get_running_loop().add_signal_handler(signal.SIGTERM, stop.set)
    clock = SystemClock()
    agent = Agent(settings, clock=clock, probe=probe_segment)
    await agent.scan()
    preview = make_preview(agent, settings, clock, is_remote=lambda _: over_network)
    runner = web.AppRunner(make_preview_app(preview), access_log=None, shutdown_timeout=1)
    await runner.setup()
    await web.TCPSite(runner, "127.0.0.1", 0).start()
    print(runner.addresses[0][1], flush=True)
    await stop.wait()
    await runner.cleanup()
    await agent.close()


def main() -> None:
    """Run the process."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--volume", type=Path, required=True)
    parser.add_argument("--secrets", type=Path, required=True, help="holds preview-key")
    parser.add_argument("--memory", required=True, help="for segments, such as 64Mi")
    parser.add_argument("--over-network", action="store_true")
    chosen = parser.parse_args()
    settings = AgentSettings(
        volume=chosen.volume,
        archive=chosen.volume,
        token_directory=chosen.secrets,
        preview_memory=chosen.memory,
    )
    asyncio.run(serve(settings, over_network=chosen.over_network))


if __name__ == "__main__":
    main()
