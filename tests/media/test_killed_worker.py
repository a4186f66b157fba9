"""SIGKILL at any moment: no bad clip under a final name, and the next attempt makes the clip and tidies up.

    pytest tests/media/test_killed_worker.py --kills=50 --kill-seed=7

Twice over: before each single step on the archive volume, and at random moments.
"""

from __future__ import annotations

import os
import random
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass
from itertools import count
from multiprocessing import get_context
from pathlib import Path

import pytest

from replay_operator.api.capture_job import CaptureRequest, CaptureResult
from replay_operator.media.capture import make_clip
from replay_operator.media.extras import add_extras
from tests.media.conftest import Buffer, RequestMaker
from tests.media.worker_process import DEADLINE_SECONDS, by_environment, command, files, run

ENDINGS = (".json", ".mp4", ".jpg")

STEPS = frozenset({"open", "os.link", "os.rename", "os.remove", "os.truncate", "subprocess.Popen"})


def make_and_die(request: CaptureRequest, step: int) -> None:
    """Make a clip in this process, which is killed before a step that has to do with the archive.

    Python tells an audit hook of every file that it opens, links, renames or removes, before it does.
    """
    steps = count(1)

    def hook(event: str, arguments: tuple[object, ...]) -> None:
        concerned = any(word in str(arguments) for word in (request.archive_directory, ".part", "clip-"))
        if event in STEPS and concerned and next(steps) == step:
            os.kill(os.getpid(), signal.SIGKILL)

    sys.addaudithook(hook)
    add_extras(*make_clip(request), thumbnail=True)


@dataclass(frozen=True)
class Whole:
    """What an attempt that nobody disturbs leaves, and how long it took."""

    files: dict[str, bytes]
    seconds: float


Undisturbed = Callable[[CaptureRequest], Whole]


@pytest.fixture
def undisturbed(tmp_path: Path) -> Undisturbed:
    """Makes the same clip in another archive."""

    def make(request: CaptureRequest) -> Whole:
        archive = tmp_path / "undisturbed"
        archive.mkdir()
        other = request.model_copy(update={"archive_directory": str(archive)})
        began = time.monotonic()
        assert run(environment=by_environment(other, tmp_path / "undisturbed.log")).returncode == 0
        found = files(other)
        assert sorted(Path(name).suffix for name in found) == sorted(ENDINGS)
        return Whole(found, time.monotonic() - began)

    return make


def assert_nothing_bad_is_published(request: CaptureRequest, whole: Whole) -> None:
    """Under a final name lies the whole clip or nothing; with the clip lies its result."""
    clip = Path(request.archive_directory, request.clip_path)
    if clip.exists():
        assert clip.read_bytes() == whole.files[clip.name]
        told = CaptureResult.model_validate_json(clip.with_suffix(".json").read_bytes())
        assert told.clip is not None
        assert told.clip.bytes == clip.stat().st_size
    picture = clip.with_suffix(".jpg")
    assert not picture.exists() or picture.read_bytes() == whole.files[picture.name]


def assert_the_next_attempt_ends_it(request: CaptureRequest, whole: Whole) -> None:
    add_extras(*make_clip(request), thumbnail=True)
    left = files(request)
    assert sorted(left) == sorted(whole.files), "something is left that nobody removes"
    assert left == whole.files


def test_a_worker_killed_before_any_step_on_the_archive_costs_nothing_but_the_attempt(
    healthy_run: Path, ask: RequestMaker, tmp_path: Path, undisturbed: Undisturbed
) -> None:
    request = ask(healthy_run, 3, 8)
    whole = undisturbed(request)
    for step in range(1, 100):
        archive = tmp_path / f"archive-{step}"
        archive.mkdir()
        own = request.model_copy(update={"archive_directory": str(archive)})
        # Forked, because loading Python takes longer than the clip.
        worker = get_context("fork").Process(target=make_and_die, args=(own, step))
        worker.start()
        worker.join(DEADLINE_SECONDS)
        if worker.exitcode == 0:
            break
        assert worker.exitcode == -signal.SIGKILL
        assert_nothing_bad_is_published(own, whole)
        assert_the_next_attempt_ends_it(own.model_copy(update={"attempt": 2}), whole)
    print(f"killed before each of {step - 1} steps")
    assert 8 < step < 99, "the hook does not see the steps any more"


def test_a_worker_killed_at_a_random_moment_costs_nothing_but_the_attempt(
    buffer: Buffer, ask: RequestMaker, tmp_path: Path, undisturbed: Undisturbed, kills: tuple[int, int]
) -> None:
    seed, many = kills
    moments = random.Random(seed)
    request = ask(buffer("first", "second"), 2.37, 18.5)
    whole = undisturbed(request)
    published = 0
    for number in range(many):
        archive = tmp_path / f"archive-{number}"
        archive.mkdir()
        own = request.model_copy(update={"archive_directory": str(archive)})
        # Before a quarter of its time a worker is still loading Python; at the end it makes extras.
        after_seconds = moments.uniform(0.25, 0.9) * whole.seconds
        alone = moments.random() < 0.3
        attempt = moments.choice([1, 2])
        print(f"seed {seed}: kill {number} after {after_seconds:.3f} s, {alone=}, next {attempt=}")
        kill_after(after_seconds, own, tmp_path / "log", alone=alone)
        assert_nothing_bad_is_published(own, whole)
        published += Path(own.archive_directory, own.clip_path).exists()
        again = own.model_copy(update={"attempt": attempt})
        assert_the_next_attempt_ends_it(again, whole)
    print(f"{many} kills; {published} came after the clip was published")


def kill_after(seconds: float, request: CaptureRequest, log: Path, *, alone: bool) -> None:
    """Kill a worker after a time, with its ffmpeg as a container dies, or alone."""
    worker = subprocess.Popen(
        command(),
        env={**os.environ, **by_environment(request, log)},
        start_new_session=True,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
    )
    try:
        with suppress(subprocess.TimeoutExpired):
            worker.wait(seconds)
        worker.kill() if alone else kill_group(worker.pid)
        worker.wait(DEADLINE_SECONDS)
        if alone:
            wait_for_the_end_of(worker.pid)
    finally:
        kill_group(worker.pid)
        worker.wait(DEADLINE_SECONDS)


def kill_group(group: int) -> None:
    with suppress(ProcessLookupError):
        os.killpg(group, signal.SIGKILL)


def wait_for_the_end_of(group: int) -> None:
    """Wait for an ffmpeg that outlives its worker. In a container none does."""
    deadline = time.monotonic() + DEADLINE_SECONDS
    with suppress(ProcessLookupError):
        while time.monotonic() < deadline:
            os.killpg(group, 0)
            time.sleep(0.02)
