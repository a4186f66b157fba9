"""Health and metrics of a worker, in the shape of the real ones."""

from __future__ import annotations

import os
from pathlib import Path
from typing import TYPE_CHECKING, Any

from aiohttp import web
from google.protobuf import json_format

if TYPE_CHECKING:
    from tests.livekit_double.worker.config import WorkerConfig
    from tests.livekit_double.worker.worker import Worker

_PAGE_BYTES = 4096


class StatusPages:
    """Two small servers. A port of 0 is not served, as in the real worker."""

    def __init__(self, config: WorkerConfig) -> None:
        self._config = config
        self._runners: list[web.AppRunner] = []

    async def start(self, worker: Worker) -> None:
        """Binds both ports."""

        async def health(_request: web.Request) -> web.Response:
            return web.json_response(health_answer(worker))

        async def metrics(_request: web.Request) -> web.Response:
            return web.Response(text=metrics_page(worker))

        for port, handler in ((self._config.health_port, health), (self._config.prometheus_port, metrics)):
            if port:
                application = web.Application()
                # The real health port answers 200 on any path, also while draining.
                application.router.add_get("/{path:.*}", handler)
                runner = web.AppRunner(application, access_log=None, shutdown_timeout=0.1)
                await runner.setup()
                await web.TCPSite(runner, self._config.address, port).start()
                self._runners.append(runner)

    async def stop(self) -> None:
        """Closes both ports."""
        for runner in self._runners:
            await runner.cleanup()
        self._runners.clear()


def health_answer(worker: Worker) -> dict[str, Any]:
    """The health page: "CpuLoad", which in truth is the CPUs left, and the request of every egress."""
    answer: dict[str, Any] = {"CpuLoad": _cpus_left(worker)}
    for egress_id, run in worker.runs.items():
        request = json_format.MessageToDict(run.info.track_composite, preserving_proto_field_name=True)
        answer[egress_id] = {"TrackComposite": request}
    return answer


def metrics_page(worker: Worker) -> str:
    """The Prometheus page: the worker's own gauges under the names that were recorded."""
    node = f'cluster_id="",node_id="{worker.config.worker_id}"'
    busy = len(worker.runs)
    gauges: list[tuple[str, str, float]] = [
        ("livekit_egress_available", node, 0 if busy else 1),
        # Computed for a web request: 0 although track composites are accepted (recorded).
        ("livekit_egress_can_accept_request", node, 0),
        ("livekit_egress_cgroup_memory_bytes", node, _resident_bytes()),
        ("livekit_egress_cgroup_read_success", node, 1),
        ("livekit_egress_is_disabled", node, 0),
        ("livekit_egress_is_terminating", node, int(worker.draining)),
        ("livekit_egress_proc_rss_bytes", node, _resident_bytes()),
        ("livekit_egress_pulse_sinks", node, 0),
        ("livekit_egress_would_reject_cgroup", node, 0),
        ("livekit_load_ratio", f'{node},type="cpu"', _load_ratio()),
        ("livekit_node_cpu_load", f'{node},node_type="EGRESS"', _load_ratio()),
    ]
    if busy:
        gauges.append(("livekit_egress_requests", f'{node},type="track_composite"', busy))
    for egress_id in worker.runs:
        labels = f'cluster_id="",egress_id="{egress_id}",node_id="{worker.config.worker_id}"'
        gauges.append(("livekit_egress_playlist_uploads_channel_size", labels, 0))
        gauges.append(("livekit_egress_segments_uploads_channel_size", labels, 0))
    lines: list[str] = []
    described: set[str] = set()
    for name, labels, value in sorted(gauges):
        if name not in described:
            lines += [f"# HELP {name} ", f"# TYPE {name} gauge"]
            described.add(name)
        lines.append(f"{name}{{{labels}}} {value:g}")
    return "\n".join(lines) + "\n"


def _load_ratio() -> float:
    return os.getloadavg()[0] / (os.cpu_count() or 1)


def _cpus_left(worker: Worker) -> float:
    # Not the load of this machine: what else runs here says nothing about the worker that is played.
    return 0.0 if any(run.starved for run in worker.runs.values()) else float(os.cpu_count() or 1)


def _resident_bytes() -> int:
    return int(Path("/proc/self/statm").read_text(encoding="ascii").split()[1]) * _PAGE_BYTES
