"""The news of a capture's outcome and upload: what the install's webhook receives, how it is signed. Pure.

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
from replay_operator.api.replaycapture import NewsOf, ReplayCapture
from replay_operator.domain.capture_state import finished_at
from replay_operator.domain.status_contract import READY, STALLED, is_true
from replay_operator.domain.uploads import UPLOADED

GIVE_UP_AFTER = timedelta(hours=1)
"""From the outcome or the upload's end on. By the status alone, so that a restart does not begin anew."""

FIRST_PAUSE = timedelta(seconds=1)
LONGEST_PAUSE = timedelta(minutes=5)
_SECRET_PREFIX = "whsec_"  # noqa: S105 - the prefix that Standard Webhooks gives a secret in base64


@dataclass(frozen=True, slots=True)
class News:
    """One message. `key` is the same for each try, and for no other outcome."""

    key: str
    body: bytes


def news_of(capture: ReplayCapture) -> News:
    """Build the message about a finished capture: of its upload, if that is what the status has to be told.

    Args:
        capture: Finished.
    """
    conditions = capture.status.conditions
    outcome = "ready" if is_true(conditions, READY) else "failed"
    if _is_of_upload(capture):
        outcome = "uploaded"
    ended = _happened_at(capture)
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
    ended = _happened_at(capture)
    pause = min(FIRST_PAUSE * 2 ** min(failures - 1, 20), LONGEST_PAUSE)
    return None if ended is None or now + pause > ended + GIVE_UP_AFTER else now + pause


def _is_of_upload(capture: ReplayCapture) -> bool:
    news = capture.status.notification
    return news is not None and news.news_of is NewsOf.UPLOAD


def _happened_at(capture: ReplayCapture) -> datetime | None:
    if not _is_of_upload(capture):
        return finished_at(capture)
    uploaded = find_condition(capture.status.conditions, UPLOADED)
    return uploaded.last_transition_time if uploaded is not None else None


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
