"""Serves an application on a port of its own."""

from __future__ import annotations

from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from typing import Any

from aiohttp import web

Handler = Callable[[web.Request], Awaitable[web.StreamResponse]]
"""What a middleware is given to call."""


@asynccontextmanager
async def served(
    app: web.Application, address: str, port: int, *, close_seconds: float
) -> AsyncIterator[list[Any]]:
    """Serve during the block, and give the addresses that are listened on.

    Args:
        app: Answers.
        address: To listen on.
        port: TCP port.
        close_seconds: How long the end waits for answers that are on their way.

    Raises:
        OSError: The port cannot be had.
    """
    runner = web.AppRunner(app, access_log=None, shutdown_timeout=close_seconds)
    try:
        await runner.setup()
        await web.TCPSite(runner, address, port).start()
        yield runner.addresses
    finally:
        await runner.cleanup()
