"""Twenty recordings want more than a volume of 1 GiB has: nobody meets a full disk, and it is told before."""

from __future__ import annotations

import asyncio
import math
import os
import time
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager, contextmanager
from dataclasses import dataclass, field
from pathlib import Path

import aiohttp

from replay_operator.api.meta import ObjectMeta
from replay_operator.api.replaybuffer import ReplayBuffer
from replay_operator.cluster.events import Event
from replay_operator.cluster.resources import ResourceType
from replay_operator.controller.agent_client import AgentClient
from replay_operator.controller.assembly import utc_now
from replay_operator.controller.coverage import CoverageWatch
from replay_operator.controller.free_space import FLOOR_REASON, FreeSpaceNews
from replay_operator.controller.store import ObjectStore
from replay_operator.domain.layout import segment_index
from tests.agent.process import agent_process, free_port, put, until_ready
from tests.agent.rig import buffer_policy, policy, run_file
from tests.builders import NAMESPACE, buffer_body
from tests.contract.fake_cluster import FakeCluster
from tests.storage.conftest import MIB, MakeVolume
from tests.storage.media import SEGMENT_SECONDS, make_segments
from tests.storage.writers import Writer

WRITERS = 20
SEGMENTS = 44
SEGMENT_BYTES = 2 * MIB
EVERY_SECONDS = 0.6
FAT = 0
"""This one writes twice as much as the others."""

NEWEST_KEPT = 8
"""A sixth of a volume of 1 GiB is the floor; what is left holds twenty times this, with room to spare."""

SETTINGS = {
    "FREE_SPACE_FLOOR": "18%",
    "FLOOR_INTERVAL_SECONDS": "0.1",
    "SCAN_INTERVAL_SECONDS": "0.2",
    "RETENTION_INTERVAL_SECONDS": "0.5",
}


@dataclass
class Told:
    """What an operator and a Prometheus hear of the agent, each with what was free then."""

    events: dict[str, int] = field(default_factory=dict)
    metrics: list[dict[str, float]] = field(default_factory=list)

    def before_the_floor(self) -> list[dict[str, float]]:
        deleted = 'replay_agent_deleted_segments_total{reason="floor"}'
        return [seen for seen in self.metrics if not seen.get(deleted)]


def uid(number: int) -> str:
    return f"0d4f7d3c-6c8e-4f65-9df2-{number:012d}"


def path(number: int) -> str:
    return f"{NAMESPACE}/{uid(number)}"


def run_name(number: int) -> str:
    return f"20261123T080000Z-{number:08x}"


def free_bytes(volume: Path) -> int:
    told = os.statvfs(volume)
    return told.f_bavail * told.f_frsize


@asynccontextmanager
async def listening(port: int, token_directory: Path, volume: Path) -> AsyncIterator[Told]:
    """The operator's parts that follow the agent and tell of it, and somebody who reads the metrics."""
    told = Told()
    store = ObjectStore(ReplayBuffer)
    for number in range(WRITERS):
        store.put(buffer_body(name=f"buffer-{number}", uid=uid(number)))

    async def tell(_: ResourceType, meta: ObjectMeta, event: Event) -> None:
        assert event.reason == FLOOR_REASON
        assert meta.uid not in told.events, "told twice"
        told.events[meta.uid] = free_bytes(volume)

    async with aiohttp.ClientSession() as session:
        url = f"http://127.0.0.1:{port}"
        news = FreeSpaceNews(
            tell=tell,
            gateway=FakeCluster(),
            buffers=store,
            namespace=NAMESPACE,
            claim="replay-buffers",
            clock=utc_now,
        )
        watch = CoverageWatch(
            AgentClient(url, token_directory / "token", session),
            interval=utc_now() - utc_now(),
            clock=utc_now,
            on_change=lambda _: None,
            on_answer=lambda: None,
            on_word=news.take,
        )

        async def look() -> None:
            while True:
                await watch.refresh()
                async with session.get(f"{url}/metrics") as answer:
                    lines = (await answer.text()).splitlines()
                pairs = (line.rpartition(" ") for line in lines if not line.startswith("#"))
                told.metrics.append({name: float(value) for name, _, value in pairs})
                await asyncio.sleep(0.3)

        loops = [asyncio.create_task(look()), asyncio.create_task(news.run())]
        try:
            yield told
        finally:
            for loop in loops:
                loop.cancel()
            outcomes = await asyncio.gather(*loops, return_exceptions=True)
    broken = [outcome for outcome in outcomes if not isinstance(outcome, asyncio.CancelledError)]
    assert broken == []


