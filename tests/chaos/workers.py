"""The egress workers, each asked itself: LiveKit's records of a worker outlive its process."""

from __future__ import annotations

import json
import urllib.error
import urllib.request
from collections.abc import Iterable
from typing import Any

from replay_operator.livekit.workers import HEALTH_PORT

FLEET = "livekit-egress"
Json = dict[str, Any]


def held_egresses(pods: Iterable[Json]) -> dict[str, frozenset[str]]:
    """Give the egress ids that each worker process runs now, by pod; who does not answer is left out.

    Args:
        pods: Pods as the API server gives them, those of other components among them.
    """
    fleet = [pod for pod in pods if pod["metadata"]["labels"].get("app.kubernetes.io/name") == FLEET]
    answers = {pod["metadata"]["name"]: _ask(pod.get("status", {}).get("podIP")) for pod in fleet}
    return {name: answer for name, answer in answers.items() if answer is not None}


def _ask(address: str | None) -> frozenset[str] | None:
    if address is None:
        return None
    try:
        with urllib.request.urlopen(f"http://{address}:{HEALTH_PORT}/", timeout=2) as answer:
            return frozenset(name for name in json.load(answer) if name.startswith("EG_"))
    except (urllib.error.URLError, ConnectionError, TimeoutError):
        return None
