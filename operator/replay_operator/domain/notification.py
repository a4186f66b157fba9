"""The news of a capture's outcome: what the install's webhook receives, and how it is signed. Pure.

Headers and signature follow Standard Webhooks (standardwebhooks.com), so that a receiver can check them with
a library.
"""

from __future__ import annotations

import base64
import hashlib
import hmac
import json
from dataclasses import dataclass
from datetime import datetime, timedelta

from replay_operator.api.meta import find_condition
from replay_operator.api.replaycapture import ReplayCapture
from replay_operator.domain.capture_state import finished_at
from replay_operator.domain.status_contract import READY, STALLED, is_true

GIVE_UP_AFTER = timedelta(hours=1)
"""From the outcome on. By the status alone, so that a restart does not begin anew."""

FIRST_PAUSE = timedelta(seconds=1)
LONGEST_PAUSE = timedelta(minutes=5)
_SECRET_PREFIX = "whsec_"  # noqa: S105 - the prefix that Standard Webhooks gives a secret in base64


@dataclass(frozen=True, slots=True)
class News:
    """One message. `key` is the same for each try, and for no other outcome."""

    key: str
    body: bytes


def news_of(capture: ReplayCapture) -> News:
    """Build the message about a finished capture.

    Args:
        capture: Finished.
    """
    conditions = capture.status.conditions
    outcome = "ready" if is_true(conditions, READY) else "failed"
    ended = finished_at(capture)
    status = capture.status.to_wire()
    data: dict[str, object] = {
        "namespace": capture.metadata.namespace,
        "name": capture.metadata.name,
        "uid": capture.metadata.uid,
        "buffer": capture.spec.buffer_ref.name,
        **{key: status[key] for key in ("source", "range", "clip") if key in status},
    }
    failure = find_condition(conditions, STALLED)
    if failure is not None:
        data |= {"reason": failure.reason, "message": failure.message}
    told = {
        "type": f"replaycapture.{outcome}",
        "timestamp": ended.isoformat().replace("+00:00", "Z") if ended else None,
        "data": data,
    }
    return News(
        key=f"{capture.metadata.uid}.{outcome}",
        body=json.dumps(told, separators=(",", ":"), ensure_ascii=False).encode(),
    )


def signed_headers(news: News, *, secret: str, now: datetime) -> dict[str, str]:
    """Give the headers of one try.

    Args:
        news: What is sent.
        secret: Shared with the receiver: any text, or `whsec_` and base64.
        now: Time of this try. It is signed too, so that a receiver can refuse old ones.
    """
    stamp = str(int(now.timestamp()))
    signed = b".".join((news.key.encode(), stamp.encode(), news.body))
    signature = base64.b64encode(hmac.new(signing_key(secret), signed, hashlib.sha256).digest())
    return {
        "content-type": "application/json",
        "webhook-id": news.key,
        "webhook-timestamp": stamp,
        "webhook-signature": f"v1,{signature.decode()}",
    }


def next_try(capture: ReplayCapture, failures: int, now: datetime) -> datetime | None:
    """Give when to try again, or None when enough was tried.

    Args:
        capture: Finished.
        failures: How many tries of this process have failed.
        now: Time of the last one.
    """
    ended = finished_at(capture)
    pause = min(FIRST_PAUSE * 2 ** min(failures - 1, 20), LONGEST_PAUSE)
    return None if ended is None or now + pause > ended + GIVE_UP_AFTER else now + pause


def signing_key(secret: str) -> bytes:
    """Give the bytes to sign with.

    Args:
        secret: Any text, or `whsec_` and base64 as Standard Webhooks writes it.

    Raises:
        ValueError: What follows `whsec_` is no base64.
    """
    if not secret.startswith(_SECRET_PREFIX):
        return secret.encode()
    return base64.b64decode(secret.removeprefix(_SECRET_PREFIX), validate=True)
