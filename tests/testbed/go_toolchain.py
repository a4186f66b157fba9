"""Runs the Go toolchain and says what it is doing, because a first build takes minutes."""

import shutil
import subprocess
import tempfile
import time
from collections.abc import Mapping, Sequence
from pathlib import Path

from tests.testbed.build_cache import REPORT_EVERY_SECONDS, Report
from tests.testbed.children import Children
from tests.testbed.errors import TestbedError


class GoError(TestbedError):
    """Go is missing, or could not build a program."""


def run_go(
    what: str, arguments: Sequence[str], *, cwd: Path, environment: Mapping[str, str], report: Report
) -> None:
    """Runs `go` to its end. It dies with this process.

    Args:
        what: the program that it makes, for messages.
        arguments: the command, without `go`; give it `-v`, so that it names what it compiles.
        cwd: the directory to run it in.
        environment: the whole environment.
        report: receives a line about every ten seconds.

    Raises:
        GoError: there is no Go, or it failed; with its last words.
    """
    go = shutil.which("go", path=environment.get("PATH"))
    if go is None:
        raise GoError(
            f"{what} must be built with Go, and there is no `go` on the PATH. Install Go 1.25 or newer. "
            "(For the control plane alone, KUBEBUILDER_ASSETS may name a directory with all of its programs.)"
        )
    report(f"{what}: building it with Go, once; this takes 3 to 10 minutes on an empty cache")
    started_at = time.monotonic()
    with (
        tempfile.TemporaryDirectory(prefix="replay-testbed-go-") as directory,
        Children(Path(directory)) as children,
    ):
        process = children.start("go", [go, *arguments], cwd=cwd, env=environment)
        while True:
            try:
                exit_code = process.wait(timeout=REPORT_EVERY_SECONDS)
                break
            except subprocess.TimeoutExpired:
                progress = _progress(children.log("go").read_text(errors="replace"))
                report(f"{what}: {progress}, {time.monotonic() - started_at:.0f} s so far")
        if exit_code != 0:
            raise GoError(
                f"{what}: `go {arguments[0]}` failed with exit code {exit_code}. Its last words:\n"
                f"{children.log_tail('go', lines=20)}"
            )
    report(f"{what}: built in {time.monotonic() - started_at:.0f} s")


def _progress(log: str) -> str:
    """What Go is doing, from the log so far: `-v` makes it write a line for each package that it compiles."""
    lines = log.splitlines()
    if not lines:
        return "nothing to compile yet"
    if lines[-1].startswith("go: downloading"):
        return f"downloading {lines[-1].removeprefix('go: downloading ')}"
    compiled = sum(1 for line in lines if not line.startswith("go: "))
    return f"{compiled} packages compiled, the last one {lines[-1]}"
