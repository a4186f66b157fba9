"""What the kubelet and Prometheus ask: /healthz, /readyz, /metrics."""

from __future__ import annotations

from collections.abc import Callable

from aiohttp import web

from replay_operator.metrics import OperatorMetrics


async def serve_health(
    *,
    bind_address: str,
    port: int,
    metrics: OperatorMetrics,
    is_alive: Callable[[], bool],
    is_ready: Callable[[], bool],
) -> web.AppRunner:
    """Start the server; the caller ends it with `cleanup()`.

    Args:
        bind_address: Address to listen on, the pod's own.
        port: TCP port.
        metrics: What /metrics shows.
        is_alive: Whether the reconcile loop turns.
        is_ready: Whether the first lists are in.
    """

    def answer(*, good: bool, bad: str) -> web.Response:
        return web.Response(text="ok") if good else web.Response(status=503, text=bad)

    async def healthz(_: web.Request) -> web.Response:
        return answer(good=is_alive(), bad="the reconcile loop stands still")

    async def readyz(_: web.Request) -> web.Response:
        return answer(good=is_ready(), bad="the first lists are not in yet")

    async def show_metrics(_: web.Request) -> web.Response:
        return web.Response(body=metrics.render(), content_type="text/plain", charset="utf-8")

    app = web.Application()
    app.router.add_get("/healthz", healthz)
    app.router.add_get("/readyz", readyz)
    app.router.add_get("/metrics", show_metrics)
    runner = web.AppRunner(app, access_log=None)
    await runner.setup()
    await web.TCPSite(runner, bind_address, port).start()
    return runner
