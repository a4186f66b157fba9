"""A real Redis for the tests: on the loopback address, in a folder that goes with it."""

from __future__ import annotations

import shutil
import socket
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import redis

from tests.testbed.children import Children

_UP_SECONDS = 60.0
_NAME = "redis"


class RedisServer:
    """A server that can be killed and started again with the file that it saved last.

    Args:
        program: redis-server.
        folder: For its file and its log.
        children: Who ends it.
    """

    def __init__(self, program: Path, folder: Path, children: Children) -> None:
        with socket.socket() as probe:
            probe.bind(("127.0.0.1", 0))
            self._port = int(probe.getsockname()[1])
        self._children = children
        place = ["--bind", "127.0.0.1", "--port", str(self._port), "--dir", str(folder), "--save", ""]
        children.start(_NAME, [program, *place], cwd=folder)
        self._until_up()

    @property
    def url(self) -> str:
        return f"redis://127.0.0.1:{self._port}/0"

    def client(self) -> redis.Redis:
        return redis.Redis(port=self._port)

    def kill(self) -> None:
        self._children.kill(_NAME)

    def start_again(self) -> None:
        self._children.start_again(_NAME)
        self._until_up()

    def _until_up(self) -> None:
        deadline = time.monotonic() + _UP_SECONDS
        while True:
            try:
                with self.client() as client:
                    client.ping()
            except (redis.ConnectionError, redis.TimeoutError):
                if time.monotonic() > deadline or self._children.ended():
                    raise
                time.sleep(0.02)
            else:
                return


def program() -> Path | None:
    """Find redis-server."""
    found = shutil.which("redis-server")
    return Path(found) if found else None


@contextmanager
def running(found: Path, folder: Path) -> Iterator[RedisServer]:
    """Run a server for as long as the block.

    Args:
        found: redis-server.
        folder: For its file and its log.
    """
    with Children(folder / "logs") as children:
        yield RedisServer(found, folder, children)
