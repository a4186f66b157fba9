"""The server as one object: what tests hold in their hands, and what the process runs."""

import asyncio
import contextlib
from collections.abc import Coroutine, Mapping, Sequence
from dataclasses import asdict
from typing import Self

from aiohttp import web
from livekit.protocol import egress, models

from tests.livekit_double.server.admin import add_admin_routes
from tests.livekit_double.server.egress_records import EgressRecords, is_killed, is_over
from tests.livekit_double.server.egress_service import EgressService
from tests.livekit_double.server.faults import CallLog, Faults
from tests.livekit_double.server.fleet import Fleet
from tests.livekit_double.server.room_facts import OwnRooms
from tests.livekit_double.server.room_service import RoomService
from tests.livekit_double.server.rooms import RoomEvent, RoomEventKind, Rooms
from tests.livekit_double.server.routes import TwirpRoutes
from tests.livekit_double.server.tokens import TokenRefusedError, verify_token
from tests.livekit_double.server.twirp import TwirpError
from tests.livekit_double.server.upstream import Upstream
from tests.livekit_double.server.webhooks import WebhookSender
from tests.livekit_double.timing import Timing

_MEDIA_EVENTS = frozenset(
    {RoomEventKind.TRACK_PUBLISHED, RoomEventKind.TRACK_UNPUBLISHED, RoomEventKind.TRACK_CHANGED}
)


