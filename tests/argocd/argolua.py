"""Argo CD's Lua and kstatus, the real ones, as a process that answers line by line (`lua/main.go`)."""

import json
import os
import subprocess
from collections.abc import Mapping
from pathlib import Path
from types import TracebackType
from typing import Any, Self

from tests.testbed.build_cache import Report, built_once, cache_directory, key_of_files, print_report
from tests.testbed.go_toolchain import run_go

_GO_MODULE = Path(__file__).parent / "lua"

Json = dict[str, Any]


class LuaError(Exception):
    """A script failed, or took longer than the second that Argo CD gives it."""


def argolua_binary(*, environment: Mapping[str, str] = os.environ, report: Report = print_report) -> Path:
    """Finds the program in the cache, else builds it (half a minute).

    Args:
        environment: the variables of `cache_directory`.
        report: receives lines of progress.

    Raises:
        GoError: it must be built and cannot be.
    """
    key = key_of_files([_GO_MODULE / name for name in ("go.mod", "go.sum", "main.go")])

    def build(target: Path) -> None:
        run_go(
            "argolua",
            ["build", "-v", "-mod=readonly", "-buildvcs=false", "-trimpath", "-o", str(target), "."],
            cwd=_GO_MODULE,
            environment={**environment, "CGO_ENABLED": "0"},
            report=report,
        )

    return built_once(cache_directory(environment), "argolua", key, build, report=report) / "lua"


class ArgoLua:
    """Asks the program.

    Args:
        binary: of `argolua_binary`.
    """

    def __init__(self, binary: Path) -> None:
        self._process = subprocess.Popen([binary], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._process.communicate()

    def run(self, script: Path, body: Json) -> Any:
        """Gives what a script returns for an object.

        Raises:
            LuaError: the script failed.
        """
        return self._ask({"script": script.read_text(), "object": body})

    def kstatus(self, body: Json) -> str:
        """Gives what kstatus computes for an object."""
        return str(self._ask({"object": body}))

    def _ask(self, question: Json) -> Any:
        pipe, answers = self._process.stdin, self._process.stdout
        if pipe is None or answers is None:
            raise AssertionError("started with pipes")
        pipe.write(json.dumps(question) + "\n")
        pipe.flush()
        answer = json.loads(answers.readline())
        if "error" in answer:
            raise LuaError(answer["error"])
        return answer["value"]
