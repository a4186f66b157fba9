"""One egress worker with room for thousands: it encodes nothing and publishes prepared segments in time.

It speaks the worker's side of the double's protocol. With `--coverage-port` it keeps no files and answers
the agent protocol from what it knows, for machines on which the real agent is the bottle-neck.
"""

from __future__ import annotations

import argparse
import asyncio
import contextlib
import json
import os
import signal
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import aiohttp
import jwt
from aiohttp import web
from google.protobuf import json_format
from livekit.protocol import egress

from benchmarks.scale.recordings import CoverageRecordings, LightRun, Recordings, VolumeRecordings
from benchmarks.scale.stand_in_agent import serve_coverage
from replay_operator.domain.layout import parse_filename_prefix, segment_name
from tests.livekit_double.signals import received
from tests.livekit_double.timing import Timing

CAPACITY = 10_000
_TOKEN_SECONDS = 6 * 3600


class LightWorker:
    """Takes every egress; each lives in timers of the one event loop."""

    def __init__(self, recordings: Recordings, root: str) -> None:
        """Take where to record to.

        Args:
            recordings: Takes the segments.
            root: Where filename prefixes begin.
        """
        self._recordings = recordings
        self._root = root
        self._timing = Timing()
        self._infos: dict[str, egress.EgressInfo] = {}
        self._timers: dict[str, asyncio.TimerHandle] = {}
        self._runs: dict[str, LightRun] = {}
        self._outbox: asyncio.Queue[egress.EgressInfo] = asyncio.Queue()

    async def run(self, url: str, token: str) -> None:
        """Work until cancelled, or until the connection ends.

        Args:
            url: The double's address.
            token: JWT with the grant roomRecord.
        """
        async with (
            aiohttp.ClientSession(headers={"Authorization": f"Bearer {token}"}) as session,
            session.ws_connect(f"{url}/double/worker", max_msg_size=0) as socket,
            asyncio.TaskGroup() as group,
        ):
            await socket.send_json({"worker_id": "light-worker", "capacity": CAPACITY})
            group.create_task(self._report(socket))
            async for message in socket:
                self._obey(json.loads(message.data))

    async def _report(self, socket: aiohttp.ClientWebSocketResponse) -> None:
        while True:
            info = await self._outbox.get()
            await socket.send_json({"type": "status", "info": json_format.MessageToDict(info)})

    def _obey(self, command: dict[str, Any]) -> None:
        match command["type"]:
            case "welcome":
                print("connected", flush=True)
            case "start":
                self._take(json_format.ParseDict(command["info"], egress.EgressInfo()))
            case "stop":
                self._stop(command["egress_id"])

    def _take(self, info: egress.EgressInfo) -> None:
        output = info.track_composite.segment_outputs[0]
        path = parse_filename_prefix(output.filename_prefix, self._root)
        if path is None:
            raise ValueError(f"egress {info.egress_id} writes to {output.filename_prefix}, which is no run")
        self._infos[info.egress_id] = info
        self._runs[info.egress_id] = LightRun(path, output.segment_duration)
        seconds = self._timing.handler_start_seconds + self._timing.first_frame_seconds
        self._later(info.egress_id, seconds, self._begin)

    def _begin(self, egress_id: str) -> None:
        info, run = self._infos[egress_id], self._runs[egress_id]
        run.media_started_at_ns = info.started_at = time.time_ns()
        self._later(egress_id, self._timing.active_after_first_frame_seconds, self._activate)

    def _activate(self, egress_id: str) -> None:
        info, run = self._infos[egress_id], self._runs[egress_id]
        for segments in (info.segments, info.segment_results[0]):
            segments.started_at = run.media_started_at_ns
        self._tell(info, egress.EgressStatus.EGRESS_ACTIVE)
        self._plan_next(egress_id)

    def _plan_next(self, egress_id: str) -> None:
        """A segment is on disk one whole segment after its media ended, and a little more."""
        run = self._runs[egress_id]
        due = (len(run.entries) + 2) * run.segment_seconds + self._timing.arrival_lag_seconds
        self._later(egress_id, run.media_started_at_ns / 1e9 + due - time.time(), self._publish)

    def _publish(self, egress_id: str) -> None:
        self._recordings.publish(self._runs[egress_id])
        self._plan_next(egress_id)

    def _stop(self, egress_id: str) -> None:
        info = self._infos.get(egress_id)
        if info is None:
            return
        self._timers.pop(egress_id).cancel()
        self._tell(info, egress.EgressStatus.EGRESS_ENDING)
        self._recordings.end(self._runs.pop(egress_id))
        info.ended_at = time.time_ns()
        self._tell(info, egress.EgressStatus.EGRESS_COMPLETE)
        del self._infos[egress_id]

    def _tell(self, info: egress.EgressInfo, status: egress.EgressStatus) -> None:
        info.status, info.updated_at = status, time.time_ns()
        snapshot = egress.EgressInfo()
        snapshot.CopyFrom(info)
        self._outbox.put_nowait(snapshot)

    def _later(self, egress_id: str, seconds: float, step: Callable[[str], None]) -> None:
        loop = asyncio.get_running_loop()
        self._timers[egress_id] = loop.call_later(max(0.0, seconds), step, egress_id)


async def work(arguments: argparse.Namespace) -> None:
    """Work until SIGTERM.

    Args:
        arguments: The command line.
    """
    claims = {
        "iss": os.environ["LIVEKIT_API_KEY"],
        "exp": int(time.time()) + _TOKEN_SECONDS,
        "video": {"roomRecord": True},
    }
    token = jwt.encode(claims, os.environ["LIVEKIT_API_SECRET"], algorithm="HS256")
    runner: web.AppRunner | None = None
    recordings: Recordings
    if arguments.coverage_port:
        recordings = CoverageRecordings()
        runner = await serve_coverage(recordings, port=arguments.coverage_port)
    else:
        made = [arguments.segments / segment_name(index) for index in range(arguments.segment_count)]
        recordings = VolumeRecordings(Path(arguments.root), made)
    working = asyncio.ensure_future(LightWorker(recordings, arguments.root).run(arguments.url, token))
    loop = asyncio.get_running_loop()

    def give_up(_: asyncio.AbstractEventLoop, context: dict[str, Any]) -> None:
        # A timer that failed would leave one run without segments, and every figure in doubt.
        loop.default_exception_handler(context)
        working.cancel()

    loop.set_exception_handler(give_up)
    told = asyncio.ensure_future(received(signal.SIGTERM, signal.SIGINT))
    await asyncio.wait({working, told}, return_when=asyncio.FIRST_COMPLETED)
    if not told.done():
        raise SystemExit("the light worker ended before it was told to: see above")
    working.cancel()
    with contextlib.suppress(asyncio.CancelledError):
        await working
    if runner is not None:
        await runner.cleanup()


def main() -> None:
    """Run the process."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--url", required=True, help="of the double")
    parser.add_argument("--root", required=True, help="where filename prefixes begin")
    parser.add_argument("--segments", type=Path, help="directory of the prepared segments")
    parser.add_argument("--segment-count", type=int, default=0)
    parser.add_argument("--coverage-port", type=int, default=0, help="answer for the agent, keep no files")
    asyncio.run(work(parser.parse_args()))


if __name__ == "__main__":
    main()
