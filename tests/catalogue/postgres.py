"""A real Postgres for the tests: on the loopback address, in a folder that goes with it."""

from __future__ import annotations

import itertools
import os
import shutil
import socket
import subprocess
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

USER = "catalogue"


class Postgres:
    """A server that can be stopped, and started again where it was.

    Args:
        programs: Folder of Postgres's programs.
        folder: Where its files are.
        account: Who it runs as; None: as this process.
    """

    def __init__(self, programs: Path, folder: Path, account: str | None) -> None:
        self._programs = programs
        self._folder = folder
        self._account = account
        self._port = _free_port()
        self._numbers = itertools.count()

    def start(self) -> None:
        """Start it, and wait until it answers."""
        # A kill of the server keeps what the system has: only a power cut would need fsync.
        options = f"-h 127.0.0.1 -p {self._port} -k {self._folder} -F"
        self._control("-l", f"{self._folder}/log", "-o", options, "start")

    def stop(self) -> None:
        """Stop it as a crash would: connections break, and what was not committed is lost."""
        self._control("-m", "immediate", "stop")

    def make(self) -> None:
        """Make its files."""
        arguments = ["initdb", "-D", f"{self._folder}/data", "--no-sync", "-A", "trust", "-U", USER]
        _run(self._programs, arguments, self._account)

    def _control(self, *arguments: str) -> None:
        _run(self._programs, ["pg_ctl", "-D", f"{self._folder}/data", "-w", *arguments], self._account)

    def new_database(self) -> str:
        """Make an empty database and give its URL."""
        name = f"catalogue_{next(self._numbers)}"
        place = ["-h", "127.0.0.1", "-p", str(self._port), "-U", USER]
        subprocess.run([self._programs / "createdb", *place, name], check=True)
        return f"postgresql://{USER}@127.0.0.1:{self._port}/{name}"


def programs() -> Path | None:
    """Find the folder of Postgres's programs; Debian keeps them off the PATH."""
    on_path = shutil.which("initdb")
    if on_path is not None:
        return Path(on_path).resolve().parent
    versions = Path("/usr/lib/postgresql")
    found = sorted(versions.glob("*/bin/initdb"), key=lambda path: int(path.parts[-3]))
    return found[-1].parent if found else None


@contextmanager
def running(found: Path) -> Iterator[Postgres]:
    """Run a server for as long as the block.

    Args:
        found: Folder of the programs.
    """
    # Postgres refuses to run as root; Debian's package brings a user for it.
    account = "postgres" if os.geteuid() == 0 else None
    with tempfile.TemporaryDirectory(prefix="replay-postgres-") as folder:
        if account is not None:
            shutil.chown(folder, account)
        server = Postgres(found, Path(folder), account)
        server.make()
        server.start()
        try:
            yield server
        finally:
            server.stop()


def _run(found: Path, arguments: list[str], account: str | None) -> None:
    argv = [str(found / arguments[0]), *arguments[1:]]
    subprocess.run(argv, check=True, stdout=subprocess.DEVNULL, user=account, cwd="/")


def _free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])
