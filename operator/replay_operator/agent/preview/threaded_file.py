"""Sends an open file of a network volume, whole or one range of it, and never reads in the event loop."""

from __future__ import annotations

import logging
import os
from collections.abc import Mapping
from contextlib import suppress
from http import HTTPStatus

from aiohttp import web

from replay_operator.agent.file_work import FileWork

CHUNK_BYTES = 1 << 20

_logger = logging.getLogger(__name__)


async def send_in_threads(
    request: web.Request, descriptor: int, headers: Mapping[str, str], files: FileWork
) -> web.StreamResponse:
    """Send it: sendfile would hold up everything while the volume does not answer.

    Conditions are not looked at: a request with one gets the whole file, which is always right.

    Args:
        request: What is answered.
        descriptor: Of a regular file; it is closed in the end.
        headers: Of the answer.
        files: The way to file operations.

    Raises:
        OSError: The file cannot be looked at; nothing was sent.
    """
    try:
        size = (await files.run(os.fstat, descriptor)).st_size
        chosen = _chosen(request, size)
        if chosen is None:
            return web.Response(
                status=HTTPStatus.REQUESTED_RANGE_NOT_SATISFIABLE,
                headers={"Content-Range": f"bytes */{size}"},
            )
        part = HTTPStatus.PARTIAL_CONTENT if _asks_for_part(request) else HTTPStatus.OK
        answer = web.StreamResponse(status=part, headers={**headers, "Accept-Ranges": "bytes"})
        answer.content_length = len(chosen)
        if part is HTTPStatus.PARTIAL_CONTENT:
            answer.headers["Content-Range"] = f"bytes {chosen.start}-{chosen.stop - 1}/{size}"
        # A viewer who goes away is nobody's fault: aiohttp ends the connection.
        with suppress(ConnectionError):
            await answer.prepare(request)
            if request.method != "HEAD" and not await _send(answer, descriptor, chosen, files):
                _hang_up(request)
        return answer
    finally:
        os.close(descriptor)


async def _send(answer: web.StreamResponse, descriptor: int, chosen: range, files: FileWork) -> bool:
    """Send the bytes, and say whether there were as many as was promised."""
    at = chosen.start
    while at < chosen.stop:
        try:
            data = await files.run(os.pread, descriptor, min(CHUNK_BYTES, chosen.stop - at), at)
        except OSError as error:
            _logger.warning("a file stopped being readable while it was sent: %s", error.strerror)
            return False
        if not data:
            return False
        await answer.write(data)
        at += len(data)
    return True


def _hang_up(request: web.Request) -> None:
    """End the connection: it is too late for an error, and the reader would wait for the rest for ever."""
    if request.transport is not None:
        request.transport.close()


def _asks_for_part(request: web.Request) -> bool:
    return "Range" in request.headers and "If-Range" not in request.headers


def _chosen(request: web.Request, size: int) -> range | None:
    """Give the bytes that are asked for; None when the file does not have them."""
    if not _asks_for_part(request):
        return range(size)
    try:
        asked = request.http_range
    except ValueError:
        return None
    # A slice knows how to count from the end and where a file stops.
    chosen = range(size)[asked]
    return chosen if len(chosen) > 0 else None
