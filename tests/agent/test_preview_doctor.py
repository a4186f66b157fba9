"""What `replay-operator doctor` hears when it asks a real agent to let it look."""

from __future__ import annotations

from collections.abc import AsyncIterator
from dataclasses import replace
from typing import Any

import aiohttp
import pytest
from aiohttp.test_utils import TestServer
from pydantic import SecretStr

from replay_operator.agent.clock import SystemClock
from replay_operator.agent.preview.application import make_preview_app
from replay_operator.agent.preview.parts import make_preview
from replay_operator.agent.settings import AgentSettings
from replay_operator.cli.doctor.network import NetworkProbes
from replay_operator.domain.checks.facts import PreviewFacts
from replay_operator.settings import LiveKitSettings, OperatorSettings
from tests.agent.process import free_port
from tests.agent.rig import Rig
from tests.unit.doctor_world import AGENT_POD

KEY = b"a-secret-that-nobody-guesses-0001"
SEEN = PreviewFacts(has_url=True, has_key=True, port=None, status=404)


@pytest.fixture
async def port(rig: Rig) -> AsyncIterator[int]:
    """The preview's, of an agent that has read its volume."""
    (rig.token_directory / "preview-key").write_bytes(KEY)
    settings = AgentSettings(
        volume=rig.volume, archive=rig.archive, token_directory=rig.token_directory, preview_port=0
    )
    await rig.agent.scan()
    server = TestServer(make_preview_app(make_preview(rig.agent, settings, SystemClock())), host="127.0.0.1")
    await server.start_server()
    yield int(server.port or 0)
    await server.close()


async def asked(rig: Rig, port: int | None, **settings: Any) -> PreviewFacts | None:
    given = {
        "agent_token_directory": rig.token_directory,
        "preview_api_port": 8083,
        "preview_url": "https://replay.example.org",
    }
    chosen = OperatorSettings(POD_NAMESPACE="team", capture_image="image", **given | settings)
    livekit = LiveKitSettings(url="ws://livekit:7880", api_key="key", api_secret=SecretStr("secret"))
    async with aiohttp.ClientSession() as session:
        probes = NetworkProbes(session, livekit, chosen)
        return await probes.ask_preview([(replace(AGENT_POD, ip="127.0.0.1"), port)])


async def test_the_right_key_opens_the_agent(rig: Rig, port: int) -> None:
    assert await asked(rig, port) == replace(SEEN, port=port)


async def test_a_key_that_the_agent_does_not_have_is_refused(rig: Rig, port: int, tmp_path: Any) -> None:
    other = tmp_path / "other"
    other.mkdir()
    (other / "preview-key").write_bytes(b"x" * 32)
    assert await asked(rig, port, agent_token_directory=other) == replace(SEEN, port=port, status=403)


async def test_a_key_that_is_too_short_is_none(rig: Rig, port: int) -> None:
    (rig.token_directory / "preview-key").write_bytes(KEY[:31])
    assert await asked(rig, port) == replace(SEEN, port=port, has_key=False, status=None)


async def test_nobody_behind_the_port_is_no_answer(rig: Rig, port: int) -> None:
    assert port
    closed = free_port()
    assert await asked(rig, closed) == replace(SEEN, port=closed, status=None)
    assert await asked(rig, None) == replace(SEEN, status=None)


async def test_what_is_switched_off_is_not_asked_for(rig: Rig, port: int) -> None:
    assert await asked(rig, port, preview_api_port=None) is None
    assert await asked(rig, port, preview_url=None) == replace(SEEN, port=port, has_url=False)
