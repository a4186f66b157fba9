"""pytest fixtures: the double in the process of the test."""

from collections.abc import AsyncIterator
from dataclasses import dataclass
from pathlib import Path

import pytest

from tests.livekit_double.server.double import LiveKitDouble
from tests.livekit_double.server.rooms import Rooms
from tests.livekit_double.timing import Timing
from tests.livekit_double.worker.config import WorkerConfig
from tests.livekit_double.worker.worker import Worker

API_KEY = "devkey"
API_SECRET = "a secret of the double, 32 characters"
# Waits that tests of other things should not sit through. Arrival times stay as measured.
QUICK = Timing(
    start_idle_seconds=0.05,
    start_busy_seconds=0.02,
    registered_before_answer_seconds=0.01,
    no_worker_seconds=0.3,
    handler_start_seconds=0.01,
    first_frame_seconds=0.05,
    active_after_first_frame_seconds=0.1,
    active_after_muted_start_seconds=0.3,
    muted_start_video_lag_seconds=0.2,
    unknown_track_seconds=0.5,
    source_closed_ending_seconds=0.1,
    source_closed_complete_seconds=0.4,
    publisher_lost_seconds=0.5,
    worker_lost_seconds=0.3,
    handler_lost_seconds=0.3,
    rejoin_seconds=0.05,
    exit_seconds=0.05,
)


@dataclass(slots=True)
class DoubleInProcess:
    """A server and its workers.

    Attributes:
        server: rooms, records, faults, calls.
        workers: the connected ones; the fixture starts one.
    """

    server: LiveKitDouble
    workers: list[Worker]
    temporary_directory: Path

    @property
    def url(self) -> str:
        """Where the server listens."""
        return self.server.url

    @property
    def api_key(self) -> str:
        """Key of the only API key pair."""
        return API_KEY

    @property
    def api_secret(self) -> str:
        """Its secret."""
        return API_SECRET

    @property
    def rooms(self) -> Rooms:
        """Create rooms, join, publish, mute, leave."""
        return self.server.rooms

    async def add_worker(self, *, capacity: int = 4, timing: Timing | None = None) -> Worker:
        """Starts one more worker and waits until the server has it.

        Args:
            capacity: track composites at once.
            timing: delays; the server's by default.
        """
        number = len(self.workers)
        config = WorkerConfig(
            api_key=API_KEY,
            api_secret=API_SECRET,
            ws_url=self.url,
            worker_id=f"worker-{number}",
            pod="",
            health_port=0,
            prometheus_port=0,
            address="127.0.0.1",
            capacity=capacity,
            temporary_directory=self.temporary_directory / f"worker-{number}",
            timing=timing,
        )
        worker = await Worker(config).start()
        self.workers.append(worker)
        await worker.connected()
        return worker

    async def stop(self) -> None:
        """Ends workers and server."""
        for worker in self.workers:
            await worker.die()
        await self.server.stop()


async def start_double(
    temporary_directory: Path,
    timing: Timing,
    *,
    webhook_urls: tuple[str, ...] = (),
    port: int = 0,
    rooms_url: str = "",
) -> DoubleInProcess:
    """Starts a server without workers on a free port.

    Args:
        temporary_directory: scratch space of the workers.
        timing: delays of server and workers.
        webhook_urls: where events are sent.
        port: 0 takes a free one.
        rooms_url: of a real livekit-server that has the rooms, with the same key and secret.
    """
    server = LiveKitDouble(
        {API_KEY: API_SECRET}, timing=timing, webhook_urls=webhook_urls, rooms_url=rooms_url
    )
    await server.start(port=port)
    return DoubleInProcess(server, [], temporary_directory)


@pytest.fixture
async def livekit_double(tmp_path: Path) -> AsyncIterator[DoubleInProcess]:
    """A server and one worker with short waits, on a free port of the loopback."""
    double = await start_double(tmp_path / "egress-tmp", QUICK)
    await double.add_worker()
    yield double
    await double.stop()
