"""An agent on a real directory behind a real HTTP server, with a clock that the test moves."""

from __future__ import annotations

import os
from collections.abc import Iterable
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

from aiohttp.test_utils import TestClient, TestServer

from replay_operator.agent.daemon import Agent
from replay_operator.agent.run_reader import SegmentProbe
from replay_operator.agent.segment_probe import ProbedSegment, probe_segment
from replay_operator.agent.server import make_app
from replay_operator.agent.settings import AgentSettings

T0 = datetime(2026, 11, 22, 12, 0, tzinfo=UTC)
"""Capture time of PTS 3600 s in every run of these tests."""

T0_NS = int(T0.timestamp()) * 1_000_000_000
SEGMENT_SECONDS = 2
TOKEN = "the-token"
BUFFER = "team-a/0d4f7d3c-6c8e-4f65-9df2-3a1f0f8f7f10"
RUN = "20261122T120000Z-ab12cd34"

Client = TestClient[Any, Any]


def after(seconds: float) -> datetime:
    return T0 + timedelta(seconds=seconds)


@dataclass
class MovedClock:
    """A clock that stands still until the test moves it."""

    seconds: float = 0.0

    def now(self) -> datetime:
        return after(self.seconds)

    def monotonic(self) -> float:
        return 1000.0 + self.seconds

    def advance(self, seconds: float) -> None:
        self.seconds += seconds


@dataclass
class CountingProbe:
    """The real probe, which also remembers what it was asked to look at."""

    looked_at: list[str] = field(default_factory=list)

    def __call__(self, file: Path, index: int, near_ticks: int) -> ProbedSegment | None:
        self.looked_at.append(file.name)
        return probe_segment(file, index, near_ticks)


@dataclass
class EgressWriter:
    """Writes a run directory in the way of the real worker: a copy first, then the playlists in place."""

    directory: Path
    segments: list[Path]
    rewrites: int = 0

    def copy(self, *indices: int) -> None:
        for index in indices:
            target = self.directory / f"seg_{index:05d}.ts"
            target.write_bytes(self.segments[index].read_bytes())
            arrived_ns = T0_NS + int((SEGMENT_SECONDS * (index + 2) + 0.65) * 1e9)
            os.utime(target, ns=(arrived_ns, arrived_ns))

    def list(self, indices: Iterable[int], *, name: str = "index.m3u8", ended: bool = False) -> None:
        lines = ["#EXTM3U", "#EXT-X-VERSION:4", f"#EXT-X-TARGETDURATION:{SEGMENT_SECONDS}"]
        for index in indices:
            moment = after(SEGMENT_SECONDS * index + 0.9).strftime("%Y-%m-%dT%H:%M:%S.9Z")
            lines += [f"#EXT-X-PROGRAM-DATE-TIME:{moment}", "#EXTINF:2.000,", f"seg_{index:05d}.ts"]
        self.rewrite("\n".join([*lines, *(["#EXT-X-ENDLIST"] if ended else []), ""]), name=name)

    def rewrite(self, text: str, *, name: str = "index.m3u8") -> None:
        target = self.directory / name
        target.write_text(text)
        # Two rewrites of a test may fall into one tick of the kernel's clock; those of the worker do not.
        self.rewrites += 1
        written_ns = T0_NS + self.rewrites * 1_000_000
        os.utime(target, ns=(written_ns, written_ns))

    def record(self, count: int, *, ended: bool = False) -> None:
        self.copy(*range(count))
        self.list(range(count), ended=ended)


