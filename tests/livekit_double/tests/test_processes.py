"""The two processes: configuration, ports, signals."""

import asyncio
import os
import signal
import socket
import sys
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from http import HTTPStatus
from pathlib import Path

import aiohttp
import pytest
from livekit import api
from livekit.protocol import egress

from tests.livekit_double.tests.recordings import RECORDINGS
from tests.livekit_double.tests.requests import small_request
from tests.livekit_double.tests.waiting import reaches, segments_in
from tests.livekit_double.timing import timing_from_environment
from tests.livekit_double.worker.config import worker_config

KEY, SECRET = "devkey", "a secret with thirty-two characters or more"
ROOMS = '{"standup": {"alice": ["CAMERA", "MICROPHONE"]}}'
QUICK = '{"start_idle_seconds": 0.1, "no_worker_seconds": 0.2, "exit_seconds": 0.1}'


def _free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


@asynccontextmanager
async def _process(
    name: str, *arguments: str, **environment: str
) -> AsyncIterator[asyncio.subprocess.Process]:
    process = await asyncio.create_subprocess_exec(
        sys.executable,
        "-m",
        "tests.livekit_double",
        name,
        *arguments,
        stdout=asyncio.subprocess.PIPE,
        env=os.environ | environment | {"LIVEKIT_DOUBLE_TIMING": QUICK},
        start_new_session=True,
    )
    try:
        yield process
    finally:
        if process.returncode is None:
            process.kill()
            await process.wait()


@dataclass(slots=True)
class Pair:
    """A server process, a worker process and a client."""

    client: api.LiveKitAPI
    worker: asyncio.subprocess.Process
    health_port: int
    prometheus_port: int
    video: str = ""
    audio: str = ""
    http: aiohttp.ClientSession = field(default_factory=aiohttp.ClientSession)

    async def start_recording(self, directory: Path) -> str:
        """Starts a recording of alice; returns its id once it is ACTIVE."""
        request = small_request(directory, video=self.video, audio=self.audio)
        while True:
            try:
                started = await self.client.egress.start_track_composite_egress(request)
            except api.ServerError as error:
                if error.status != HTTPStatus.SERVICE_UNAVAILABLE:  # 503: the worker is not connected yet
                    raise
            else:
                await reaches(self.client, started.egress_id, egress.EgressStatus.EGRESS_ACTIVE)
                return str(started.egress_id)


@pytest.fixture
async def pair(tmp_path: Path) -> AsyncIterator[Pair]:
    port, health_port, prometheus_port = _free_port(), _free_port(), _free_port()
    url = f"http://127.0.0.1:{port}"
    body = f"ws_url: {url}\nhealth_port: {health_port}\nprometheus_port: {prometheus_port}\n"
    # Both at once: the worker tries until the server is there.
    async with (
        _process(
            "server", "--port", str(port), LIVEKIT_KEYS=f"{KEY}: {SECRET}", LIVEKIT_DOUBLE_ROOMS=ROOMS
        ) as server,
        _process(
            "worker",
            EGRESS_CONFIG_BODY=body,
            LIVEKIT_API_KEY=KEY,
            LIVEKIT_API_SECRET=SECRET,
            LIVEKIT_DOUBLE_TMP=str(tmp_path / "egress-tmp"),
        ) as worker,
        api.LiveKitAPI(url, KEY, SECRET, failover=False) as client,
    ):
        assert await _first_line(server) == f"listening on {url}"
        assert (await _first_line(worker)).endswith("is up, capacity 4")
        pair = Pair(client, worker, health_port, prometheus_port)
        people = await client.room.list_participants(api.ListParticipantsRequest(room="standup"))
        pair.video, pair.audio = (track.sid for track in people.participants[0].tracks)
        yield pair
        await pair.http.close()


async def _first_line(process: asyncio.subprocess.Process) -> str:
    assert process.stdout is not None
    return (await asyncio.wait_for(process.stdout.readline(), 60)).decode().strip()


