"""Segments that go or lose a part while a clip is made: the clip is right, or there is none and a reason."""

from __future__ import annotations

import os
import random
import shutil
import subprocess
import time
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path

import pytest

from replay_operator.api.capture_job import CaptureErrorReason, CaptureRequest, CaptureResult
from replay_operator.media import capture
from replay_operator.media.capture import make_clip
from replay_operator.media.failure import CaptureFailedError
from tests.media.clip_reader import decode_errors
from tests.media.conftest import Buffer, RequestMaker
from tests.media.wall_clock import CUT_FRAMES, missing_numbers, seconds_of
from tests.media.worker_process import DEADLINE_SECONDS, by_environment, command, files

REASONS = {
    CaptureErrorReason.BUFFER_UNREADABLE,
    CaptureErrorReason.JOIN_FAILED,
    CaptureErrorReason.VERIFICATION_FAILED,
}


def delete(path: Path) -> None:
    path.unlink()


def cut_in_two(path: Path) -> None:
    os.truncate(path, path.stat().st_size // 2)


def cut_off_the_last_packet(path: Path) -> None:
    os.truncate(path, path.stat().st_size - 188)


def empty(path: Path) -> None:
    os.truncate(path, 0)


DAMAGES = [delete, cut_in_two, cut_off_the_last_packet, empty]


@pytest.mark.parametrize("runs", [("first",), ("first", "second")], ids=["one run", "two runs"])
@pytest.mark.parametrize("damage", DAMAGES)
def test_a_segment_that_is_damaged_after_the_scan_gives_no_clip_and_a_retry_gives_the_same_as_ever(
    buffer: Buffer,
    ask: RequestMaker,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    *,
    damage: Callable[[Path], None],
    runs: tuple[str, ...],
) -> None:
    request = ask(buffer(*runs), 2.37, 11.5)
    whole = clip_elsewhere(request, tmp_path)
    healthy = Path(shutil.copytree(request.buffer_directory, tmp_path / "healthy"))
    scan = capture.plan_clip

    def scan_and_damage(asked: CaptureRequest, *, in_shares: bool) -> object:
        plan = scan(asked, in_shares=in_shares)
        damage(plan.segments[-2].file.path)
        return plan

    with monkeypatch.context() as patched:
        patched.setattr(capture, "plan_clip", scan_and_damage)
        with pytest.raises(CaptureFailedError) as caught:
            make_clip(request)
    assert caught.value.reason in REASONS
    assert files(request) == {}
    shutil.copytree(healthy, request.buffer_directory, dirs_exist_ok=True)
    make_clip(request)
    assert files(request) == whole


def test_segments_that_are_deleted_while_ffmpeg_reads_them_cost_nothing(
    run_copy: Path, ask: RequestMaker, tmp_path: Path
) -> None:
    # It has opened all of them at its start. With a concat list it would lose all that follow, with code 0.
    request = ask(run_copy, 2.4, 9.8)
    whole = clip_elsewhere(request, tmp_path)
    worker = start_worker(request, tmp_path, path=slow_ffmpeg(tmp_path))
    try:
        wait_until_open(worker.pid, run_copy / "seg_00004.ts")
        for segment in run_copy.glob("*.ts"):
            segment.unlink()
        assert worker.wait(DEADLINE_SECONDS) == 0
    finally:
        worker.kill()
        worker.wait(DEADLINE_SECONDS)
    assert files(request)["clip-1a2b3c4d.mp4"] == whole["clip-1a2b3c4d.mp4"]


def test_damage_at_random_moments_is_told_in_the_result_or_fails_the_attempt(
    buffer: Buffer, ask: RequestMaker, tmp_path: Path, kills: tuple[int, int]
) -> None:
    seed, many = kills
    moments = random.Random(seed)
    healthy = buffer("first", "second")
    began = time.monotonic()
    clip_elsewhere(ask(healthy, 2.37, 18.5), tmp_path)
    usual_seconds = 0.4 + time.monotonic() - began
    for number in range(max(many // 2, 1)):
        directory = Path(shutil.copytree(healthy, tmp_path / f"buffer-{number}"))
        archive = tmp_path / f"archive-{number}"
        archive.mkdir()
        request = ask(directory, 2.37, 18.5, archive_directory=str(archive))
        damage, after_seconds = moments.choice(DAMAGES[:2]), moments.uniform(0.2, 1.0) * usual_seconds
        victims = moments.sample(sorted(directory.rglob("*.ts")), moments.randint(1, 3))
        print(f"seed {seed}: {damage.__name__} {[v.name for v in victims]} after {after_seconds:.3f} s")
        worker = start_worker(request, tmp_path)
        try:
            with suppress(subprocess.TimeoutExpired):
                worker.wait(after_seconds)
            for victim in victims:
                damage(victim)
            worker.wait(DEADLINE_SECONDS)
        finally:
            worker.kill()
            worker.wait(DEADLINE_SECONDS)
        answer = CaptureResult.model_validate_json((tmp_path / "log").read_bytes())
        if answer.clip is None:
            assert answer.error is not None
            assert answer.error.reason in REASONS
            assert files(request) == {}
        else:
            assert_the_clip_is_what_its_result_says(
                Path(request.archive_directory, request.clip_path), answer
            )
            assert set(files(request)) == {f"clip-1a2b3c4d.{end}" for end in ("mp4", "json", "jpg")}


def assert_the_clip_is_what_its_result_says(path: Path, answer: CaptureResult) -> None:
    assert answer.clip is not None
    assert decode_errors(path) == ""
    missing = [*answer.clip.holes, *answer.clip.gaps]
    told = [(seconds_of(m.start), seconds_of(m.start) + m.milliseconds / 1000 + 0.02) for m in missing]
    assert len(missing_numbers(path, answer.clip, holes=tuple(told))) <= CUT_FRAMES * (1 + len(told))


def clip_elsewhere(request: CaptureRequest, tmp_path: Path) -> dict[str, bytes]:
    elsewhere = tmp_path / "elsewhere"
    elsewhere.mkdir()
    other = request.model_copy(update={"archive_directory": str(elsewhere)})
    make_clip(other)
    return files(other)


def start_worker(request: CaptureRequest, tmp_path: Path, path: str = "") -> subprocess.Popen[bytes]:
    environment = {**os.environ, **by_environment(request, tmp_path / "log")}
    return subprocess.Popen(
        command(),
        env={**environment, "PATH": path + environment["PATH"]},
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
    )


def slow_ffmpeg(tmp_path: Path) -> str:
    """A directory for PATH with an ffmpeg that reads at no more than four times the natural rate."""
    script = tmp_path / "bin" / "ffmpeg"
    script.parent.mkdir()
    script.write_text(f'#!/bin/sh\nexec {shutil.which("ffmpeg")} -readrate 4 "$@"\n')
    script.chmod(0o755)
    return f"{script.parent}:"


def wait_until_open(parent: int, path: Path) -> None:
    """Wait until a child of a process has opened a file."""
    deadline = time.monotonic() + DEADLINE_SECONDS
    while time.monotonic() < deadline:
        for child in Path(f"/proc/{parent}/task/{parent}/children").read_text().split():
            with suppress(OSError):
                if any(fd.readlink() == path for fd in Path(f"/proc/{child}/fd").iterdir()):
                    return
        time.sleep(0.01)
    pytest.fail(f"nobody opened {path.name}")
