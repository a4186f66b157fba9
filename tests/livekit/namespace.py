"""The inside of a network namespace: redis-server, livekit-server, and the ways in and out.

livekit-server binds its RTC port on every address whatever its configuration says, so it gets a namespace
in which "every address" is a loopback device of its own. Unix sockets are files and reach across.

    python -m tests.livekit.namespace DIRECTORY REDIS_SERVER LIVEKIT_SERVER [INTERFACE]

INTERFACE is waited for: somebody outside puts it here, see `link.py`. DIRECTORY holds `livekit.yaml` and
receives `api.sock`, which leads to LiveKit's API. A webhook that LiveKit sends goes to `webhook.sock`, if
somebody listens there.
"""

import asyncio
import fcntl
import socket
import struct
import sys
from collections.abc import Awaitable, Callable
from contextlib import suppress
from pathlib import Path

API_PORT = 7880
REDIS_PORT = 6379
WEBHOOK_PORT = 9000

API_SOCKET = "api.sock"
WEBHOOK_SOCKET = "webhook.sock"
CONFIG_FILE = "livekit.yaml"

_SIOCSIFFLAGS = 0x8914  # linux/sockios.h
_SIOCGIFADDR = 0x8915
_IFF_UP = 1  # linux/if.h
_CHUNK_BYTES = 65536
_RETRY_SECONDS = 0.02

_Streams = tuple[asyncio.StreamReader, asyncio.StreamWriter]


def _bring_loopback_up() -> None:
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as any_socket:
        fcntl.ioctl(any_socket, _SIOCSIFFLAGS, struct.pack("16sH14x", b"lo", _IFF_UP))


async def _copy(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    with suppress(ConnectionError):
        while data := await reader.read(_CHUNK_BYTES):
            writer.write(data)
            await writer.drain()
    with suppress(OSError):
        writer.write_eof()


def _joined_to(
    connect: Callable[[], Awaitable[_Streams]],
) -> Callable[[asyncio.StreamReader, asyncio.StreamWriter], Awaitable[None]]:
    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            other_reader, other_writer = await connect()
        except OSError:  # nobody listens there yet: the caller sees a closed connection and tries again
            writer.close()
            return
        await asyncio.gather(_copy(reader, other_writer), _copy(other_reader, writer))
        other_writer.close()
        writer.close()

    return serve


async def _until_it_listens(port: int) -> None:
    while True:
        with suppress(ConnectionError):
            _, writer = await asyncio.open_connection("127.0.0.1", port)
            writer.close()
            return
        await asyncio.sleep(_RETRY_SECONDS)


async def _until_it_has_an_address(interface: str) -> None:
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as any_socket:
        while True:
            with suppress(OSError):  # not there yet, or without an address
                fcntl.ioctl(any_socket, _SIOCGIFADDR, struct.pack("256s", interface.encode()))
                return
            await asyncio.sleep(_RETRY_SECONDS)


async def _run(directory: Path, redis_server: str, livekit_server: str, interface: str = "") -> None:
    if interface:
        await asyncio.wait_for(_until_it_has_an_address(interface), timeout=10)
    await asyncio.start_unix_server(
        _joined_to(lambda: asyncio.open_connection("127.0.0.1", API_PORT)), directory / API_SOCKET
    )
    await asyncio.start_server(
        _joined_to(lambda: asyncio.open_unix_connection(directory / WEBHOOK_SOCKET)),
        "127.0.0.1",
        WEBHOOK_PORT,
    )
    redis = await asyncio.create_subprocess_exec(
        redis_server, "--bind", "127.0.0.1", "--port", str(REDIS_PORT), "--save", "", cwd=directory
    )
    await asyncio.wait_for(_until_it_listens(REDIS_PORT), timeout=60)
    livekit = await asyncio.create_subprocess_exec(
        livekit_server, "--config", directory / CONFIG_FILE, cwd=directory
    )
    await asyncio.wait(
        [asyncio.create_task(redis.wait()), asyncio.create_task(livekit.wait())],
        return_when=asyncio.FIRST_COMPLETED,
    )
    sys.exit(
        f"a server ended by itself: redis-server {redis.returncode}, livekit-server {livekit.returncode}"
    )


if __name__ == "__main__":
    _bring_loopback_up()
    asyncio.run(_run(Path(sys.argv[1]), *sys.argv[2:]))
