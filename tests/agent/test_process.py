"""The agent as a process: starts from its environment, serves, ends on SIGTERM, may be killed at any time."""

from __future__ import annotations

import asyncio
import json
import signal
from datetime import UTC, datetime, timedelta
from pathlib import Path

import aiohttp
import pytest

from replay_operator.domain.signed_address import Scope, SigningKey, signed_query
from tests.agent.process import agent_process, free_port, put, until_ready
from tests.agent.rig import BUFFER, RUN, EgressWriter, buffer_policy, policy, run_file
from tests.unit.hls_rules import read_media_playlist


@pytest.fixture
def port() -> int:
    return free_port()


async def test_sigterm_ends_the_agent_cleanly(volume: Path, token_directory: Path, port: int) -> None:
    async with agent_process(volume, token_directory, port) as process:
        await until_ready(port)
        assert await put(port, f"/v1/runs/{BUFFER}/{RUN}", run_file()) == 200

        process.send_signal(signal.SIGTERM)

        assert await asyncio.wait_for(process.wait(), 60) == 0


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


async def test_buffers_are_shown_where_a_port_is_set_and_no_address_is_logged(
    volume: Path,
    token_directory: Path,
    port: int,
    segments: list[Path],
    capfd: pytest.CaptureFixture[str],
) -> None:
    key = SigningKey(b"a-secret-that-nobody-guesses-0001")
    (token_directory / "preview-key").write_bytes(key.secret)
    directory = volume / BUFFER / RUN
    directory.mkdir(parents=True)
    (directory / "run.json").write_text(json.dumps(run_file()))
    EgressWriter(directory, segments).record(3)
    query = signed_query(
        key, Scope("buffer", BUFFER.rpartition("/")[2]), datetime.now(UTC) + timedelta(minutes=1)
    )
    preview_port = free_port()
    settings = {"PREVIEW_PORT": str(preview_port), "LOG_LEVEL": "DEBUG"}

    async with agent_process(volume, token_directory, port, settings), aiohttp.ClientSession() as session:
        await until_ready(port)
        here = f"http://127.0.0.1:{preview_port}/v1/preview/{BUFFER.rpartition('/')[2]}"
        async with session.get(f"{here}/playlist.m3u8?{query}") as answer:
            found = read_media_playlist(await answer.text())
        async with session.get(f"{here}/{found.segments[2].uri}") as answer:
            assert await answer.read() == segments[2].read_bytes()
        async with session.get(f"http://127.0.0.1:{port}/v1/preview/x/playlist.m3u8?{query}") as answer:
            assert answer.status == 401, "the port of the protocol shows nothing"

    assert query.rpartition("=")[2] not in "".join(capfd.readouterr())
