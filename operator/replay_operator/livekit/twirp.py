"""What a Twirp error answer means, whichever call got it. Pure."""

from __future__ import annotations

from replay_operator.livekit.errors import (
    BadEgressRequest,
    LiveKitError,
    LiveKitFailed,
    LiveKitRefused,
    LiveKitUnreachable,
)

_NO_TWIRP_CODE = "unknown"
"""What livekit-api puts in the place of the code when the answer has none: it is not LiveKit's own."""

_GATEWAY_STATUSES = frozenset({502, 503, 504})


def said(message: str) -> str:
    """Give LiveKit's message without the prefix that its server puts before inner errors.

    Args:
        message: `msg` of a Twirp error.
    """
    return message.removeprefix("twirp error unknown: ")


def error_from_answer(what: str, where: str, *, code: str, message: str, status: int) -> LiveKitError:
    """Make the error for an answer that no call expects.

    Args:
        what: What we asked for, as an infinitive without "to".
        where: Address that we asked.
        code: Twirp code, or "unknown" when the answer is no Twirp error.
        message: LiveKit's own words.
        status: HTTP status.
    """
    words = said(message) or f"HTTP {status}"
    # LiveKit refuses a token before Twirp sees the call, so that there may be no code.
    if status in (401, 403):
        return LiveKitRefused(
            f"could not {what}: LiveKit at {where} refused us ({words}); check the API key and secret, "
            "and that the clocks agree"
        )
    if code == _NO_TWIRP_CODE and status in _GATEWAY_STATUSES:
        return LiveKitUnreachable(
            f"could not {what}: something before LiveKit at {where} answered HTTP {status}; "
            "check that LiveKit's pods are ready"
        )
    if status == 400:  # noqa: PLR2004 - HTTP's Bad Request; Twirp's invalid_argument and malformed
        return BadEgressRequest(
            f"could not {what}: LiveKit found the request wrong ({words}); "
            "change the buffer's source or encoding"
        )
    return LiveKitFailed(
        f"could not {what}: LiveKit at {where} answered {status} {code} ({words}); look into LiveKit's log"
    )
