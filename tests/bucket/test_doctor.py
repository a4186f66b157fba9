"""What the doctor hears of a bucket, from a real server."""

from __future__ import annotations

from dataclasses import replace

import aiohttp
import pytest

from replay_operator.cli.doctor.network import NetworkProbes
from replay_operator.cli.doctor.settings import given_settings
from replay_operator.domain.checks.bucket import check_bucket
from replay_operator.domain.checks.verdict import Level
from replay_operator.domain.upload_target import UploadTarget
from replay_operator.settings import LiveKitSettings
from tests.bucket.server import BUCKET, REGION, S3Server
from tests.testbed.ports import free_ports
from tests.unit.doctor_world import HEALTHY


async def judged(target: UploadTarget | None) -> Level:
    livekit = LiveKitSettings.model_validate({"url": "http://127.0.0.1:1", "api_key": "k", "api_secret": "s"})
    settings = given_settings({"POD_NAMESPACE": "replay", "REPLAY_CAPTURE_IMAGE": "replay-operator:1"})
    async with aiohttp.ClientSession() as session:
        found = await NetworkProbes(session, livekit, settings).ask_bucket(target)
    return check_bucket(replace(HEALTHY, bucket=found)).level


@pytest.fixture
def target(s3_server: S3Server) -> UploadTarget:
    return UploadTarget(bucket=BUCKET, endpoint=s3_server.endpoint, region=REGION)


async def test_a_bucket_that_is_there_is_told_from_an_endpoint_that_is_not(target: UploadTarget) -> None:
    [closed] = free_ports(1)
    assert await judged(target) is Level.PASS
    assert await judged(replace(target, endpoint=f"http://127.0.0.1:{closed}")) is Level.FAIL
    assert await judged(None) is Level.PASS


async def test_a_bucket_that_is_missing_is_noticed(target: UploadTarget) -> None:
    assert await judged(replace(target, bucket="another")) is Level.FAIL
