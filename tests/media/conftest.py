from __future__ import annotations

import shutil
from collections.abc import Callable
from datetime import datetime
from pathlib import Path

import pytest

from replay_operator.api.capture_job import CaptureRequest
from tests.media.segment_maker import RunShape, at, make_run
from tests.media.wall_clock import SHAPES


@pytest.fixture(scope="session")
def healthy_run(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """12 s in segments of 2 s, 30 frames a second. Read only: take a copy to damage it."""
    return make_run(tmp_path_factory.mktemp("buffer") / "run-1", RunShape())


@pytest.fixture
def run_copy(healthy_run: Path, tmp_path: Path) -> Path:
    """A run that a test may damage, alone in its buffer."""
    return Path(shutil.copytree(healthy_run, tmp_path / "buffer" / "run-1"))


RequestMaker = Callable[..., CaptureRequest]


@pytest.fixture
def ask(tmp_path: Path) -> RequestMaker:
    """Makes a request for a range in seconds of the run."""
    archive = tmp_path / "archive"
    archive.mkdir()

    def make(buffer: Path, start: float | datetime, end: float | datetime, **more: object) -> CaptureRequest:
        fields = {
            "capture_uid": "uid-1",
            "buffer_directory": str(buffer),
            "start": start if isinstance(start, datetime) else at(start),
            "end": end if isinstance(end, datetime) else at(end),
            "archive_directory": str(archive),
            "clip_path": "team/alice/2026-11-22/clip-1a2b3c4d.mp4",
        }
        return CaptureRequest.model_validate({**fields, **more})

    return make


Buffer = Callable[..., Path]


@pytest.fixture(scope="session")
def made_runs(tmp_path_factory: pytest.TempPathFactory) -> Callable[[str], Path]:
    """Makes each run once."""
    directory = tmp_path_factory.mktemp("runs")

    def make(name: str) -> Path:
        run = directory / name.replace(" ", "-")
        return run if run.exists() else make_run(run, SHAPES[name])

    return make


@pytest.fixture
def buffer(tmp_path: Path, made_runs: Callable[[str], Path]) -> Buffer:
    """Puts runs into one buffer. The names of their directories tell nothing about their order."""

    def put(*names: str) -> Path:
        for number, name in enumerate(names):
            shutil.copytree(made_runs(name), tmp_path / "buffer" / f"run-{9 - number}")
        return tmp_path / "buffer"

    return put


_KILLS = 12
_KILL_SEED = 1


def pytest_addoption(parser: pytest.Parser) -> None:
    group = parser.getgroup("media")
    group.addoption("--kills", type=int, default=_KILLS, help=f"killed capture workers, default {_KILLS}")
    group.addoption("--kill-seed", type=int, default=_KILL_SEED, help=f"default {_KILL_SEED}")


@pytest.fixture
def kills(request: pytest.FixtureRequest) -> tuple[int, int]:
    """Seed and number of the kills. Pytest knows options only of directories on its command line."""
    options = request.config
    return int(options.getoption("kill_seed", _KILL_SEED)), int(options.getoption("kills", _KILLS))
