"""Recorded webhooks, and tokens for them as if they had been sent now."""

from __future__ import annotations

import base64
import hashlib
import json
import time
from pathlib import Path
from typing import Any

import jwt

from tests.livekit.server import API_KEY, API_SECRET

DATA = Path(__file__).parents[1] / "data" / "livekit"
WRONG_SECRET = "another-secret-of-thirty-two-characters!"

Json = dict[str, Any]


def recorded(file: str) -> list[Json]:
    return [json.loads(line) for line in (DATA / file).read_text().splitlines()]


RECORDED = recorded("api/webhooks.jsonl")
WORKER_DEATHS = recorded("webhooks/worker-killed.jsonl")


def of_recorded(event: str, *, kind: str | None = None) -> Json:
    for record in RECORDED:
        body = json.loads(record["raw_body"])
        if body["event"] == event and body.get("participant", {}).get("kind") == kind:
            return record
    raise AssertionError(f"no recording of {event} of a participant of kind {kind}")


ROOM_STARTED = of_recorded("room_started")
BODY = ROOM_STARTED["raw_body"].encode()


def claims_for(body: bytes, **changed: Any) -> Json:
    """The recorded claims, as if the webhook had been sent now with our key."""
    claims = ROOM_STARTED["jwt_claims"]
    moved = int(time.time()) - claims["iat"]
    times = {name: claims[name] + moved for name in ("iat", "nbf", "exp")}
    digest = base64.b64encode(hashlib.sha256(body).digest()).decode()
    return {**claims, **times, "iss": API_KEY, "sha256": digest, **changed}


def token_for(body: bytes, *, secret: str = API_SECRET, **changed: Any) -> str:
    return jwt.encode(claims_for(body, **changed), secret, algorithm="HS256")
