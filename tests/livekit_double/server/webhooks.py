"""Webhooks as livekit-server sends them: signed, in order, one event a request. Others on demand."""

import asyncio
import base64
import hashlib
import json
import time
from collections.abc import Sequence
from dataclasses import dataclass

import aiohttp
import jwt
from google.protobuf import json_format
from livekit.protocol import egress, webhook

from tests.livekit_double.identifiers import new_identifier
from tests.livekit_double.server.rooms import RoomEvent, RoomEventKind

# Recorded claims: exp = nbf + 300 s.
_TOKEN_SECONDS = 300
_TRACK_EVENTS = frozenset({RoomEventKind.TRACK_PUBLISHED, RoomEventKind.TRACK_UNPUBLISHED})


@dataclass(frozen=True, slots=True)
class Sent:
    """A webhook that was sent.

    Attributes:
        event: such as `participant_left`.
        identity: of its participant, or empty.
        egress_id: of its egress, or empty.
        status: HTTP status of the answer; 0 when there was none.
    """

    event: str
    identity: str
    egress_id: str
    status: int


class WebhookSender:
    """Sends events to every URL, in the order in which they happened.

    Attributes:
        sent: every webhook since the start.
    """

    def __init__(self, urls: Sequence[str], api_key: str, api_secret: str) -> None:
        self._urls = tuple(urls)
        self._api_key = api_key
        self._api_secret = api_secret
        self._queue: asyncio.Queue[webhook.WebhookEvent] = asyncio.Queue()
        self.sent: list[Sent] = []

    def room_changed(self, event: RoomEvent) -> None:
        """Queues a room, participant or track event."""
        if event.kind == RoomEventKind.TRACK_CHANGED:
            return
        message = webhook.WebhookEvent(event=event.kind.value)
        if event.kind in _TRACK_EVENTS and event.participant is not None:
            # Recorded: track events carry only the names of room and participant.
            message.room.sid, message.room.name = event.room.sid, event.room.name
            message.participant.sid, message.participant.identity = (
                event.participant.sid,
                event.participant.identity,
            )
        else:
            message.room.CopyFrom(event.room)
            if event.participant is not None:
                message.participant.CopyFrom(event.participant)
                message.participant.ClearField("tracks")
        if event.track is not None:
            message.track.CopyFrom(event.track)
        self._enqueue(message)

    def egress_changed(self, info: egress.EgressInfo, new: bool) -> None:
        """Queues egress_started, egress_updated or egress_ended."""
        over = info.status >= egress.EgressStatus.EGRESS_COMPLETE
        name = "egress_started" if new else "egress_ended" if over else "egress_updated"
        message = webhook.WebhookEvent(event=name)
        message.egress_info.CopyFrom(info)
        self._enqueue(message)

    async def run(self) -> None:
        """Sends until cancelled. A receiver that is away loses the event, as in the end with LiveKit."""
        async with _session() as session:
            while True:
                event = await self._queue.get()
                for url in self._urls:
                    await self._post(session, url, event, self._api_secret)

    async def send(
        self, event: webhook.WebhookEvent, *, copies: int = 1, api_secret: str | None = None
    ) -> list[int]:
        """Sends what never happened, or sends it again and again.

        Args:
            event: the message; id and time are filled in once, for all copies.
            copies: how often each URL gets it.
            api_secret: what signs it; the server's own if not given.

        Returns:
            The HTTP status of each answer, 0 for none.
        """
        _stamp(event)
        secret = self._api_secret if api_secret is None else api_secret
        async with _session() as session:
            return [
                await self._post(session, url, event, secret) for _ in range(copies) for url in self._urls
            ]

    async def _post(
        self, session: aiohttp.ClientSession, url: str, event: webhook.WebhookEvent, api_secret: str
    ) -> int:
        body = json.dumps(json_format.MessageToDict(event)).encode()
        # No "Bearer": recorded.
        headers = {
            "Content-Type": "application/webhook+json",
            "Authorization": self._token(body, api_secret),
        }
        status = 0
        try:
            async with session.post(url, data=body, headers=headers) as answer:
                status = answer.status
        except (aiohttp.ClientError, TimeoutError) as error:
            print(f"webhook {event.event} to {url} was lost: {error}", flush=True)
        self.sent.append(Sent(event.event, event.participant.identity, event.egress_info.egress_id, status))
        return status

    def _token(self, body: bytes, api_secret: str) -> str:
        now = int(time.time())
        claims = {
            "iss": self._api_key,
            "nbf": now,
            "iat": now,
            "exp": now + _TOKEN_SECONDS,
            "sha256": base64.b64encode(hashlib.sha256(body).digest()).decode(),
        }
        return jwt.encode(claims, api_secret, algorithm="HS256")

    def _enqueue(self, event: webhook.WebhookEvent) -> None:
        if not self._urls:
            return
        _stamp(event)
        self._queue.put_nowait(event)


def _session() -> aiohttp.ClientSession:
    return aiohttp.ClientSession(timeout=aiohttp.ClientTimeout(total=5))


def _stamp(event: webhook.WebhookEvent) -> None:
    event.id = new_identifier("EV_")
    event.created_at = int(time.time())
