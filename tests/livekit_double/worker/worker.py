"""The worker: one connection to the server, and the egresses that it was given."""

import asyncio
import contextlib
import importlib
import json
import time
from typing import Any, Self

import aiohttp
import jwt
from google.protobuf import json_format
from livekit.protocol import egress

from tests.livekit_double.timing import Timing, timing_from
from tests.livekit_double.worker.config import WorkerConfig
from tests.livekit_double.worker.egress_run import EgressRun
from tests.livekit_double.worker.source import SourceMaker, SyntheticSource
from tests.livekit_double.worker.status_pages import StatusPages

_RECONNECT_SECONDS = 0.2
_TOKEN_SECONDS = 3600
_DISMISSED_WITHIN_SECONDS = 1.0
_JOINED = "tests.livekit_double.worker.joined.room"


class Worker:
    """An egress worker. Start it, then end it in one of three ways: drain, interrupt or die.

    Attributes:
        gone: set when it has left, whether told to or not.
    """

    def __init__(self, config: WorkerConfig) -> None:
        self.config = config
        self.runs: dict[str, EgressRun] = {}
        self.draining = False
        self._connected = asyncio.Event()
        self._dismissed = asyncio.Event()
        self._idle = asyncio.Event()
        self._idle.set()
        self._tasks: dict[str, asyncio.Task[None]] = {}
        self._socket: aiohttp.ClientWebSocketResponse | None = None
        self._connection: asyncio.Task[None] | None = None
        self._pages = StatusPages(config)
        self._timing = config.timing or Timing()
        self._drained_by_itself: asyncio.Task[None] | None = None
        self.gone = asyncio.Event()

    async def start(self) -> Self:
        """Binds the health and metrics ports and connects, trying again until the server is there."""
        await self._pages.start(self)
        self._connection = asyncio.create_task(self._stay_connected())
        return self

    @property
    def is_connected(self) -> bool:
        """Whether the server has this worker in its fleet."""
        return self._connected.is_set()

    async def connected(self) -> None:
        """Waits until the server has accepted this worker."""
        await self._connected.wait()

    async def drain(self) -> None:
        """SIGTERM: takes nothing new, waits without end until its egresses are stopped, then leaves."""
        await self._take_no_more("draining")
        await self._idle.wait()
        await asyncio.sleep(self._timing.exit_seconds)
        await self._idle.wait()  # what was on its way when the signal came
        await self._leave()

    async def interrupt(self) -> None:
        """SIGINT: ends its egresses as FAILED, then leaves."""
        await self._take_no_more("interrupted")
        for run in self.runs.values():
            run.interrupt()
        await self._idle.wait()
        await self._leave()

    async def die(self) -> None:
        """As `kill -9`: media stop in the middle of a file, and nobody is told."""
        await self._leave()

    async def _take_no_more(self, why: str) -> None:
        """Returns when the server knows: everything that it had given before that has arrived."""
        self.draining = True
        self._dismissed.clear()
        if self._socket is None or self._socket.closed:
            return
        await self._socket.send_json({"type": why})
        with contextlib.suppress(TimeoutError):  # a server that is away gives nothing
            await asyncio.wait_for(self._dismissed.wait(), _DISMISSED_WITHIN_SECONDS)

    async def _leave(self) -> None:
        if self._connection is not None:
            self._connection.cancel()
            await asyncio.gather(self._connection, return_exceptions=True)
        for task in list(self._tasks.values()):
            task.cancel()
        await asyncio.gather(*self._tasks.values(), return_exceptions=True)
        for run in list(self.runs.values()):
            await run.abandon()
        await self._pages.stop()
        self.gone.set()

    async def _stay_connected(self) -> None:
        async with aiohttp.ClientSession() as session:
            while True:
                with contextlib.suppress(aiohttp.ClientError, ConnectionError):
                    await self._serve(session)
                self._connected.clear()
                for run in self.runs.values():
                    run.disconnected()
                await asyncio.sleep(_RECONNECT_SECONDS)

    async def _serve(self, session: aiohttp.ClientSession) -> None:
        url = (
            self.config.ws_url.replace("ws", "http", 1)
            if self.config.ws_url.startswith("ws")
            else self.config.ws_url
        )
        headers = {"Authorization": f"Bearer {self._token()}"}
        async with session.ws_connect(
            f"{url.rstrip('/')}/double/worker", headers=headers, max_msg_size=0
        ) as socket:
            names = {"worker_id": self.config.worker_id, "pod": self.config.pod}
            await socket.send_json({**names, "capacity": self.config.capacity})
            self._socket = socket
            if self.draining:
                await socket.send_json({"type": "draining"})
            for run in self.runs.values():
                await self._report(run.info)
            async for message in socket:
                await self._obey(json.loads(message.data))

    async def _obey(self, command: dict[str, Any]) -> None:
        match command["type"]:
            case "welcome":
                self._welcomed(command)
            case "dismissed":
                self._dismissed.set()
            case "start":
                self._take(command)
            case "room":
                for run in self.runs.values():
                    if run.info.room_name == command["room"]:
                        run.tracks_changed(command["tracks"])
            case _ if told := self.runs.get(command["egress_id"]):
                await self._obey_for(told, command)

    async def _obey_for(self, run: EgressRun, command: dict[str, Any]) -> None:
        match command["type"]:
            case "stop":
                await run.stop()
            case "end":
                run.end(command["details"])
            case "fail":
                run.fail(command["error"], command["error_code"])
            case "starve":
                run.starve(starved=command["starved"])
            case "disturb_clock":
                run.disturb_clock(jump_seconds=command["jump_seconds"], pace=command["pace"])
            case "kill_handler":
                await self._kill_handler(run)

    def _welcomed(self, command: dict[str, Any]) -> None:
        if command["media_url"]:
            importlib.import_module(_JOINED)  # now: it takes a second, in which nothing else is done
        self._timing = self.config.timing or timing_from(command["timing"])
        for run in self.runs.values():
            run.tracks_changed(command["rooms"].get(run.info.room_name, {}))
        self._connected.set()

    def _internal_error(self) -> None:
        """A handler failed with code 500: the real worker takes itself out of service."""
        self._drained_by_itself = self._drained_by_itself or asyncio.create_task(self.drain())

    def _take(self, command: dict[str, Any]) -> None:
        info = json_format.ParseDict(command["info"], egress.EgressInfo())
        run = EgressRun(
            info,
            publisher=command["publisher"],
            tracks=command["tracks"],
            temporary_directory=self.config.temporary_directory,
            timing=self._timing,
            make_source=self._source_of(info, command["media_url"]),
            report=self._report,
            clock_offset_seconds=command["clock_offset_seconds"],
            on_internal_error=self._internal_error,
        )
        self.runs[info.egress_id] = run
        self._idle.clear()
        task = asyncio.create_task(run.run())
        self._tasks[info.egress_id] = task
        task.add_done_callback(lambda done: self._ended(info.egress_id, done))

    def _source_of(self, info: egress.EgressInfo, media_url: str) -> SourceMaker:
        if not media_url:
            return SyntheticSource
        # By name: it loads libwebrtc, which a worker that draws its own pictures has no use for.
        joined = importlib.import_module(_JOINED)
        recorder = joined.Recorder(
            url=media_url,
            api_key=self.config.api_key,
            api_secret=self.config.api_secret,
            room=info.room_name,
            identity=info.egress_id,
            video_track=info.track_composite.video_track_id,
            audio_track=info.track_composite.audio_track_id,
        )
        return lambda plan: joined.JoinedSource(plan, recorder)

    async def _kill_handler(self, run: EgressRun) -> None:
        egress_id = run.info.egress_id
        self._tasks[egress_id].cancel()
        await asyncio.gather(self._tasks[egress_id], return_exceptions=True)
        await run.killed()

    def _ended(self, egress_id: str, task: asyncio.Task[None]) -> None:
        del self._tasks[egress_id]
        if task.cancelled() and self._connection is not None and self._connection.done():
            return  # the worker is going; what it still holds is abandoned in _leave
        del self.runs[egress_id]
        if not self.runs:
            self._idle.set()
        if not task.cancelled() and (error := task.exception()) is not None:
            raise error

    async def _report(self, info: egress.EgressInfo) -> None:
        if self._socket is not None and not self._socket.closed:
            await self._socket.send_json({"type": "status", "info": json_format.MessageToDict(info)})

    def _token(self) -> str:
        claims = {
            "iss": self.config.api_key,
            "exp": int(time.time()) + _TOKEN_SECONDS,
            "video": {"roomRecord": True},
        }
        return jwt.encode(claims, self.config.api_secret, algorithm="HS256")