@dataclass
class Rig:
    """One agent and what surrounds it."""

    volume: Path
    archive: Path
    token_directory: Path
    segments: list[Path]
    clock: MovedClock
    probe: CountingProbe
    agent: Agent
    client: Client
    mark: str | None = None
    followed: dict[str, Any] = field(default_factory=dict)

    async def start(self) -> None:
        await self.client.start_server()

    async def stop(self) -> None:
        await self.client.close()
        await self.agent.close()

    async def put(self, path: str, body: Any, *, token: str = TOKEN) -> tuple[int, Any]:
        headers = {"Authorization": f"Bearer {token}"}
        kind = {"data": body} if isinstance(body, bytes) else {"json": body}
        async with self.client.put(path, headers=headers, **kind) as answer:
            return answer.status, await answer.json()

    async def put_run(self, run: str = RUN, buffer: str = BUFFER, **facts: Any) -> EgressWriter:
        status, answer = await self.put(f"/v1/runs/{buffer}/{run}", run_file(**facts))
        assert status == 200, answer
        return EgressWriter(self.volume / buffer / run, self.segments)

    async def put_policy(self, *buffers: dict[str, Any], seq: int = 1, complete: bool = True) -> None:
        status, answer = await self.put("/v1/policy", policy(*buffers, seq=seq, complete=complete))
        assert status == 200, answer

    async def coverage(self) -> dict[str, Any]:
        """Ask for everything, and hold it against what somebody knows who asks only for changes."""
        whole = await self.asked_coverage()
        changes = await self.asked_coverage(since=self.mark)
        if "since" not in changes:
            self.followed.clear()
        self.followed |= {buffer["path"]: buffer for buffer in changes["buffers"]}
        for path in changes["gone"]:
            self.followed.pop(path, None)
        self.mark = changes["mark"]
        assert self.followed == {buffer["path"]: buffer for buffer in whole["buffers"]}
        return whole

    async def asked_coverage(self, since: str | None = None) -> dict[str, Any]:
        headers = {"Authorization": f"Bearer {TOKEN}"}
        query = {"since": since} if since else {}
        async with self.client.get("/v1/coverage", params=query, headers=headers) as answer:
            assert answer.status == 200
            body: dict[str, Any] = await answer.json()
            return body

    async def run_coverage(self, run: str = RUN) -> dict[str, Any] | None:
        buffers = (await self.coverage())["buffers"]
        return next((r for b in buffers for r in b["runs"] if r["run"] == run), None)

    async def ready(self) -> tuple[int, str]:
        async with self.client.get("/readyz") as answer:
            return answer.status, await answer.text()

    async def metrics(self) -> dict[str, float]:
        async with self.client.get("/metrics") as answer:
            lines = (await answer.text()).splitlines()
        return {k: float(v) for k, _, v in (x.rpartition(" ") for x in lines if not x.startswith("#"))}

    async def pass_time(self, seconds: float) -> None:
        """Let time pass in steps of 10 s, without a word from the operator."""
        for _ in range(int(seconds // 10)):
            self.clock.advance(10)
            await self.agent.scan()
            await self.agent.maintain()

    def files(self, run: str = RUN, buffer: str = BUFFER) -> list[int]:
        return sorted(int(f.name[4:-3]) for f in (self.volume / buffer / run).glob("seg_*.ts"))


def make_rig(
    volume: Path,
    token_directory: Path,
    segments: list[Path],
    clock: MovedClock,
    *,
    probe: SegmentProbe | None = None,
    **settings: Any,
) -> Rig:
    counting = CountingProbe()
    archive = volume.parent / "archive"
    archive.mkdir(exist_ok=True)
    chosen = AgentSettings(volume=volume, archive=archive, token_directory=token_directory, **settings)
    agent = Agent(chosen, clock=clock, probe=probe or counting)
    client: Client = TestClient(TestServer(make_app(agent), host="127.0.0.1"))
    return Rig(volume, archive, token_directory, segments, clock, counting, agent, client)


def run_file(**facts: Any) -> dict[str, Any]:
    known = {"mediaStartedAtNs": T0_NS, "egressId": "EG_1"} | facts
    return {"room": "standup", "buffer": "alice", "segmentSeconds": SEGMENT_SECONDS} | {
        key: value for key, value in known.items() if value is not None
    }


def buffer_policy(path: str = BUFFER, **changes: Any) -> dict[str, Any]:
    return {"path": path, "windowSeconds": 4, "slackSeconds": 2, "segmentSeconds": SEGMENT_SECONDS} | changes


def policy(*buffers: dict[str, Any], epoch: int = 1, seq: int = 1, complete: bool = True) -> dict[str, Any]:
    return {"epoch": epoch, "seq": seq, "complete": complete, "buffers": list(buffers)}


def pin(start: float, end: float, capture: str = "capture-1") -> dict[str, Any]:
    return {"captureUid": capture, "start": after(start).isoformat(), "end": after(end).isoformat()}
