"""The workers that are connected, and what is said to them."""

import asyncio
import contextlib
import json
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

from aiohttp import WSMsgType, web
from google.protobuf import json_format
from livekit.protocol import egress


@dataclass(slots=True)
class WorkerLink:
    """One connected worker.

    Attributes:
        worker_id: chosen by the worker, anew at each start of its process.
        pod: where it runs; empty outside a pod.
        capacity: track composites at once.
        draining: it takes no more.
        interrupted: it ends what it has, and what is still to be handed to it.
        starving: its egresses that lack CPU. A real worker takes no more while no CPU is left.
    """

    worker_id: str
    pod: str
    capacity: int
    socket: web.WebSocketResponse
    draining: bool = False
    interrupted: bool = False
    reserved: set[str] = field(default_factory=set)
    starving: set[str] = field(default_factory=set)
    stopping: dict[str, asyncio.Future[egress.EgressInfo]] = field(default_factory=dict)

    async def send(self, message: dict[str, object]) -> None:
        """Sends one command. A connection that is going away swallows it, as a dead worker would."""
        with contextlib.suppress(ConnectionError):
            await self.socket.send_json(message)


class Fleet:
    """Connected workers by id, and the choice of one for an egress."""

    def __init__(
        self,
        running_on: Callable[[str], int],
        on_status: Callable[[egress.EgressInfo], None],
        welcome: Callable[[], dict[str, object]],
    ) -> None:
        """Makes an empty fleet.

        Args:
            running_on: how many egresses a worker has that have not ended.
            on_status: hears every status that a worker reports.
            welcome: what a worker is told when it has connected.
        """
        self.links: dict[str, WorkerLink] = {}
        self._running_on = running_on
        self._on_status = on_status
        self._welcome = welcome
        self._on_lost: list[Callable[[str], None]] = []

    def when_lost(self, listener: Callable[[str], None]) -> None:
        """Calls `listener` with the id of a worker whose connection is gone."""
        self._on_lost.append(listener)

    def load(self, worker_id: str) -> int:
        """Egresses and reservations of a worker."""
        return self._running_on(worker_id) + len(self.links[worker_id].reserved)

    def choose(self) -> WorkerLink | None:
        """The busiest worker with room, as the real affinity packs; None if all are full."""
        bidding = [
            link
            for link in self.links.values()
            if not link.draining
            and not link.starving
            and not link.socket.closed
            and self.load(link.worker_id) < link.capacity
        ]
        return max(bidding, key=lambda link: self.load(link.worker_id), default=None)

    async def serve(self, request: web.Request) -> web.WebSocketResponse:
        """Serves the connection of one worker until it ends."""
        socket = web.WebSocketResponse(heartbeat=30, max_msg_size=0)
        await socket.prepare(request)
        hello = await socket.receive_json()
        link = WorkerLink(str(hello["worker_id"]), hello.get("pod", ""), int(hello["capacity"]), socket)
        self.links[link.worker_id] = link
        await link.send({"type": "welcome", **self._welcome()})
        try:
            async for message in socket:
                if message.type == WSMsgType.TEXT:
                    await self._receive(link, json.loads(message.data))
        finally:
            if self.links.get(link.worker_id) is link:
                del self.links[link.worker_id]
                for listener in self._on_lost:
                    listener(link.worker_id)
        return socket

    async def close(self) -> None:
        """Closes every connection."""
        for link in list(self.links.values()):
            await link.socket.close()

    async def broadcast(self, message: dict[str, object]) -> None:
        """Sends one command to every worker."""
        for link in list(self.links.values()):
            await link.send(message)

    async def stop(
        self, link: WorkerLink, egress_id: str, timeout_seconds: float
    ) -> egress.EgressInfo | None:
        """Asks a worker to stop an egress; None if it does not answer in time.

        Args:
            link: the worker that has it.
            egress_id: which one.
            timeout_seconds: how long to wait for the answer.
        """
        answer: asyncio.Future[egress.EgressInfo] = asyncio.get_running_loop().create_future()
        link.stopping[egress_id] = answer
        await link.send({"type": "stop", "egress_id": egress_id})
        try:
            return await asyncio.wait_for(answer, timeout_seconds)
        except TimeoutError:
            return None
        finally:
            link.stopping.pop(egress_id, None)

    async def _receive(self, link: WorkerLink, message: dict[str, Any]) -> None:
        if message["type"] in {"draining", "interrupted"}:
            link.draining = True
            link.interrupted = message["type"] == "interrupted"
            await link.send({"type": "dismissed"})
            return
        info = json_format.ParseDict(message["info"], egress.EgressInfo())
        self._on_status(info)
        answer = link.stopping.get(info.egress_id)
        if answer and not answer.done() and info.status >= egress.EgressStatus.EGRESS_ENDING:
            answer.set_result(info)
