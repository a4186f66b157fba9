"""Sends what is in memory, and says when it is sent."""

from __future__ import annotations

from contextlib import suppress
from http import HTTPMethod

from aiohttp import web

PIECE_BYTES = 1 << 18
"""More is not put into the buffer of a connection at once: a slow one may keep a copy of it for long."""


async def send_lent(request: web.Request, data: bytes, content_type: str) -> web.StreamResponse:
    """Send it before the handler ends: until then it takes memory, and may not be counted as gone.

    Args:
        request: What is answered.
        data: The whole body.
        content_type: Of it.
    """
    answer = web.StreamResponse(headers={"Content-Type": content_type})
    answer.content_length = len(data)
    # A viewer who goes away is nobody's fault: aiohttp ends the connection.
    with suppress(ConnectionError):
        await answer.prepare(request)
        if request.method != HTTPMethod.HEAD:
            for at in range(0, len(data), PIECE_BYTES):
                await answer.write(memoryview(data)[at : at + PIECE_BYTES])
    return answer
