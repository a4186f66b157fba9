"""Webhooks that repeat themselves, tell what never happened, or were signed by somebody else."""

from __future__ import annotations

import base64
import hashlib
import json
import time
import urllib.error
import urllib.request
from collections.abc import Iterator
from http import HTTPStatus
from typing import Any

import jwt

from tests.chaos.scene import Scene
from tests.stack.livekit import API_KEY

WEBHOOK_PORT = 8081
_REPEATS = 3
_FORGED_SECRET = "a secret that LiveKit never had, 32 characters"


class WebhookLiar:
    """Sends them. A lie that is signed well comes from LiveKit itself, late or twice."""

    def __init__(self, scene: Scene) -> None:
        """Take the scene: what it records is lied about."""
        self._scene = scene
        stored = scene.stack.get("secret", "replay-operator-livekit") or {}
        self._secret = base64.b64decode(stored["data"]["api-secret"]).decode()

    def tell(self, url: str) -> int:
        """Send every lie several times, signed well and signed badly.

        Args:
            url: Where the operator listens, if it leads.

        Returns:
            How many it took.

        Raises:
            AssertionError: It took a forged one, or refused a signed one.
        """
        taken = 0
        for body in self._lies():
            for secret, expected in (
                (self._secret, HTTPStatus.OK),
                (_FORGED_SECRET, HTTPStatus.UNAUTHORIZED),
            ):
                for _ in range(_REPEATS):
                    status = _post(url, json.dumps(body).encode(), secret)
                    if status is None:
                        print(f"chaos: nobody listens for webhooks at {url}: its operator does not lead")
                        return taken
                    assert status == expected, f"{body['event']} was answered with {status}, not {expected}"
                    taken += status == HTTPStatus.OK
        return taken

    def _lies(self) -> Iterator[dict[str, Any]]:
        now = str(int(time.time()))
        for buffer in self._scene.buffers:
            room = {"room": {"name": buffer.name, "sid": "RM_chaos"}}
            yield {"event": "room_finished", "id": f"EV_{buffer.name}", "createdAt": now, **room}
            for egress_id in self._scene.egresses_of(buffer):
                ended = {"egressId": egress_id, "roomName": buffer.name, "status": "EGRESS_COMPLETE"}
                yield {
                    "event": "egress_ended",
                    "id": f"EV_{egress_id}",
                    "createdAt": now,
                    "egressInfo": ended,
                }
                gone = {"identity": egress_id, "sid": "PA_chaos", "kind": "EGRESS", "state": "DISCONNECTED"}
                yield {"event": "participant_left", "id": f"EV_{egress_id}", "participant": gone, **room}


def _post(url: str, body: bytes, secret: str) -> int | None:
    now = int(time.time())
    claims = {
        "iss": API_KEY,
        "nbf": now,
        "exp": now + 300,
        "sha256": base64.b64encode(hashlib.sha256(body).digest()).decode(),
    }
    headers = {
        "Content-Type": "application/webhook+json",
        "Authorization": jwt.encode(claims, secret, algorithm="HS256"),
    }
    try:
        with urllib.request.urlopen(
            urllib.request.Request(url, data=body, headers=headers), timeout=10
        ) as answer:
            return int(answer.status)
    except urllib.error.HTTPError as error:
        return error.code
    except (urllib.error.URLError, ConnectionError, TimeoutError):
        return None
