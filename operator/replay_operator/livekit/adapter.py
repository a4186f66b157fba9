"""The port over livekit-api: Twirp with a JWT for each call."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from urllib.parse import urlsplit

import aiohttp
from google.protobuf.message import DecodeError
from livekit.api import LiveKitAPI, ServerError, ServerErrorCode
from livekit.protocol import egress as proto_egress
from livekit.protocol import room as proto_room

from replay_operator.domain.egress import Egress, Participant, StartRequest
from replay_operator.livekit.errors import (
    EgressWorkerSilent,
    LiveKitUnreachable,
    NoEgressCapacity,
    RoomNotFound,
)
from replay_operator.livekit.mapping import egress_from_proto, participant_from_proto, start_to_proto
from replay_operator.livekit.twirp import error_from_answer, said

START_TIMEOUT_SECONDS = 30.0
"""LiveKit needs up to 27 s to say that no worker is free (three tries inside the server; 21.9 to 23.5 s were
measured, livekit-measured §3). With the SDK's own 10 s a full fleet would look like a lost connection."""

ANSWER_TIMEOUT_SECONDS = 10.0
"""For all other calls. The slowest answer measured is a stop that LiveKit gives up after 3.0 s (ibid.)."""


class LiveKitAdapter:
    """A `LiveKit` over HTTP.

    Args:
        session: Carries the calls. It belongs to the adapter from now on: `aclose` closes it.
        url: Address of LiveKit's API; ws and wss are taken as http and https.
        api_key: LiveKit API key.
        api_secret: Its secret. It signs tokens here and is never sent.
        start_timeout_seconds: How long a start may take, in seconds.
        answer_timeout_seconds: How long any other call may take, in seconds.

    Raises:
        ValueError: The URL carries a user name or password.
    """

    def __init__(
        self,
        session: aiohttp.ClientSession,
        *,
        url: str,
        api_key: str,
        api_secret: str,
        start_timeout_seconds: float = START_TIMEOUT_SECONDS,
        answer_timeout_seconds: float = ANSWER_TIMEOUT_SECONDS,
    ) -> None:
        if "@" in urlsplit(url).netloc:
            raise ValueError(
                "LiveKit's URL must hold no user name or password: LiveKit takes only key and secret"
            )
        # Without failover: it sends a lost start a second time, and that could make a second egress.
        self._api = LiveKitAPI(url, api_key, api_secret, session=session, failover=False)
        self._session = session
        self._where = url
        self._listed: dict[bytes, Egress] = {}
        self._start_timeout_seconds = start_timeout_seconds
        self._answer_timeout_seconds = answer_timeout_seconds

    async def list_active(self) -> tuple[Egress, ...]:
        """See `LiveKit.list_active`."""
        async with self._asking("list active egress", self._answer_timeout_seconds):
            answer = await self._api.egress.list_egress(proto_egress.ListEgressRequest(active=True))
        # Of thousands that are listed every few seconds, hardly any has changed: those are not read again.
        listed: dict[bytes, Egress] = {}
        for info in answer.items:
            wire = info.SerializeToString()
            listed[wire] = self._listed.get(wire) or egress_from_proto(info)
        self._listed = listed
        return tuple(listed.values())

    async def get_egress(self, egress_id: str) -> Egress | None:
        """See `LiveKit.get_egress`."""
        async with self._asking(f"look up egress {egress_id}", self._answer_timeout_seconds):
            try:
                answer = await self._api.egress.list_egress(
                    proto_egress.ListEgressRequest(egress_id=egress_id)
                )
            except ServerError as error:
                if error.code != ServerErrorCode.NOT_FOUND:
                    raise
                return None
        return next((egress_from_proto(info) for info in answer.items), None)

    async def list_room(self, room: str) -> tuple[Egress, ...]:
        """See `LiveKit.list_room`."""
        async with self._asking(f"list the egress of room {room!r}", self._answer_timeout_seconds):
            answer = await self._api.egress.list_egress(proto_egress.ListEgressRequest(room_name=room))
        return tuple(egress_from_proto(info) for info in answer.items)

    async def start(self, request: StartRequest) -> Egress:
        """See `LiveKit.start`."""
        what = f"start an egress in room {request.room!r}"
        async with self._asking(what, self._start_timeout_seconds):
            try:
                info = await self._api.egress.start_track_composite_egress(start_to_proto(request))
            except ServerError as error:
                if error.code == ServerErrorCode.NOT_FOUND:
                    raise RoomNotFound(
                        f"could not {what}: LiveKit says {said(error.message)!r}; it is tried again when the "
                        "room exists"
                    ) from None
                if error.code == ServerErrorCode.UNAVAILABLE:
                    raise NoEgressCapacity(
                        f"could not {what}: no egress worker took it (LiveKit says {said(error.message)!r}); "
                        "add egress workers, or check that they run and share LiveKit's Redis"
                    ) from None
                raise
        return egress_from_proto(info)

    async def stop(self, egress_id: str) -> None:
        """See `LiveKit.stop`."""
        async with self._asking(f"stop egress {egress_id}", self._answer_timeout_seconds):
            try:
                await self._api.egress.stop_egress(proto_egress.StopEgressRequest(egress_id=egress_id))
            except ServerError as error:
                if error.code == ServerErrorCode.DEADLINE_EXCEEDED:
                    raise EgressWorkerSilent(
                        f"could not stop egress {egress_id}: its worker does not answer and is probably "
                        "dead; check the egress pods"
                    ) from None
                if error.code not in (ServerErrorCode.NOT_FOUND, ServerErrorCode.FAILED_PRECONDITION):
                    raise

    async def participants(self, room: str) -> tuple[Participant, ...] | None:
        """See `LiveKit.participants`."""
        async with self._asking(f"list the participants of room {room!r}", self._answer_timeout_seconds):
            answer = await self._api.room.list_participants(proto_room.ListParticipantsRequest(room=room))
            if not answer.participants:
                # LiveKit answers for a room that does not exist as for an empty one.
                rooms = await self._api.room.list_rooms(proto_room.ListRoomsRequest(names=[room]))
                if not rooms.rooms:
                    return None
        return tuple(participant_from_proto(info) for info in answer.participants)

    async def aclose(self) -> None:
        """See `LiveKit.aclose`."""
        await self._session.close()

    @asynccontextmanager
    async def _asking(self, what: str, timeout_seconds: float) -> AsyncIterator[None]:
        """Turn what livekit-api and aiohttp raise into our errors.

        None of them keeps its cause: aiohttp's can carry the request with its token.
        """
        try:
            async with asyncio.timeout(timeout_seconds):
                yield
        except TimeoutError:
            raise LiveKitUnreachable(
                f"could not {what}: no answer from LiveKit at {self._where} within {timeout_seconds:g} s; "
                "check that it runs and is not overloaded"
            ) from None
        except aiohttp.ClientError as error:
            raise LiveKitUnreachable(
                f"could not {what}: no connection to LiveKit at {self._where} "
                f"({type(error).__name__}: {error}); check the URL, DNS and network policies"
            ) from None
        except DecodeError:
            raise LiveKitUnreachable(
                f"could not {what}: the answer from {self._where} is not LiveKit's; "
                "check that the URL leads to LiveKit and not to another service"
            ) from None
        except ServerError as error:
            raise error_from_answer(
                what, self._where, code=error.code, message=error.message, status=error.status
            ) from None
