"""A real livekit-server behind this one: it has the rooms, this one has the egresses."""

from __future__ import annotations

import aiohttp
from aiohttp import web
from livekit.api import LiveKitAPI
from livekit.protocol.room import ListParticipantsRequest, ListRoomsRequest

from tests.livekit_double.server.room_facts import RoomFacts
from tests.livekit_double.server.twirp import TwirpError

_ANSWER_SECONDS = 10
_PASSED_ON = ("Authorization", "Content-Type")


class Upstream:
    """Passes calls on, and looks at the real rooms."""

    def __init__(self, url: str, api_key: str, api_secret: str) -> None:
        """Opens nothing yet.

        Args:
            url: of the real server; clients with media reach it there too.
            api_key: signs the looks at rooms, together with `api_secret`.
            api_secret: see `api_key`.
        """
        self.media_url = url
        self._key = (api_key, api_secret)
        self._session: aiohttp.ClientSession | None = None

    async def look(self, room: str, track_sid: str) -> RoomFacts | None:
        """See `RoomSight`.

        Raises:
            TwirpError: `unavailable` if the real server does not answer.
        """
        rooms = LiveKitAPI(self.media_url, *self._key, session=self._opened(), failover=False).room
        try:
            found = (await rooms.list_rooms(ListRoomsRequest(names=[room]))).rooms
            if not found:
                return None
            people = (await rooms.list_participants(ListParticipantsRequest(room=room))).participants
        except (aiohttp.ClientError, TimeoutError) as error:
            raise _no_answer(error) from error
        publishers = [each.identity for each in people if any(t.sid == track_sid for t in each.tracks)]
        tracks = {track.sid: not track.muted for each in people for track in each.tracks}
        return RoomFacts(found[0].sid, room, publishers[0] if publishers else "", tracks)

    async def pass_on(self, request: web.Request) -> web.Response:
        """Gives the real server's answer to a request.

        Raises:
            TwirpError: `unavailable` if it does not answer.
        """
        headers = {name: request.headers[name] for name in _PASSED_ON if name in request.headers}
        try:
            async with self._opened().post(
                f"{self.media_url}{request.path}", data=await request.read(), headers=headers
            ) as answer:
                body = await answer.read()
                return web.Response(status=answer.status, body=body, content_type=answer.content_type)
        except (aiohttp.ClientError, TimeoutError) as error:
            raise _no_answer(error) from error

    async def close(self) -> None:
        """Closes the connections."""
        if self._session is not None:
            await self._session.close()

    def _opened(self) -> aiohttp.ClientSession:
        if self._session is None:
            self._session = aiohttp.ClientSession(timeout=aiohttp.ClientTimeout(total=_ANSWER_SECONDS))
        return self._session


def _no_answer(error: Exception) -> TwirpError:
    return TwirpError("unavailable", f"the real livekit-server does not answer: {error}")