class LiveKitDouble:
    """A server on one port.

    Attributes:
        rooms: create rooms, let people join, publish, mute and leave.
        records: the egresses, as ListEgress answers with them.
        fleet: the connected workers.
        faults: what the next calls run into.
        webhooks: what was sent, and a way to send more.
    """

    def __init__(
        self,
        keys: Mapping[str, str],
        *,
        timing: Timing | None = None,
        webhook_urls: Sequence[str] = (),
        rooms_url: str = "",
    ) -> None:
        """Makes a server that does not listen yet.

        Args:
            keys: secrets by API key; the first signs the webhooks.
            timing: delays; measured ones by default.
            webhook_urls: where events are sent.
            rooms_url: of a real livekit-server that has the rooms; empty for rooms of its own.
        """
        self.timing = timing or Timing()
        self.api_key, self.api_secret = next(iter(keys.items()))
        self.rooms = Rooms()
        self.records = EgressRecords()
        self.faults = Faults()
        self.fleet = Fleet(
            lambda worker_id: len(self.records.running_on(worker_id)), self.records.update, self._welcome
        )
        self._keys = keys
        self.webhooks = WebhookSender(webhook_urls, self.api_key, self.api_secret)
        self._upstream = Upstream(rooms_url, self.api_key, self.api_secret) if rooms_url else None
        sight = self._upstream or OwnRooms(self.rooms)
        self._routes = TwirpRoutes(
            EgressService(sight, self.records, self.fleet, self.timing),
            RoomService(self.rooms),
            keys,
            self.faults,
            self._upstream,
        )
        self._tasks: set[asyncio.Task[None]] = set()
        self._background: list[asyncio.Task[None]] = []
        self._runner: web.AppRunner | None = None
        self._address = ("", 0)
        self.url = ""
        if self._upstream is None:  # recorders of real rooms join and leave them themselves
            self.records.listen(self._egress_changed)
            self.fleet.when_lost(self._worker_lost)
        self.records.listen(self.webhooks.egress_changed)
        self.rooms.listen(self.webhooks.room_changed)
        self.rooms.listen(self._room_changed)

    @property
    def calls(self) -> CallLog:
        """Every Twirp call since the start."""
        return self._routes.log

    async def start(self, bind: str = "127.0.0.1", port: int = 0) -> Self:
        """Listens.

        Args:
            bind: address.
            port: 0 takes a free one; see `url`.
        """
        await self._listen(bind, port)
        self._background.append(asyncio.create_task(self.webhooks.run()))
        return self

    async def stop(self) -> None:
        """Stops listening; workers lose their connection."""
        for task in self._background:
            task.cancel()
        await asyncio.gather(*self._background, return_exceptions=True)
        await self._die()
        if self._upstream is not None:
            await self._upstream.close()

    def restart(self, away_seconds: float) -> asyncio.Task[None]:
        """The server process dies and is back later. Egress records survive, as in Redis; rooms do not.

        Clients join again by themselves, and their tracks get new ids.

        Args:
            away_seconds: from the end to the next start.

        Returns:
            Ends when everybody is back.
        """
        task = asyncio.create_task(self._restart(away_seconds))
        self._background.append(task)
        return task

    async def _restart(self, away_seconds: float) -> None:
        await self._die()
        people = self.rooms.forget()
        await asyncio.sleep(away_seconds)
        await self._listen(*self._address)
        await asyncio.sleep(self.timing.rejoin_seconds)
        for person in people:
            self.rooms.join(person.room, person.identity, person.sources)

    async def _listen(self, bind: str, port: int) -> None:
        application = web.Application()
        self._routes.add_to(application)
        application.router.add_get("/double/worker", self._serve_worker)
        add_admin_routes(application, self)
        self._runner = web.AppRunner(application, access_log=None, shutdown_timeout=0.1)
        await self._runner.setup()
        site = web.TCPSite(self._runner, bind, port)
        await site.start()
        host, bound_port = self._runner.addresses[0][:2]
        self._address = (host, bound_port)
        self.url = f"http://{host}:{bound_port}"

    async def _die(self) -> None:
        """Everything that is in the memory of the process goes: connections, and what it meant to do."""
        await self.fleet.close()
        if self._runner is not None:
            await self._runner.cleanup()
        for task in list(self._tasks):
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)

    async def kill_handler(self, egress_id: str) -> None:
        """Kills the process of one egress, as `kill -9` on the handler does.

        Raises:
            TwirpError: `not_found` if the egress is unknown.
        """
        await self._command(egress_id, {"type": "kill_handler"})

    async def end_egress(self, egress_id: str, details: str = "End reason: CPU exhausted") -> None:
        """Ends an egress as COMPLETE without anybody having asked, as a worker short of CPU does.

        Args:
            egress_id: which one.
            details: what its record will say.

        Raises:
            TwirpError: `not_found` if the egress is unknown.
        """
        await self._command(egress_id, {"type": "end", "details": details})

    async def fail_egress(self, egress_id: str, error: str, error_code: int = 500) -> None:
        """Lets the handler of an egress fail by itself; with code 500 its worker drains and exits.

        Args:
            egress_id: which one.
            error: text of its record.
            error_code: code of its record.

        Raises:
            TwirpError: `not_found` if the egress is unknown.
        """
        await self._command(egress_id, {"type": "fail", "error": error, "error_code": error_code})

    async def starve_egress(self, egress_id: str, *, starved: bool = True) -> None:
        """Takes the CPU of an egress away: segments go on in cadence, with hardly anything new in them.

        Raises:
            TwirpError: `not_found` if the egress is unknown.
        """
        await self._command(egress_id, {"type": "starve", "starved": starved})
        link = self.fleet.links.get(self.records.worker_of(egress_id))
        if link is not None and starved:
            link.starving.add(egress_id)
        elif link is not None:
            link.starving.discard(egress_id)

    async def disturb_clock(self, egress_id: str, *, jump_seconds: float = 0.0, pace: float = 1.0) -> None:
        """Makes the clock of a run wrong from now on.

        Args:
            egress_id: which one.
            jump_seconds: the next frame comes so much later, without a trace in its PTS.
            pace: wall seconds that a second of media takes; 1 is right.

        Raises:
            TwirpError: `not_found` if the egress is unknown.
        """
        await self._command(egress_id, {"type": "disturb_clock", "jump_seconds": jump_seconds, "pace": pace})

    def lose_publisher(self, room: str, identity: str) -> None:
        """The publisher's process dies: no packets from now on, gone from the room after a time-out."""
        self.rooms.starve(room, identity)
        self._spawn(
            self._leave_later(
                room, identity, self.timing.publisher_lost_seconds, models.DisconnectReason.CONNECTION_TIMEOUT
            )
        )

    async def _command(self, egress_id: str, command: dict[str, object]) -> None:
        self.records.get(egress_id)
        link = self.fleet.links.get(self.records.worker_of(egress_id))
        if link is not None:
            await link.send({**command, "egress_id": egress_id})

    async def _serve_worker(self, request: web.Request) -> web.StreamResponse:
        try:
            verify_token(request.headers.get("Authorization", ""), self._keys).require("roomRecord")
        except (TokenRefusedError, TwirpError) as error:
            return web.Response(status=401, text=f"this worker may not connect: {error}")
        return await self.fleet.serve(request)

    def _welcome(self) -> dict[str, object]:
        rooms = {name: self.rooms.media_state(name) for name in self.rooms.names()}
        media_url = self._upstream.media_url if self._upstream else ""
        return {"timing": asdict(self.timing), "rooms": rooms, "media_url": media_url}

    def _room_changed(self, event: RoomEvent) -> None:
        if event.kind in _MEDIA_EVENTS:
            state = self.rooms.media_state(event.room.name)
            self._spawn(self.fleet.broadcast({"type": "room", "room": event.room.name, "tracks": state}))

    def _egress_changed(self, info: egress.EgressInfo, new: bool) -> None:
        if new:
            self.rooms.join(info.room_name, info.egress_id, kind="EGRESS")
        elif is_killed(info):
            # Nobody said goodbye for it.
            self._spawn(
                self._leave_later(
                    info.room_name,
                    info.egress_id,
                    self.timing.handler_lost_seconds,
                    models.DisconnectReason.CONNECTION_TIMEOUT,
                )
            )
        elif is_over(info):
            self._leave(info.room_name, info.egress_id, models.DisconnectReason.CLIENT_INITIATED)

    def _worker_lost(self, worker_id: str) -> None:
        for info in self.records.running_on(worker_id):
            self._spawn(
                self._leave_later(
                    info.room_name,
                    info.egress_id,
                    self.timing.worker_lost_seconds,
                    models.DisconnectReason.CONNECTION_TIMEOUT,
                )
            )

    async def _leave_later(
        self, room: str, identity: str, seconds: float, reason: models.DisconnectReason
    ) -> None:
        await asyncio.sleep(seconds)
        self._leave(room, identity, reason)

    def _leave(self, room: str, identity: str, reason: models.DisconnectReason) -> None:
        # The room may have been deleted, or the participant removed, in the meantime.
        with contextlib.suppress(TwirpError):
            self.rooms.leave(room, identity, reason)

    def _spawn(self, coroutine: Coroutine[None, None, None]) -> None:
        task = asyncio.get_running_loop().create_task(coroutine)
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)
