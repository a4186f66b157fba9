"""The worker's settings: the real worker's configuration, and a few of the double's own."""

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import yaml

from tests.livekit_double.identifiers import new_identifier
from tests.livekit_double.timing import Timing, timing_from_environment

# egress's own constant; not to be configured in the real worker.
_TEMPORARY_DIRECTORY = "/home/egress/tmp"
# egress defaults: a track composite costs 1 CPU, 80 % of the CPUs may be promised. Five CPUs: four places.
_TRACK_COMPOSITE_COST = 1.0
_MAX_UTILISATION = 0.8
_CPUS = 5.0


@dataclass(frozen=True, slots=True)
class WorkerConfig:
    """What a worker needs to know.

    Attributes:
        ws_url: of the server, as `ws://`, `http://` or their TLS forms.
        worker_id: new at each start of a process, as LiveKit's node id is: a worker counts only what it runs
            itself, never what the process before it has left on record.
        pod: where it runs, for the admin API; empty outside a pod.
        health_port: 0 binds none, as in the real worker.
        prometheus_port: 0 binds none.
        address: where both ports are bound.
        capacity: track composites at once.
        temporary_directory: scratch space of the handlers.
        timing: delays; None takes those of the server.
    """

    api_key: str
    api_secret: str
    ws_url: str
    worker_id: str
    pod: str
    health_port: int
    prometheus_port: int
    address: str
    capacity: int
    temporary_directory: Path
    timing: Timing | None


def worker_config(environment: Mapping[str, str]) -> WorkerConfig:
    """Reads the configuration of a worker process.

    `EGRESS_CONFIG_BODY` is the real worker's YAML; `LIVEKIT_API_KEY`, `LIVEKIT_API_SECRET` and
    `LIVEKIT_WS_URL` fill what it leaves out. `LIVEKIT_DOUBLE_CAPACITY`, `LIVEKIT_DOUBLE_TMP` and
    `LIVEKIT_DOUBLE_TIMING` are the double's own.

    Args:
        environment: the process environment.

    Raises:
        ValueError: if key, secret or URL is missing.
    """
    body: dict[str, Any] = yaml.safe_load(environment.get("EGRESS_CONFIG_BODY", "")) or {}
    required = {
        name: str(body.get(name) or environment.get(f"LIVEKIT_{name.upper()}", ""))
        for name in ("api_key", "api_secret", "ws_url")
    }
    missing = sorted(name for name, value in required.items() if not value)
    if missing:
        raise ValueError(
            f"the worker's configuration lacks {', '.join(missing)}: set them in EGRESS_CONFIG_BODY, "
            f"or LIVEKIT_API_KEY, LIVEKIT_API_SECRET and LIVEKIT_WS_URL in the environment"
        )
    cost = body.get("cpu_cost") or {}
    places = _CPUS * float(cost.get("max_cpu_utilization") or _MAX_UTILISATION)
    places /= float(cost.get("track_composite_cpu_cost") or _TRACK_COMPOSITE_COST)
    return WorkerConfig(
        **required,
        worker_id=new_identifier("NE_"),
        pod=_pod_name(environment),
        health_port=int(body.get("health_port") or 0),
        prometheus_port=int(body.get("prometheus_port") or 0),
        address=environment.get("POD_IP") or "127.0.0.1",
        capacity=int(environment.get("LIVEKIT_DOUBLE_CAPACITY") or max(1, int(places))),
        temporary_directory=Path(environment.get("LIVEKIT_DOUBLE_TMP") or _TEMPORARY_DIRECTORY),
        timing=timing_from_environment(environment) if "LIVEKIT_DOUBLE_TIMING" in environment else None,
    )


def _pod_name(environment: Mapping[str, str]) -> str:
    # A pod's host name is its own name. Outside a pod, several workers share one host name.
    return environment.get("POD_NAME") or (environment.get("HOSTNAME", "") if "POD_IP" in environment else "")
