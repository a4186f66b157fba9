"""What a webhook of LiveKit gives away: where to look. It is a hint that saves time, never a fact.

Everything that a webhook says is asked for again before anything is done, so that a forged, repeated, late or
lost one changes nothing but latency.
"""

from __future__ import annotations

from dataclasses import dataclass

from google.protobuf.json_format import ParseError
from livekit.api import TokenVerifier, WebhookReceiver
from livekit.protocol import models as proto_models
from livekit.protocol.webhook import WebhookEvent

_EGRESS_EVENTS = frozenset({"egress_started", "egress_updated", "egress_ended"})
_ROOM_EVENTS = frozenset(
    {
        "room_started",
        "room_finished",
        "participant_joined",
        "participant_left",
        "track_published",
        "track_unpublished",
    }
)


class WebhookRefused(Exception):
    """The webhook is not signed with our key and secret, or its body is not the one that was signed."""


class WebhookUnreadable(Exception):
    """The webhook is signed, and yet not a message of LiveKit."""


@dataclass(frozen=True, slots=True)
class Hint:
    """Where to look: at buffers of these rooms, at these egresses.

    `worker_suspected_dead`: an egress left its room without a word. LiveKit gives no other sign of a worker's
    death, and this one comes 23 to 25 s late (livekit-measured §3). The death of one recording process on a
    healthy worker looks the same.
    """

    rooms: frozenset[str] = frozenset()
    egress_ids: frozenset[str] = frozenset()
    worker_suspected_dead: bool = False

    @property
    def is_empty(self) -> bool:
        """Whether there is nowhere to look."""
        return not (self.rooms or self.egress_ids)


class WebhookVerifier:
    """Reads only what LiveKit signed.

    Args:
        api_key: The key named in `webhook.api_key` of LiveKit's configuration.
        api_secret: Its secret.
    """

    def __init__(self, api_key: str, api_secret: str) -> None:
        self._receiver = WebhookReceiver(TokenVerifier(api_key, api_secret))

    def read(self, body: bytes, authorization: str) -> Hint:
        """Verify a webhook and give what it hints at.

        Args:
            body: As it was received: the signature holds for these very bytes.
            authorization: The Authorization header: LiveKit's token, with or without "Bearer".

        Raises:
            WebhookRefused: The signature is missing, wrong, outdated, or for another body.
            WebhookUnreadable: The body is no webhook.
        """
        try:
            text = body.decode()
        except UnicodeDecodeError as error:
            raise WebhookUnreadable("a webhook's body is JSON in UTF-8, this one is not") from error
        try:
            event = self._receiver.receive(text, authorization.removeprefix("Bearer "))
        except ParseError as error:
            raise WebhookUnreadable("a webhook's body is a WebhookEvent as JSON, this one is not") from error
        except Exception as error:  # livekit-api raises a bare Exception for a wrong hash
            raise WebhookRefused(f"the webhook's signature is not valid ({type(error).__name__})") from error
        return hint_of(event)


def hint_of(event: WebhookEvent) -> Hint:
    """Give what an event hints at; nothing for events that concern no recording.

    Args:
        event: A webhook that was verified.
    """
    if event.event in _EGRESS_EVENTS:
        return Hint(egress_ids=_named(event.egress_info.egress_id))
    if event.event not in _ROOM_EVENTS:
        return Hint()
    # An egress is in the room as a hidden participant, and its identity is its id. It is nobody's source.
    if event.participant.kind == proto_models.ParticipantInfo.Kind.EGRESS:
        return Hint(
            egress_ids=_named(event.participant.identity), worker_suspected_dead=_left_without_a_word(event)
        )
    return Hint(rooms=_named(event.room.name))


def _left_without_a_word(event: WebhookEvent) -> bool:
    # All 15 recorded egresses that left by themselves gave CLIENT_INITIATED, the 3 that were killed
    # CONNECTION_TIMEOUT.
    reason = event.participant.disconnect_reason
    return event.event == "participant_left" and reason != proto_models.DisconnectReason.CLIENT_INITIATED


def _named(name: str) -> frozenset[str]:
    return frozenset({name}) if name else frozenset()
