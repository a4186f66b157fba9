"""The agent as a process: starts from its environment, serves, ends on SIGTERM, may be killed at any time."""

from __future__ import annotations

import asyncio
import signal
from pathlib import Path

import pytest

from tests.agent.process import agent_process, free_port, put, until_ready
from tests.agent.rig import BUFFER, RUN, buffer_policy, policy, run_file


@pytest.fixture
def port() -> int:
    return free_port()


async def test_sigterm_ends_the_agent_cleanly(volume: Path, token_directory: Path, port: int) -> None:
    async with agent_process(volume, token_directory, port) as process:
        await until_ready(port)
        assert await put(port, f"/v1/runs/{BUFFER}/{RUN}", run_file()) == 200

        process.send_signal(signal.SIGTERM)

        assert await asyncio.wait_for(process.wait(), 15) == 0


async def test_a_killed_agent_leaves_the_volume_to_the_next_one(
    volume: Path, token_directory: Path, port: int
) -> None:
    async with agent_process(volume, token_directory, port) as first:
        await until_ready(port)
        assert await put(port, "/v1/policy", policy(buffer_policy(), epoch=3, seq=3)) == 200
        first.kill()
        await first.wait()

        async with agent_process(volume, token_directory, port):
            await until_ready(port)
            assert await put(port, "/v1/policy", policy(buffer_policy(), epoch=3, seq=2)) == 409
