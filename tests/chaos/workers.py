"""The egress workers, each asked itself: LiveKit's records of a worker outlive its process."""

from __future__ import annotations

import json
import urllib.error
import urllib.request
from collections.abc import Iterable, Mapping
from typing import Any

from replay_operator.livekit.workers import HEALTH_PORT
from tests.stack.livekit import LiveKitAdmin

FLEET = "livekit-egress"
PLACES = 4
"""What a worker of the double can carry, as its configuration in manifests/base says."""

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


def forgive_restarts(admin: LiveKitAdmin, held: Mapping[str, frozenset[str]]) -> None:
    """Give a worker that was started again the places back that its dead process had taken.

    The double knows workers by their pod's name, so it counts the records of the dead process against the
    new one. A real worker counts for itself and starts empty.

    Args:
        admin: The double.
        held: What each worker process runs.
    """
    for worker in admin.get("workers"):
        name = worker["worker_id"]
        if name in held:
            places = PLACES + len(set(worker["egresses"]) - held[name])
            if places != worker["capacity"]:
                admin.post(f"workers/{name}/capacity", {"capacity": places})
