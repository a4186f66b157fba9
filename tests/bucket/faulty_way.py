"""A way to the server that cuts connections, or stands still: a TCP proxy on the loopback address."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass, field

_CHUNK_BYTES = 64 * 1024


@dataclass
class FaultyWay:
    """Set what goes wrong, before or while requests pass.

    Attributes:
        cuts_left: So many connections will be cut yet.
        cut_after_bytes: Each when it has carried so much to the server.
        hold_after_parts: Nothing more goes to the server when it has taken so many parts.
        held: Set when that is so.
        parts_taken: How many parts the server has answered for.
    """

    target_port: int
    cuts_left: int = 0
    cut_after_bytes: int = 1024 * 1024
    hold_after_parts: int | None = None
    held: asyncio.Event = field(default_factory=asyncio.Event)
    parts_taken: int = 0
    port: int = 0

    @property
    def endpoint(self) -> str:
        """Where it listens."""
        return f"http://127.0.0.1:{self.port}"

    async def serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        """Carry one connection."""
        to_server = _Connection(self)
        try:
            far_reader, far_writer = await asyncio.open_connection("127.0.0.1", self.target_port)
            ways = [
                asyncio.create_task(to_server.up(reader, far_writer)),
                asyncio.create_task(to_server.down(far_reader, writer)),
            ]
            try:
                await asyncio.wait(ways, return_when=asyncio.FIRST_COMPLETED)
            finally:
                for way in ways:
                    way.cancel()
                far_writer.transport.abort()
        finally:
            writer.transport.abort()


@dataclass
class _Connection:
    way: FaultyWay
    carried_bytes: int = 0
    sends_part: bool = False

    async def up(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        with suppress(ConnectionError):
            while chunk := await reader.read(_CHUNK_BYTES):
                if (
                    self.way.hold_after_parts is not None
                    and self.way.parts_taken >= self.way.hold_after_parts
                ):
                    self.way.held.set()
                    await asyncio.Event().wait()
                if chunk.split(b" ", 1)[0] in (b"GET", b"HEAD", b"POST", b"PUT", b"DELETE"):
                    self.sends_part = chunk.startswith(b"PUT ")
                self.carried_bytes += len(chunk)
                if self.way.cuts_left and self.carried_bytes > self.way.cut_after_bytes:
                    self.way.cuts_left -= 1
                    return
                writer.write(chunk)
                await writer.drain()

    async def down(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        with suppress(ConnectionError):
            while chunk := await reader.read(_CHUNK_BYTES):
                if self.sends_part and chunk.startswith(b"HTTP/1.1 200"):
                    self.way.parts_taken += 1
                writer.write(chunk)
                await writer.drain()


@asynccontextmanager
async def faulty_way(target_port: int) -> AsyncIterator[FaultyWay]:
    """Open a way to a server on this machine; without faults until some are set."""
    way = FaultyWay(target_port)
    server = await asyncio.start_server(way.serve, "127.0.0.1", 0)
    way.port = server.sockets[0].getsockname()[1]
    try:
        yield way
    finally:
        server.close()
