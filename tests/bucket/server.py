"""The real S3 server of these tests: versitygw over a directory, where an object is a file of its key."""

from __future__ import annotations

import http.client
import time
from dataclasses import dataclass
from pathlib import Path

from tests.testbed.children import Children
from tests.testbed.errors import TestbedError
from tests.testbed.ports import free_ports

ACCESS_KEY = "test-access-key"
SECRET_KEY = "test-secret-key-of-the-bucket"
REGION = "us-east-1"
BUCKET = "clips"

_UP_SECONDS = 30.0
_POLL_SECONDS = 0.05


class S3ServerError(TestbedError):
    """The server did not come up."""


@dataclass(frozen=True)
class S3Server:
    """A running S3 server with one empty bucket."""

    port: int
    directory: Path

    @property
    def endpoint(self) -> str:
        """Where it listens."""
        return f"http://127.0.0.1:{self.port}"

    def stored(self, key: str) -> bytes | None:
        """The bytes of an object, read past the server; None when there is none."""
        path = self.directory / BUCKET / key
        return path.read_bytes() if path.is_file() else None

    def plant(self, key: str, content: bytes) -> None:
        """Puts an object there that no capture has made."""
        path = self.directory / BUCKET / key
        path.parent.mkdir(parents=True)
        path.write_bytes(content)


def start_s3_server(binary: Path, children: Children, directory: Path) -> S3Server:
    """Starts the server; it ends with `children`.

    Args:
        binary: versitygw.
        children: start it, and end it.
        directory: holds the bucket; its file system must know extended attributes.

    Raises:
        S3ServerError: it ended, or did not answer in time.
    """
    [port] = free_ports(1)
    (directory / BUCKET).mkdir()
    environment = {"ROOT_ACCESS_KEY": ACCESS_KEY, "ROOT_SECRET_KEY": SECRET_KEY, "PATH": "/usr/bin:/bin"}
    command = [binary, "--quiet", "--port", f"127.0.0.1:{port}", "--health", "/health", "posix", directory]
    process = children.start("versitygw", command, env=environment)
    deadline = time.monotonic() + _UP_SECONDS
    while not _is_up(port):
        if process.poll() is not None or time.monotonic() > deadline:
            raise S3ServerError(f"versitygw does not answer:\n{children.log_tail('versitygw')}")
        time.sleep(_POLL_SECONDS)
    return S3Server(port, directory)


def _is_up(port: int) -> bool:
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=1)
    try:
        connection.request("GET", "/health")
        return connection.getresponse().status == http.HTTPStatus.OK
    except OSError:
        return False
    finally:
        connection.close()
