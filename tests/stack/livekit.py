"""The objects that put LiveKit's double into a namespace, and its admin API from outside."""

import json
import secrets
import urllib.request
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

API_KEY = "devkey"
Rooms = Mapping[str, Mapping[str, Sequence[str]]]


@dataclass(frozen=True, slots=True)
class RealRooms:
    """A livekit-server outside the cluster, whose key is `API_KEY`. The double keeps the egresses."""

    url: str
    api_secret: str


def secret(name: str, data: Mapping[str, str]) -> dict[str, Any]:
    """Build a Secret."""
    return {"apiVersion": "v1", "kind": "Secret", "metadata": {"name": name}, "stringData": dict(data)}


def livekit_objects(
    rooms: Rooms, timing: Mapping[str, str], webhook_urls: Sequence[str] = (), real: RealRooms | None = None
) -> list[dict[str, Any]]:
    """Build LiveKit's Deployment, Service and Secret, and the agent's token.

    Args:
        rooms: Who publishes what, by room and identity.
        timing: Environment variables that change the double's timing.
        webhook_urls: Where LiveKit's webhooks are sent.
        real: A real livekit-server that has the rooms.
    """
    api_secret = real.api_secret if real else secrets.token_hex(24)
    labels = {"app.kubernetes.io/name": "livekit"}
    variables = {"LIVEKIT_DOUBLE_ROOMS": json.dumps(rooms), **timing}
    if real:
        variables["LIVEKIT_DOUBLE_ROOMS_URL"] = real.url
    container = {
        "name": "livekit",
        "image": "livekit/livekit-server:v1.13.5",
        "args": ["--bind", "$(POD_IP)", "--port", "7880", *(f"--webhook={url}" for url in webhook_urls)],
        "env": [
            {"name": "POD_IP", "valueFrom": {"fieldRef": {"fieldPath": "status.podIP"}}},
            {"name": "LIVEKIT_KEYS", "valueFrom": {"secretKeyRef": {"name": "livekit", "key": "keys"}}},
            *({"name": name, "value": value} for name, value in variables.items()),
        ],
        "ports": [{"name": "http", "containerPort": 7880}],
        "readinessProbe": {"tcpSocket": {"port": "http"}, "periodSeconds": 1},
        "securityContext": {
            "allowPrivilegeEscalation": False,
            "readOnlyRootFilesystem": True,
            "capabilities": {"drop": ["ALL"]},
        },
    }
    pod = {
        "automountServiceAccountToken": False,
        "securityContext": {"runAsNonRoot": True, "seccompProfile": {"type": "RuntimeDefault"}},
        "containers": [container],
    }
    return [
        secret("livekit", {"keys": f"{API_KEY}: {api_secret}"}),
        secret(
            "replay-operator-livekit",
            {"url": "http://livekit:7880", "api-key": API_KEY, "api-secret": api_secret},
        ),
        secret(
            "replay-operator-agent", {"token": secrets.token_hex(24), "preview-key": secrets.token_hex(24)}
        ),
        {
            "apiVersion": "apps/v1",
            "kind": "Deployment",
            "metadata": {"name": "livekit"},
            "spec": {
                "selector": {"matchLabels": labels},
                "template": {"metadata": {"labels": labels}, "spec": pod},
            },
        },
        {
            "apiVersion": "v1",
            "kind": "Service",
            "metadata": {"name": "livekit"},
            "spec": {"selector": labels, "ports": [{"port": 7880, "targetPort": 7880}]},
        },
    ]


class LiveKitAdmin:
    """The double's `/double/` API."""

    def __init__(self, address: str) -> None:
        self._url = f"http://{address}:7880/double"

    def get(self, path: str) -> Any:
        """Ask for something."""
        with urllib.request.urlopen(f"{self._url}/{path}", timeout=60) as answer:
            return json.load(answer)

    def delete(self, path: str) -> None:
        """Undo something."""
        request = urllib.request.Request(f"{self._url}/{path}", method="DELETE")
        urllib.request.urlopen(request, timeout=60).close()

    def post(self, path: str, body: Mapping[str, Any]) -> Any:
        """Do something."""
        request = urllib.request.Request(
            f"{self._url}/{path}",
            data=json.dumps(body).encode(),
            headers={"Content-Type": "application/json"},
        )
        with urllib.request.urlopen(request, timeout=60) as answer:
            text = answer.read()
            return json.loads(text) if text else None
