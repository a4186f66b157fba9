"""The agent as a process of its own, and how a test talks to it."""

from __future__ import annotations

import asyncio
import os
import socket
import sys
import time
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from pathlib import Path

import aiohttp
import pytest

from tests.agent.rig import TOKEN

_PROGRAM = """
import asyncio
from replay_operator.agent.main import run_agent
from replay_operator.agent.settings import AgentSettings
asyncio.run(run_agent(AgentSettings()))
"""
_OPERATOR = Path(__file__).parents[2] / "operator"
_HEADERS = {"Authorization": f"Bearer {TOKEN}"}


def free_port() -> int:
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        return int(free.getsockname()[1])


@asynccontextmanager
async def agent_process(
    volume: Path, token_directory: Path, port: int, settings: Mapping[str, str] | None = None
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
            **{f"REPLAY_AGENT_{name}": value for name, value in (settings or {}).items()},
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
