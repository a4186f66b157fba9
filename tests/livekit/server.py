"""The real livekit-server with its Redis, out of the way of everything else on the machine."""

from __future__ import annotations

import http.client
import json
import os
import shutil
import socket
import sys
import tempfile
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import aiohttp
import pytest

from replay_operator.livekit.adapter import LiveKitAdapter
from tests.livekit.namespace import (
    API_PORT,
    API_SOCKET,
    CONFIG_FILE,
    REDIS_PORT,
    WEBHOOK_PORT,
    WEBHOOK_SOCKET,
)
from tests.testbed.binaries import livekit_server_binary
from tests.testbed.children import Children
from tests.testbed.go_toolchain import GoError

API_KEY = "APItest"
API_SECRET = "a-secret-of-at-least-thirty-two-characters"
URL = "http://livekit.test"

_REPOSITORY = Path(__file__).parents[2]
_UP_SECONDS = 60.0
_POLL_SECONDS = 0.05


@dataclass(frozen=True)
class LiveKitServer:
    """A running livekit-server, reached through Unix sockets in `directory`."""

    directory: Path

    @property
    def webhook_socket(self) -> Path:
        """Where LiveKit's webhooks arrive, if a test listens there."""
        return self.directory / WEBHOOK_SOCKET

    def session(self) -> aiohttp.ClientSession:
        """Open a session whose every connection leads to this server, whatever host is asked."""
        return aiohttp.ClientSession(connector=aiohttp.UnixConnector(path=str(self.directory / API_SOCKET)))

    def adapter(self, *, api_secret: str = API_SECRET) -> LiveKitAdapter:
        """Make an adapter; the caller closes it."""
        return LiveKitAdapter(self.session(), url=URL, api_key=API_KEY, api_secret=api_secret)


@pytest.fixture(scope="session")
def livekit_server() -> Iterator[LiveKitServer]:
    redis_server = shutil.which("redis-server")
    if redis_server is None:
        pytest.skip(
            "redis-server is not installed, and livekit-server needs it: install Debian's redis-server"
        )
    try:
        binary = livekit_server_binary()
    except GoError as error:
        pytest.skip(f"livekit-server cannot be built: {error}")
    # Not pytest's own directory: the path of a Unix socket has 107 characters at most.
    with tempfile.TemporaryDirectory(prefix="livekit-") as temporary:
        directory = Path(temporary)
        (directory / CONFIG_FILE).write_text(json.dumps(_configuration()))  # JSON is YAML
        with Children(directory / "logs") as children:
            children.start(
                "namespace",
                [
                    *_unshare(),
                    sys.executable,
                    "-m",
                    "tests.livekit.namespace",
                    directory,
                    redis_server,
                    binary,
                ],
                cwd=_REPOSITORY,
            )
            _wait_until_it_answers(directory / API_SOCKET, children)
            yield LiveKitServer(directory)


def _unshare() -> list[str]:
    # A PID namespace too: when its first process dies, the kernel ends all others in it.
    unprivileged = [] if os.geteuid() == 0 else ["--user", "--map-root-user"]
    return ["unshare", *unprivileged, "--net", "--pid", "--fork", "--kill-child", "--"]


def _configuration() -> dict[str, object]:
    return {
        "port": API_PORT,
        "bind_addresses": ["127.0.0.1"],
        "rtc": {
            "udp_port": 7882,
            "tcp_port": 7881,
            "node_ip": "127.0.0.1",
            "use_external_ip": False,
            "enable_loopback_candidate": True,
            "interfaces": {"includes": ["lo"]},
            "stun_servers": ["127.0.0.1:3478"],  # without it LiveKit hands out public ones
        },
        "redis": {"address": f"127.0.0.1:{REDIS_PORT}"},
        "keys": {API_KEY: API_SECRET},
        "webhook": {"api_key": API_KEY, "urls": [f"http://127.0.0.1:{WEBHOOK_PORT}/"]},
    }


def _wait_until_it_answers(api_socket: Path, children: Children) -> None:
    deadline = time.monotonic() + _UP_SECONDS
    while not _answers(api_socket):
        if children.ended() or time.monotonic() > deadline:
            raise RuntimeError(f"livekit-server does not answer:\n{children.log_tail('namespace')}")
        time.sleep(_POLL_SECONDS)


def _answers(api_socket: Path) -> bool:
    connection = http.client.HTTPConnection("livekit.test", timeout=1)
    try:
        connection.sock = socket.socket(socket.AF_UNIX)
        connection.sock.connect(str(api_socket))
        connection.request("GET", "/")
        return connection.getresponse().status == http.HTTPStatus.OK
    except (OSError, http.client.HTTPException):
        return False
    finally:
        connection.close()
