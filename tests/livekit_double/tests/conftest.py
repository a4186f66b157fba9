"""Fixtures of the double's own tests."""

from collections.abc import AsyncIterator
from dataclasses import replace
from pathlib import Path

import pytest
from livekit import api

from tests.livekit_double.fixtures import QUICK, DoubleInProcess, start_double
from tests.livekit_double.tests.receiver import Receiver

# Only test_conformance_media.py looks at when segments arrive, and has a double of its own.
IMPATIENT = replace(QUICK, arrival_lag_seconds=0.05)


@pytest.fixture
async def receiver() -> AsyncIterator[Receiver]:
    receiver = Receiver()
    runner = await receiver.start()
    yield receiver
    await runner.cleanup()


@pytest.fixture
async def livekit_double(tmp_path: Path, receiver: Receiver) -> AsyncIterator[DoubleInProcess]:
    double = await start_double(tmp_path / "egress-tmp", IMPATIENT, webhook_urls=(receiver.url,))
    await double.add_worker()
    yield double
    await double.stop()


@pytest.fixture
async def client(livekit_double: DoubleInProcess) -> AsyncIterator[api.LiveKitAPI]:
    async with api.LiveKitAPI(
        livekit_double.url, livekit_double.api_key, livekit_double.api_secret, failover=False
    ) as client:
        yield client