async def test_health_and_metrics_have_the_recorded_shape(pair: Pair, tmp_path: Path) -> None:
    async def page(port: int) -> str:
        async with pair.http.get(f"http://127.0.0.1:{port}/anything") as answer:
            return await answer.text()

    def gauges(text: str) -> set[str]:
        return {line.split("{")[0] for line in text.splitlines() if line.startswith("livekit")}

    recorded_idle = (RECORDINGS / "api" / "egress_metrics_idle.txt").read_text()
    assert gauges(await page(pair.prometheus_port)) == gauges(recorded_idle)
    egress_id = await pair.start_recording(tmp_path / "run")
    active = await page(pair.prometheus_port)
    uploads = {"livekit_egress_pipeline_uploads"} | {
        f"livekit_egress_pipline_upload_response_time_ms_{end}" for end in ("sum", "count")
    }
    recorded_active = (RECORDINGS / "api" / "egress_metrics_active.txt").read_text()
    assert gauges(active) == gauges(recorded_active) - uploads
    assert 'livekit_egress_requests{cluster_id=""' in active
    health = await page(pair.health_port)
    assert health.startswith('{"CpuLoad": ')
    assert not health.startswith('{"CpuLoad": 0.0'), "nothing starves it"
    assert f'"{egress_id}": {{"TrackComposite": {{"room_name": "standup"' in health


async def test_sigterm_lets_the_worker_finish_and_sigint_ends_it(pair: Pair, tmp_path: Path) -> None:
    egress_id = await pair.start_recording(tmp_path / "run")
    await segments_in(tmp_path / "run", 1)
    pair.worker.send_signal(signal.SIGTERM)
    while True:
        async with pair.http.get(f"http://127.0.0.1:{pair.prometheus_port}/") as answer:
            if 'livekit_egress_is_terminating{cluster_id=""' in (text := await answer.text()):
                terminating = text.split("livekit_egress_is_terminating{")[1].splitlines()[0]
                if terminating.endswith(" 1"):
                    break
    await segments_in(tmp_path / "run", 2)
    assert pair.worker.returncode is None
    pair.worker.send_signal(signal.SIGINT)
    info = await reaches(pair.client, egress_id, egress.EgressStatus.EGRESS_FAILED)
    assert (info.error, info.error_code) == ("server is shutting down", 403)
    assert await asyncio.wait_for(pair.worker.wait(), 10) == 0


async def test_kill_9_of_the_worker_leaves_the_egress_active(pair: Pair, tmp_path: Path) -> None:
    egress_id = await pair.start_recording(tmp_path / "run")
    pair.worker.kill()
    await pair.worker.wait()
    with pytest.raises(api.ServerError) as raised:
        await pair.client.egress.stop_egress(egress.StopEgressRequest(egress_id=egress_id))
    assert raised.value.status == 408
    await reaches(pair.client, egress_id, egress.EgressStatus.EGRESS_ACTIVE)


def test_the_worker_reads_the_real_configuration_and_says_what_is_missing() -> None:
    body = "api_key: k\napi_secret: s\nws_url: ws://server\nhealth_port: 8080\n"
    body += "cpu_cost: {track_composite_cpu_cost: 2}"
    pod = {"EGRESS_CONFIG_BODY": body, "POD_IP": "10.0.0.7", "POD_NAME": "egress-1"}
    config = worker_config(pod)
    assert (config.capacity, config.health_port, config.address, config.pod) == (
        2,
        8080,
        "10.0.0.7",
        "egress-1",
    )
    assert worker_config(pod).worker_id != config.worker_id
    assert config.temporary_directory == Path("/home/egress/tmp")
    with pytest.raises(ValueError, match=r"lacks api_secret, ws_url: .*LIVEKIT_API_KEY"):
        worker_config({"LIVEKIT_API_KEY": "k"})


def test_an_unknown_delay_is_refused_by_name() -> None:
    assert timing_from_environment({"LIVEKIT_DOUBLE_TIMING": '{"exit_seconds": 3}'}).exit_seconds == 3.0
    with pytest.raises(ValueError, match="unknown exit_second;"):
        timing_from_environment({"LIVEKIT_DOUBLE_TIMING": '{"exit_second": 3}'})
