"""The plugin as people run it: the real kubectl finds it on the PATH."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

_SCRIPTS = Path(sys.executable).absolute().parent
_SECONDS = 120


@dataclass(frozen=True, slots=True)
class Answer:
    """What a command said, and its exit code."""

    out: str
    err: str
    code: int

    @property
    def json(self) -> dict[str, Any]:
        """Standard output, with `-o json`."""
        found: dict[str, Any] = json.loads(self.out)
        return found

    @property
    def cells(self) -> list[dict[str, str]]:
        """The rows of a table by the names of its columns."""
        header, *lines = self.out.splitlines()
        names = header.split()
        starts = [header.index(name) for name in names]
        ends = [*starts[1:], None]
        return [
            {name: line[a:b].strip() for name, a, b in zip(names, starts, ends, strict=True)}
            for line in lines
        ]


@dataclass(frozen=True, slots=True)
class Plugin:
    """`kubectl replay` with one kubeconfig, in one namespace."""

    kubectl: Path
    kubeconfig: Path
    namespace: str

    def __call__(self, *arguments: str, directory: Path | None = None) -> Answer:
        """Run `kubectl replay ARGUMENTS -n NAMESPACE`.

        Args:
            arguments: Of the plugin.
            directory: Where; None: anywhere.
        """
        return self._run("replay", *arguments, "-n", self.namespace, directory=directory)

    def completions(self, *words: str) -> list[str]:
        """Give what kubectl offers for the last word, as the shell asks for it."""
        return self._run("__complete", "replay", "-n", self.namespace, *words).out.splitlines()

    @contextmanager
    def started(self, *arguments: str, directory: Path) -> Iterator[subprocess.Popen[bytes]]:
        """Start a command of the plugin; what is left of it at the end of the block is killed.

        SIGINT ends it, as in a terminal: a shell that runs the tests in the background has it ignored.
        """
        terminal = ["env", "--default-signal=INT"]
        command = [*terminal, str(self.kubectl), "replay", *arguments, "-n", self.namespace]
        with subprocess.Popen(
            command,
            cwd=directory,
            env=self._environment,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
        ) as process:
            try:
                yield process
            finally:
                process.kill()

    @property
    def _environment(self) -> dict[str, str]:
        return {
            "PATH": f"{_SCRIPTS}:{os.environ['PATH']}",
            "HOME": os.environ.get("HOME", "/"),
            "KUBECONFIG": str(self.kubeconfig),
            "TZ": "UTC",
            "PYTHONUTF8": "1",
        }

    def _run(self, *arguments: str, directory: Path | None = None) -> Answer:
        done = subprocess.run(
            [str(self.kubectl), *arguments],
            cwd=directory,
            env=self._environment,
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            timeout=_SECONDS,
            check=False,
        )
        return Answer(done.stdout, done.stderr, done.returncode)
