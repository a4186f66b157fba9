"""An HTTP server before the API server, which hangs or fails when a test tells it to."""

from __future__ import annotations

import asyncio
import json
import ssl
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from enum import Enum
from pathlib import Path

import aiohttp
from aiohttp import web
from kubernetes.aio.client import Configuration
from kubernetes.aio.config import load_kube_config

LOOPBACK = "127.0.0.1"


class Fault(Enum):
    """What happens to requests."""

    NONE = "passed on"
    HANG = "taken and never answered, nor passed on"
    FAIL = "answered with 500, not passed on"


@dataclass
class ApiFront:
    """Passes requests on as administrator, unless there is a fault. `faulty` counts those that met one."""

    api: aiohttp.ClientSession
    port: int = 0
    fault: Fault = Fault.NONE
    faulty: int = 0
    ended: asyncio.Event = field(default_factory=asyncio.Event)

    def write_kubeconfig(self, path: Path) -> Path:
        """Write a kubeconfig that leads here, and give its path."""
        config = {
            "apiVersion": "v1",
            "kind": "Config",
            "clusters": [{"name": "front", "cluster": {"server": f"http://{LOOPBACK}:{self.port}"}}],
            "users": [{"name": "front", "user": {}}],
            "contexts": [{"name": "front", "context": {"cluster": "front", "user": "front"}}],
            "current-context": "front",
        }
        path.write_text(json.dumps(config))
        return path

    async def answer(self, request: web.Request) -> web.Response:
        """Answer one request."""
        fault = self.fault
        if fault is not Fault.NONE:
            self.faulty += 1
        if fault is Fault.HANG:
            await self.ended.wait()
        if fault is not Fault.NONE:
            return web.json_response({"message": "etcd is away"}, status=500)
        headers = {name: request.headers[name] for name in ("Accept", "Content-Type")}
        body = await request.read()
        async with self.api.request(request.method, request.path_qs, data=body, headers=headers) as real:
            return web.Response(status=real.status, body=await real.read(), content_type="application/json")


@asynccontextmanager
async def serving(kubeconfig: Path) -> AsyncIterator[ApiFront]:
    """Serve on a free loopback port until the block ends.

    Args:
        kubeconfig: Leads to the real API server.
    """
    real = Configuration()
    await load_kube_config(  # type: ignore[no-untyped-call] # the client ships no types
        config_file=str(kubeconfig), client_configuration=real, persist_config=False
    )
    tls = ssl.create_default_context(cafile=real.ssl_ca_cert)
    assert real.cert_file
    tls.load_cert_chain(real.cert_file, real.key_file)
    async with aiohttp.ClientSession(real.host, connector=aiohttp.TCPConnector(ssl=tls)) as api:
        front = ApiFront(api)
        application = web.Application()
        application.router.add_route("*", "/{path:.*}", front.answer)
        runner = web.AppRunner(application)
        await runner.setup()
        try:
            await web.TCPSite(runner, LOOPBACK, 0).start()
            front.port = runner.addresses[0][1]
            yield front
        finally:
            front.ended.set()
            await runner.cleanup()
