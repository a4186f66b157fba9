"""Webhooks as livekit-server sends them: signed, in order, one event a request."""

import asyncio
import base64
import hashlib
import json
import time
from collections.abc import Sequence

import aiohttp
import jwt
from google.protobuf import json_format
from livekit.protocol import egress, webhook

from tests.livekit_double.identifiers import new_identifier
from tests.livekit_double.server.rooms import RoomEvent, RoomEventKind

# Recorded claims: exp = nbf + 300 s.
_TOKEN_SECONDS = 300
_TRACK_EVENTS = frozenset({RoomEventKind.TRACK_PUBLISHED, RoomEventKind.TRACK_UNPUBLISHED})


class WebhookSender:
    """Sends events to every URL, in the order in which they happened."""

    def __init__(self, urls: Sequence[str], api_key: str, api_secret: str) -> None:
        self._urls = tuple(urls)
        self._api_key = api_key
        self._api_secret = api_secret
        self._queue: asyncio.Queue[webhook.WebhookEvent] = asyncio.Queue()

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
        async with aiohttp.ClientSession(timeout=aiohttp.ClientTimeout(total=5)) as session:
            while True:
                event = await self._queue.get()
                for url in self._urls:
                    await self._post(session, url, event)

    async def _post(self, session: aiohttp.ClientSession, url: str, event: webhook.WebhookEvent) -> None:
        body = json.dumps(json_format.MessageToDict(event)).encode()
        now = int(time.time())
        token = jwt.encode(
            {
                "iss": self._api_key,
                "nbf": now,
                "iat": now,
                "exp": now + _TOKEN_SECONDS,
                "sha256": base64.b64encode(hashlib.sha256(body).digest()).decode(),
            },
            self._api_secret,
            algorithm="HS256",
        )
        # No "Bearer": recorded.
        headers = {"Content-Type": "application/webhook+json", "Authorization": token}
        try:
            async with session.post(url, data=body, headers=headers):
                pass
        except (aiohttp.ClientError, TimeoutError) as error:
            print(f"webhook {event.event} to {url} was lost: {error}", flush=True)

    def _enqueue(self, event: webhook.WebhookEvent) -> None:
        if not self._urls:
            return
        event.id = new_identifier("EV_")
        event.created_at = int(time.time())
        self._queue.put_nowait(event)
