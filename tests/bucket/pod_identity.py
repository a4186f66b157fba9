"""What hands a pod the credentials of its workload identity, as EKS does: over HTTP, for a token."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from datetime import UTC, datetime, timedelta

from aiohttp import web
from aiohttp.test_utils import TestServer

from tests.bucket.server import ACCESS_KEY, SECRET_KEY

_TOKEN = "token-of-this-pod"


@asynccontextmanager
async def pod_identity() -> AsyncIterator[dict[str, str]]:
    """Serve credentials on the loopback address; give the variables that lead a pod there."""

    async def answer(request: web.Request) -> web.Response:
        if request.headers.get("Authorization") != _TOKEN:
            return web.Response(status=401)
        expires = datetime.now(UTC) + timedelta(hours=1)
        return web.json_response(
            {
                "AccessKeyId": ACCESS_KEY,
                "SecretAccessKey": SECRET_KEY,
                "Token": "",
                "Expiration": expires.strftime("%Y-%m-%dT%H:%M:%SZ"),
            }
        )

    application = web.Application()
    application.router.add_get("/credentials", answer)
    async with TestServer(application, host="127.0.0.1") as server:
        yield {
            "AWS_CONTAINER_CREDENTIALS_FULL_URI": f"http://127.0.0.1:{server.port}/credentials",
            "AWS_CONTAINER_AUTHORIZATION_TOKEN": _TOKEN,
        }
