"""The agent as a process: starts from its environment, serves, ends on SIGTERM, may be killed at any time."""

from __future__ import annotations

import asyncio
import os
import signal
import socket
import sys
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import aiohttp
import pytest

from tests.agent.rig import BUFFER, RUN, TOKEN, buffer_policy, policy, run_file

_PROGRAM = """
import asyncio
from replay_operator.agent.main import run_agent
from replay_operator.agent.settings import AgentSettings
asyncio.run(run_agent(AgentSettings()))
"""
_OPERATOR = Path(__file__).parents[2] / "operator"
_HEADERS = {"Authorization": f"Bearer {TOKEN}"}


@pytest.fixture
def port() -> int:
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        return int(free.getsockname()[1])


@asynccontextmanager
async def agent_process(
    volume: Path, token_directory: Path, port: int
) -> AsyncIterator[asyncio.subprocess.Process]:
    process = await asyncio.create_subprocess_exec(
        sys.executable,
        "-c",
        _PROGRAM,
        env={
            "PATH": os.environ["PATH"],
            "PYTHONPATH": str(_OPERATOR),
            "REPLAY_AGENT_VOLUME": str(volume),
            "REPLAY_AGENT_PORT": str(port),
            "REPLAY_AGENT_TOKEN_DIRECTORY": str(token_directory),
            "REPLAY_AGENT_SCAN_INTERVAL_SECONDS": "0.05",
        },
    )
    try:
        yield process
    finally:
        if process.returncode is None:
            process.kill()
            await process.wait()


async def until_ready(port: int, *, deadline_seconds: float = 30) -> None:
    end = time.monotonic() + deadline_seconds
    async with aiohttp.ClientSession() as session:
        while time.monotonic() < end:
            try:
                async with session.get(f"http://127.0.0.1:{port}/readyz") as answer:
                    if answer.status == 200:
                        return
            except aiohttp.ClientError:
                pass
            await asyncio.sleep(0.05)
    pytest.fail(f"the agent was not ready within {deadline_seconds} s")


async def put(port: int, path: str, body: object) -> int:
    async with (
        aiohttp.ClientSession() as session,
        session.put(f"http://127.0.0.1:{port}{path}", json=body, headers=_HEADERS) as answer,
    ):
        return answer.status


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
