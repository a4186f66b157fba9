"""A file of a network volume that stops being readable while it is sent."""

from __future__ import annotations

import errno
import os
from collections.abc import Callable
from pathlib import Path
from typing import Any

import aiohttp
import pytest
from aiohttp import web
from aiohttp.test_utils import TestClient, TestServer

from replay_operator.agent.file_work import FileWork
from replay_operator.agent.preview.threaded_file import CHUNK_BYTES, send_in_threads

SIZE = 2 * CHUNK_BYTES


class FailingVolume(FileWork):
    """Gives one piece, and then no more."""

    def __init__(self, error: OSError | None) -> None:
        super().__init__()
        self._error = error
        self._pieces = 0

    async def run(self, work: Callable[..., Any], *args: Any, **kwargs: Any) -> Any:
        if work is os.pread:
            self._pieces += 1
            if self._pieces > 1:
                if self._error is None:
                    return b""
                raise self._error
        return await super().run(work, *args, **kwargs)


@pytest.mark.parametrize("error", [OSError(errno.EIO, "input/output error"), None], ids=["error", "shorter"])
async def test_the_reader_is_hung_up_on_and_does_not_wait_for_the_rest(
    tmp_path: Path, error: OSError | None
) -> None:
    clip = tmp_path / "clip.mp4"
    clip.write_bytes(bytes(SIZE))

    async def handler(request: web.Request) -> web.StreamResponse:
        return await send_in_threads(request, os.open(clip, os.O_RDONLY), {}, FailingVolume(error))

    app = web.Application()
    app.router.add_get("/", handler)
    client: TestClient[Any, Any] = TestClient(TestServer(app, host="127.0.0.1"))
    async with client, client.get("/", timeout=aiohttp.ClientTimeout(total=20)) as answer:
        assert (answer.status, answer.headers["Content-Length"]) == (200, str(SIZE))
        with pytest.raises(aiohttp.ClientPayloadError):
            await answer.read()