@contextmanager
def recording(volume: Path, segments: list[bytes]) -> Iterator[list[Writer]]:
    writers = [
        Writer(
            volume / path(number) / run_name(number),
            segments,
            EVERY_SECONDS,
            size_factor=2 if number == FAT else 1,
        )
        for number in range(WRITERS)
    ]
    for writer in writers:
        writer.start()
    try:
        yield writers
    finally:
        for writer in writers:
            writer.stop()


def indices(writer: Writer) -> list[int]:
    found = (segment_index(file.name) for file in writer.directory.iterdir())
    return sorted(index for index in found if index is not None)


async def test_no_writer_meets_a_full_disk_and_the_newest_window_of_each_survives(
    make_volume: MakeVolume, tmp_path: Path, token_directory: Path
) -> None:
    volume = make_volume(1024)
    segments = make_segments(tmp_path, count=SEGMENTS, segment_bytes=SEGMENT_BYTES)
    wanted_bytes = (WRITERS + 1) * SEGMENTS * SEGMENT_BYTES
    assert wanted_bytes > 3 * free_bytes(volume) // 2, "the volume would not fill"
    port = free_port()
    started_at_ns = time.time_ns() - SEGMENTS * SEGMENT_SECONDS * 10**9
    async with agent_process(volume, token_directory, port, SETTINGS):
        await until_ready(port)
        lines = [buffer_policy(path(number), windowSeconds=3600) for number in range(WRITERS)]
        assert await put(port, "/v1/policy", policy(*lines)) == 200
        for number in range(WRITERS):
            body = run_file(mediaStartedAtNs=started_at_ns)
            assert await put(port, f"/v1/runs/{path(number)}/{run_name(number)}", body) == 200
        async with listening(port, token_directory, volume) as told:
            with recording(volume, segments) as writers:
                await asyncio.to_thread(lambda: [writer.join() for writer in writers])
                least = min(
                    seen.get('replay_agent_volume_bytes{what="free"}', math.inf) for seen in told.metrics
                )

    assert [str(writer.error) for writer in writers if writer.error] == []
    assert [writer.written for writer in writers] == [SEGMENTS - 1] * WRITERS
    for writer in writers:
        left = indices(writer)
        assert left == list(range(SEGMENTS - len(left), SEGMENTS)), "the oldest go, from one end"
        assert len(left) >= (NEWEST_KEPT if writer is not writers[FAT] else NEWEST_KEPT // 2)
    floor = told.metrics[-1]['replay_agent_volume_bytes{what="floor"}']
    assert set(told.events) == {uid(number) for number in range(WRITERS)}
    assert least > 0
    assert min(told.events.values()) > floor / 4, "it was told when there was no room left"
    forecasts = [seen["replay_agent_volume_full_seconds"] for seen in told.before_the_floor()]
    assert any(forecast < 120 for forecast in forecasts), "the metrics did not see it come"
    print(
        f"{wanted_bytes // MIB} MiB written; least free {least / MIB:.0f} MiB, floor {floor / MIB:.0f} MiB; "
        f"left {[len(indices(writer)) for writer in writers]}; "
        f"first forecast {next((f for f in forecasts if f < 1e6), None)} s"
    )
