"""Serves `kubectl logs`: the part of the kubelet's HTTPS API that the API server asks for them, and its port.

It listens on loopback only and does not authenticate: whoever can connect can read the files anyway.
"""

import asyncio
import os
import ssl
import subprocess
from collections.abc import AsyncIterator, Callable, Iterable
from dataclasses import dataclass
from pathlib import Path

from aiohttp import web

_CHUNK_BYTES = 64 * 1024
_FOLLOW_SECONDS = 0.25
_SUBJECT = "/CN=standin-0"


@dataclass(frozen=True)
class LogSource:
    """A log and whether its container still writes to it."""

    path: Path
    growing: Callable[[], bool]


# (namespace, pod, container, previous) -> the log; KeyError when there is none
FindLog = Callable[[str, str, str, bool], LogSource]


def make_certificate(directory: Path) -> ssl.SSLContext:
    """A certificate for this run only. The API server does not verify it unless it is told to."""
    key, certificate = directory / "logs.key", directory / "logs.crt"
    command = [
        "openssl",
        "req",
        "-x509",
        "-newkey",
        "ec",
        "-pkeyopt",
        "ec_paramgen_curve:prime256v1",
        "-nodes",
    ]
    files = ["-keyout", str(key), "-out", str(certificate)]
    names = ["-days", "30", "-subj", _SUBJECT, "-addext", "subjectAltName=IP:127.0.0.1"]
    subprocess.run([*command, *files, *names], check=True, capture_output=True)
    context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
    context.load_cert_chain(certificate, key)
    return context


def tail_offset(path: Path, lines: int | None) -> int:
    """Where the last lines of a file begin, in bytes."""
    if lines is None:
        return 0
    content = path.read_bytes()
    offset = len(content)
    # A final newline ends the last line; it does not begin another one.
    end = offset - 1 if content.endswith(b"\n") else offset
    for _ in range(lines):
        end = content.rfind(b"\n", 0, max(end, 0))
        offset = end + 1
        if end < 0:
            return 0
    return offset


class LogServer:
    """The HTTPS server.

    Attributes:
        port: where it listens on 127.0.0.1, once started.

    Args:
        find_log: gives a log.
        directory: for the certificate.
        others: further parts of the kubelet's API.
    """

    def __init__(self, find_log: FindLog, directory: Path, others: Iterable[web.RouteDef] = ()) -> None:
        self.port = 0
        self._others = tuple(others)
        self._find_log = find_log
        self._directory = directory
        self._runner: web.AppRunner | None = None

    async def start(self) -> None:
        """Listens on a free port."""
        application = web.Application()
        application.router.add_get("/containerLogs/{namespace}/{pod}/{container}", self._answer)
        application.add_routes(self._others)
        self._runner = web.AppRunner(application, access_log=None, shutdown_timeout=0.1)
        await self._runner.setup()
        site = web.TCPSite(self._runner, "127.0.0.1", 0, ssl_context=make_certificate(self._directory))
        await site.start()
        self.port = self._runner.addresses[0][1]

    async def stop(self) -> None:
        """Closes the port and all followers."""
        if self._runner:
            await self._runner.cleanup()

    async def _answer(self, request: web.Request) -> web.StreamResponse:
        where, query = request.match_info, request.query
        previous = query.get("previous") == "true"
        try:
            source = self._find_log(where["namespace"], where["pod"], where["container"], previous)
            offset = tail_offset(source.path, int(query["tailLines"]) if "tailLines" in query else None)
        except (KeyError, FileNotFoundError):
            return web.Response(status=404, text=f"container {where['container']} has no such log here\n")
        response = web.StreamResponse(headers={"Content-Type": "text/plain"})
        await response.prepare(request)
        async for chunk in _content(source, offset, follow=query.get("follow") == "true"):
            await response.write(chunk)
        await response.write_eof()
        return response


async def _content(source: LogSource, offset: int, *, follow: bool) -> AsyncIterator[bytes]:
    descriptor = os.open(source.path, os.O_RDONLY)
    try:
        while True:
            # Asked before reading, so that the last words of a container that ends now are not lost.
            growing = follow and source.growing()
            while chunk := os.pread(descriptor, _CHUNK_BYTES, offset):
                offset += len(chunk)
                yield chunk
            if not growing:
                return
            await asyncio.sleep(_FOLLOW_SECONDS)
    finally:
        os.close(descriptor)
