"""Runs `replay-operator capture` as the Job does: a process with its request in the environment."""

from __future__ import annotations

import os
import subprocess
import sys
import time
from collections.abc import Mapping
from pathlib import Path

from pydantic import ValidationError

from replay_operator.api.capture_job import CaptureRequest, CaptureResult

ENTRY = (
    "import os, sys; from replay_operator.media.worker import run_capture; "
    "sys.exit(run_capture(sys.argv[1:], os.environ))"
)
DEADLINE_SECONDS = 60


def command(*flags: str) -> list[str]:
    """The worker's command line."""
    return [sys.executable, "-c", ENTRY, *flags]


def run(*flags: str, environment: Mapping[str, str] | None = None) -> subprocess.CompletedProcess[str]:
    """Run the worker to its end."""
    return subprocess.run(
        command(*flags),
        env={**os.environ, **(environment or {})},
        capture_output=True,
        text=True,
        check=False,
        timeout=DEADLINE_SECONDS,
    )


def by_environment(request: CaptureRequest, log: Path) -> dict[str, str]:
    """What the Job sets: the request and the place of the termination message."""
    return {
        "REPLAY_CAPTURE_REQUEST": request.model_dump_json(by_alias=True),
        "TERMINATION_MESSAGE_PATH": str(log),
    }


def files(request: CaptureRequest) -> dict[str, bytes]:
    """All files of the archive, hidden ones included; results without their timings, which always differ."""
    found = (p for p in Path(request.archive_directory).rglob("*") if p.is_file())
    return {p.name: _comparable(p) for p in sorted(found)}


def _comparable(path: Path) -> bytes:
    try:
        result = CaptureResult.model_validate_json(path.read_bytes())
    except ValidationError:
        return path.read_bytes()
    return result.model_copy(update={"timings": None}).model_dump_json().encode()


def wait_for(path: Path) -> None:
    """Wait until a file is there."""
    deadline = time.monotonic() + DEADLINE_SECONDS
    while not path.exists():
        assert time.monotonic() < deadline, f"{path.name} did not appear"
        time.sleep(0.02)
