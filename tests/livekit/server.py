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
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from types import MappingProxyType

import aiohttp
import pytest

from replay_operator.livekit.adapter import LiveKitAdapter
from tests.livekit.link import Link, lay_link, new_link
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
    """A running livekit-server, reached through Unix sockets in `directory`.

    Attributes:
        directory: Where the sockets are.
        media_url: Where clients with media reach it; empty without a link into its namespace.
    """

    directory: Path
    media_url: str = ""

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
    with running_livekit_server() as server:
        yield server


@contextmanager
def running_livekit_server(
    link: Link | None = None, keys: Mapping[str, str] = MappingProxyType({API_KEY: API_SECRET})
) -> Iterator[LiveKitServer]:
    """Run livekit-server in a namespace of its own.

    Args:
        link: Made for it, so that media can get in and out; without one only its API can be reached.
        keys: Secrets by API key.
    """
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
        (directory / CONFIG_FILE).write_text(json.dumps(_configuration(link, keys)))  # JSON is YAML
        inside = [sys.executable, "-m", "tests.livekit.namespace", directory, redis_server, binary]
        with Children(directory / "logs") as children:
            started = children.start(
                "namespace",
                [*_unshare(), *inside, *([link.interface_there] if link else [])],
                cwd=_REPOSITORY,
            )
            if link:
                lay_link(link, started.pid)
            _wait_until_it_answers(directory / API_SOCKET, children)
            yield LiveKitServer(directory, f"http://{link.address_there}:{API_PORT}" if link else "")


def new_link_or_skip() -> Link:
    """Choose a link, or skip the test where none can be laid."""
    missing = [name for name in ("ip", "nsenter") if shutil.which(name) is None]
    if missing:
        pytest.skip(f"{' and '.join(missing)} not found: install Debian's iproute2 and util-linux")
    if os.geteuid() != 0:
        pytest.skip("a link into the namespace of livekit-server needs root")
    return new_link()


def _unshare() -> list[str]:
    # A PID namespace too: when its first process dies, the kernel ends all others in it.
    unprivileged = [] if os.geteuid() == 0 else ["--user", "--map-root-user"]
    return ["unshare", *unprivileged, "--net", "--pid", "--fork", "--kill-child", "--"]


def _configuration(link: Link | None, keys: Mapping[str, str]) -> dict[str, object]:
    address, interface = (link.address_there, link.interface_there) if link else ("127.0.0.1", "lo")
    return {
        "port": API_PORT,
        "bind_addresses": sorted({"127.0.0.1", address}),
        "rtc": {
            "udp_port": 7882,
            "tcp_port": 7881,
            "node_ip": address,
            "use_external_ip": False,
            "enable_loopback_candidate": link is None,
            "interfaces": {"includes": [interface]},
            "stun_servers": ["127.0.0.1:3478"],  # without it LiveKit hands out public ones
        },
        "redis": {"address": f"127.0.0.1:{REDIS_PORT}"},
        "keys": dict(keys),
        "webhook": {"api_key": next(iter(keys)), "urls": [f"http://127.0.0.1:{WEBHOOK_PORT}/"]},
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
