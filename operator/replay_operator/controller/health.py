"""What the kubelet and Prometheus ask: /healthz, /readyz, /metrics."""

from __future__ import annotations

from collections.abc import Callable

from aiohttp import web

from replay_operator.metrics import OperatorMetrics

SHUTDOWN_SECONDS = 0.2
"""How long a stop waits for a caller: the kubelet and Prometheus ask again."""


async def serve_health(
    *,
    bind_address: str,
    port: int,
    metrics: OperatorMetrics,
    why_dead: Callable[[], str | None],
    is_ready: Callable[[], bool],
) -> web.AppRunner:
    """Start the server; the caller ends it with `cleanup()`.

    Args:
        bind_address: Address to listen on, the pod's own.
        port: TCP port.
        metrics: What /metrics shows.
        why_dead: Says what a new process would mend, or nothing.
        is_ready: Whether this process waits its turn, or leads and has listed everything.
    """

    def answer(trouble: str | None) -> web.Response:
        return web.Response(text="ok") if trouble is None else web.Response(status=503, text=trouble)

    async def healthz(_: web.Request) -> web.Response:
        return answer(why_dead())

    async def readyz(_: web.Request) -> web.Response:
        return answer(None if is_ready() else "the first lists are not in yet")

    async def show_metrics(request: web.Request) -> web.Response:
        page = metrics.page(request.headers.get("Accept", ""))
        return web.Response(body=page.body, headers={"Content-Type": page.content_type})

    app = web.Application()
    app.router.add_get("/healthz", healthz)
    app.router.add_get("/readyz", readyz)
    app.router.add_get("/metrics", show_metrics)
    runner = web.AppRunner(app, access_log=None, shutdown_timeout=SHUTDOWN_SECONDS)
    await runner.setup()
    await web.TCPSite(runner, bind_address, port).start()
    return runner
