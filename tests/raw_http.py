"""Requests as bytes: what no client would send."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping

from aiohttp.test_utils import BaseTestServer


async def ask(
    server: BaseTestServer,
    target: bytes,
    *,
    method: bytes = b"GET",
    headers: Mapping[bytes, bytes] | None = None,
    body: bytes = b"",
) -> tuple[int, bytes]:
    """Ask a server of this test, see `ask_at`."""
    return await ask_at(server.host, server.port or 0, target, method=method, headers=headers, body=body)


async def ask_at(
    host: str,
    port: int,
    target: bytes,
    *,
    method: bytes = b"GET",
    headers: Mapping[bytes, bytes] | None = None,
    body: bytes = b"",
) -> tuple[int, bytes]:
    """Give status and body of the answer; 0 when the server hung up without one."""
    reader, writer = await asyncio.open_connection(host, port)
    try:
        fields = {
            b"Host": b"agent",
            b"Connection": b"close",
            b"Content-Length": str(len(body)).encode(),
            **(headers or {}),
        }
        lines = [method + b" " + target + b" HTTP/1.1", *(b": ".join(field) for field in fields.items())]
        writer.write(b"\r\n".join(lines) + b"\r\n\r\n" + body)
        await writer.drain()
        head, _, content = (await reader.read()).partition(b"\r\n\r\n")
    finally:
        writer.close()
    # What aiohttp itself cannot read it answers in HTTP/1.0.
    _, _, status = head[:12].partition(b" ")
    return (int(status) if status.isdigit() else 0), content
