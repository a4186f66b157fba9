"""Answers the agent protocol without a volume."""

from __future__ import annotations

import json

from aiohttp import web

from benchmarks.scale.recordings import CoverageRecordings

_POLICY_LIMIT_BYTES = 16 * 1024 * 1024


async def serve_coverage(recordings: CoverageRecordings, *, port: int) -> web.AppRunner:
    """Start the server; the caller ends it with `cleanup()`.

    Args:
        recordings: What is told.
        port: TCP port on the loopback address.
    """
    in_force = {"epoch": 0, "seq": 0}

    async def put_policy(request: web.Request) -> web.Response:
        policy = json.loads(await request.read())
        in_force.update(epoch=policy["epoch"], seq=policy["seq"])
        return web.json_response(in_force)

    async def put_run(request: web.Request) -> web.Response:
        return web.Response(body=await request.read(), content_type="application/json")

    async def get_coverage(request: web.Request) -> web.Response:
        said = recordings.coverage_json(**in_force, since=request.query.get("since"))
        return web.Response(text=said, content_type="application/json")

    app = web.Application(client_max_size=_POLICY_LIMIT_BYTES)
    app.router.add_put("/v1/policy", put_policy)
    app.router.add_put("/v1/runs/{namespace}/{uid}/{run}", put_run)
    app.router.add_get("/v1/coverage", get_coverage)
    runner = web.AppRunner(app, access_log=None)
    await runner.setup()
    await web.TCPSite(runner, "127.0.0.1", port).start()
    return runner
