"""`replay-operator capture` as the Job runs it: a process with a request, an answer and an exit code."""

from __future__ import annotations

import json
import os
import resource
import signal
import stat
import subprocess
import sys
from contextlib import suppress
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from replay_operator.api.capture_job import MAX_TERMINATION_MESSAGE_BYTES, CaptureRequest, CaptureResult
from replay_operator.media.capture import make_clip
from replay_operator.media.worker import short_answer
from tests.media.clip_reader import decode_errors
from tests.media.conftest import RequestMaker
from tests.media.segment_maker import at
from tests.media.worker_process import DEADLINE_SECONDS, by_environment, command, run, wait_for


def test_a_request_in_the_environment_makes_a_clip_and_a_termination_message(
    healthy_run: Path, ask: RequestMaker, tmp_path: Path
) -> None:
    request = ask(healthy_run, 3, 8)
    done = run(environment=by_environment(request, tmp_path / "log"))
    assert done.returncode == 0, done.stderr
    clip = Path(request.archive_directory, request.clip_path)
    message = CaptureResult.model_validate_json((tmp_path / "log").read_bytes())
    sidecar = CaptureResult.model_validate_json(clip.with_suffix(".json").read_bytes())
    told = CaptureResult.model_validate_json(done.stdout)
    assert message.clip == sidecar.clip == told.clip
    assert message.capture_uid == "uid-1"
    assert message.clip is not None
    assert message.clip.sha256
    assert clip.with_suffix(".jpg").exists()


def test_the_answer_says_how_long_each_part_took_and_the_termination_message_is_spared_that(
    healthy_run: Path, ask: RequestMaker, tmp_path: Path
) -> None:
    request = ask(healthy_run, 3, 8)
    done = run(environment=by_environment(request, tmp_path / "log"))
    before_extras = {"start", "wait", "plan", "join", "verify", "publish"}
    sidecar = Path(request.archive_directory, request.clip_path).with_suffix(".json")
    assert json.loads(sidecar.read_text())["timings"].keys() == before_extras
    assert json.loads(done.stdout)["timings"].keys() == {*before_extras, "extras"}
    assert "timings" not in json.loads((tmp_path / "log").read_text())

    again = run(environment=by_environment(request, tmp_path / "log"))
    assert json.loads(again.stdout)["timings"].keys() == before_extras, "those of the attempt that made it"


def test_a_clip_and_its_extras_can_be_made_by_two_processes(
    healthy_run: Path, ask: RequestMaker, tmp_path: Path
) -> None:
    request = ask(healthy_run, 3, 8)
    clip = Path(request.archive_directory, request.clip_path)
    first = run("--only", "clip", environment=by_environment(request, tmp_path / "first"))
    assert first.returncode == 0, first.stderr
    made = CaptureResult.model_validate_json((tmp_path / "first").read_bytes()).clip
    assert made is not None
    assert (made.sha256, made.thumbnail, clip.with_suffix(".jpg").exists()) == (None, None, False)

    second = run("--only", "extras", environment=by_environment(request, tmp_path / "second"))
    assert second.returncode == 0, second.stderr
    complete = CaptureResult.model_validate_json((tmp_path / "second").read_bytes()).clip
    assert complete is not None
    assert complete.sha256
    assert clip.with_suffix(".jpg").exists()
    assert complete.model_copy(update={"sha256": None, "thumbnail": None}) == made
    assert CaptureResult.model_validate_json(clip.with_suffix(".json").read_bytes()).clip == complete


@pytest.mark.parametrize("left", ["nothing", "another's clip"])
def test_extras_of_a_clip_that_is_not_there_fail_nothing(
    healthy_run: Path, ask: RequestMaker, tmp_path: Path, left: str
) -> None:
    request = ask(healthy_run, 3, 8)
    clip = Path(request.archive_directory, request.clip_path)
    if left != "nothing":
        clip.parent.mkdir(parents=True, exist_ok=True)
        clip.write_bytes(b"mine")
    done = run("--only", "extras", environment=by_environment(request, tmp_path / "log"))
    assert done.returncode == 0
    assert "no extras" in done.stderr
    assert not (tmp_path / "log").exists()


def test_flags_make_exactly_the_file_that_is_named(healthy_run: Path, tmp_path: Path) -> None:
    flags = ["--buffer", str(healthy_run.parent), "--start", at(3).isoformat(), "--end", at(8).isoformat()]
    flags += ["--trim", "Segment", "--holes", "Fail", "--no-thumbnail"]
    flags += ["--output", str(tmp_path / "FILE.mp4"), "--result", str(tmp_path / "answer.json")]
    done = run(*flags)
    assert done.returncode == 0, done.stderr
    assert sorted(p.name for p in tmp_path.iterdir()) == ["FILE.json", "FILE.mp4", "answer.json"]
    assert json.loads((tmp_path / "answer.json").read_text())["clip"]["path"] == "FILE.mp4"
    assert run(*flags).returncode == 0, "the same command again meets its own clip"


@pytest.mark.parametrize(
    ("change", "expected"),
    [
        ({"start": at(100), "end": at(110)}, (65, "NoMedia")),
        ({"start": at(-60), "when_short": "Fail"}, (65, "BufferTooShort")),
        ({"end": at(1)}, (65, "BadRequest")),
        ({"clip_path": "../x.mp4"}, (65, "BadRequest")),
        ({"buffer_directory": "/nonexistent"}, (75, "BufferUnreadable")),
        ({"archive_directory": "/nonexistent"}, (75, "ArchiveUnwritable")),
    ],
    ids=lambda value: value[1] if isinstance(value, tuple) else "",
)
def test_a_failure_is_answered_with_its_reason_and_says_whether_a_retry_can_help(
    healthy_run: Path, ask: RequestMaker, tmp_path: Path, change: dict[str, object], expected: tuple[int, str]
) -> None:
    request = CaptureRequest.model_validate({**ask(healthy_run, 3, 8).model_dump(), **change})
    done = run(environment=by_environment(request, tmp_path / "log"))
    message = json.loads((tmp_path / "log").read_text())
    assert (done.returncode, message["error"]["reason"]) == expected
    assert message["error"]["message"] in done.stderr
    assert "clip" not in message


def test_a_result_that_cannot_be_written_does_not_make_the_clip_a_failure(
    healthy_run: Path, tmp_path: Path
) -> None:
    flags = ["--buffer", str(healthy_run), "--start", at(3).isoformat(), "--end", at(8).isoformat()]
    done = run(*flags, "--output", str(tmp_path / "a.mp4"), "--result", str(tmp_path / "nowhere" / "a.json"))
    assert done.returncode == 0
    assert CaptureResult.model_validate_json(done.stdout).clip is not None


@pytest.mark.parametrize("text", ["", "{}", "no json", '{"captureUid": "x"}'])
def test_a_request_that_makes_no_sense_is_a_bad_request(text: str, tmp_path: Path) -> None:
    done = run(
        environment={"REPLAY_CAPTURE_REQUEST": text, "TERMINATION_MESSAGE_PATH": str(tmp_path / "log")}
    )
    assert done.returncode == 65
    assert json.loads((tmp_path / "log").read_text())["error"]["reason"] == "BadRequest"


def test_a_failure_never_overwrites_the_result_of_a_clip_that_is_there(
    healthy_run: Path, tmp_path: Path
) -> None:
    flags = ["--buffer", str(healthy_run), "--start", at(3).isoformat(), "--no-thumbnail"]
    flags += ["--output", str(tmp_path / "a.mp4"), "--result", str(tmp_path / "a.json")]
    assert run(*flags, "--end", at(8).isoformat()).returncode == 0
    before = (tmp_path / "a.json").read_bytes()
    assert run(*flags, "--end", at(9).isoformat()).returncode == 65
    assert (tmp_path / "a.json").read_bytes() == before


def test_a_file_size_limit_under_ffmpeg_is_told_as_a_full_archive(
    healthy_run: Path, ask: RequestMaker, tmp_path: Path
) -> None:
    request = ask(healthy_run, 0, 12)
    done = subprocess.run(
        command(),
        env={**os.environ, **by_environment(request, tmp_path / "log")},
        preexec_fn=lambda: resource.setrlimit(resource.RLIMIT_FSIZE, (100_000, 100_000)),
        capture_output=True,
        check=False,
        timeout=DEADLINE_SECONDS,
    )
    assert done.returncode == 75
    assert json.loads((tmp_path / "log").read_text())["error"]["reason"] == "ArchiveFull"
    assert [p for p in Path(request.archive_directory).rglob("*") if p.is_file()] == []


def test_more_segments_than_the_open_files_limit_are_joined(
    healthy_run: Path, ask: RequestMaker, tmp_path: Path
) -> None:
    request = ask(healthy_run, 0, 12)
    done = subprocess.run(
        command(),
        env={**os.environ, **by_environment(request, tmp_path / "log")},
        preexec_fn=lambda: resource.setrlimit(resource.RLIMIT_NOFILE, (8, 4096)),
        capture_output=True,
        check=False,
        timeout=DEADLINE_SECONDS,
    )
    assert done.returncode == 0, done.stderr


@pytest.fixture
def paused_ffmpeg(tmp_path: Path) -> Path:
    """A directory for PATH in which ffmpeg writes its whole file and then waits instead of ending."""
    directory = tmp_path / "bin"
    directory.mkdir()
    script = directory / "ffmpeg"
    ready = tmp_path / "written"
    real = subprocess.run(
        ["sh", "-c", "command -v ffmpeg"], capture_output=True, check=True, text=True
    ).stdout
    script.write_text(f'#!/bin/sh\n{real.strip()} "$@"\ntouch {ready}\nexec sleep 600\n')
    script.chmod(script.stat().st_mode | stat.S_IXUSR)
    return directory


def test_a_worker_that_is_ended_while_it_waits_for_the_tail_leaves_nothing(
    healthy_run: Path, ask: RequestMaker, tmp_path: Path
) -> None:
    starting = tmp_path / "buffer" / "run-1"
    starting.mkdir(parents=True)
    (starting / "run.json").write_text((healthy_run / "run.json").read_text())
    later = datetime.now(UTC) + timedelta(seconds=DEADLINE_SECONDS)
    request = ask(starting.parent, 3, 8, wait_until=later)
    worker = subprocess.Popen(
        command(),
        env={**os.environ, **by_environment(request, tmp_path / "log")},
        stdout=subprocess.DEVNULL,
        stderr=subprocess.PIPE,
        text=True,
    )
    with worker:
        assert worker.stderr is not None
        said = next(line for line in worker.stderr if "on the buffer volume, until" in line)
        assert at(8).isoformat(sep=" ") in said
        worker.send_signal(signal.SIGTERM)
    assert worker.returncode == 128 + signal.SIGTERM
    assert [path for path in Path(request.archive_directory).rglob("*") if path.is_file()] == []


PARTS_LEFT = {signal.SIGKILL: [".clip-1a2b3c4d.mp4.1.part"], signal.SIGTERM: []}


@pytest.mark.parametrize("how", PARTS_LEFT)
def test_a_worker_that_is_ended_while_it_joins_leaves_no_clip_and_the_next_attempt_makes_it(
    healthy_run: Path, ask: RequestMaker, tmp_path: Path, paused_ffmpeg: Path, how: signal.Signals
) -> None:
    request = ask(healthy_run, 3, 8)
    environment = by_environment(request, tmp_path / "log")
    path = f"{paused_ffmpeg}:{os.environ['PATH']}"
    worker = subprocess.Popen(
        command(),
        env={**os.environ, **environment, "PATH": path},
        start_new_session=True,
        stdout=subprocess.DEVNULL,
    )
    try:
        wait_for(tmp_path / "written")
        worker.send_signal(how)
        worker.wait(DEADLINE_SECONDS)
    finally:
        with suppress(ProcessLookupError):
            os.killpg(worker.pid, signal.SIGKILL)
        worker.wait(DEADLINE_SECONDS)
    assert worker.returncode != 0
    assert (
        sorted(p.name for p in Path(request.archive_directory).rglob("*") if p.is_file()) == PARTS_LEFT[how]
    )
    assert run(environment=environment).returncode == 0
    clip = Path(request.archive_directory, request.clip_path)
    assert decode_errors(clip) == ""
    assert not list(clip.parent.glob(".*.part"))


def test_the_answer_of_a_clip_with_many_holes_fits_the_termination_message(
    healthy_run: Path, ask: RequestMaker
) -> None:
    _, result = make_clip(ask(healthy_run, 3, 8))
    assert result.clip is not None
    hole = {"start": at(3), "milliseconds": 10, "reason": "SegmentLost"}
    gap = {"track": "video", "start": at(3), "milliseconds": 10}
    clip = result.clip.model_copy(update={"path": "ü" * 500})
    many = type(clip).model_validate({**clip.model_dump(), "holes": [hole] * 64, "gaps": [gap] * 64})
    text = short_answer(result.model_copy(update={"clip": many}))
    assert len(text.encode()) <= MAX_TERMINATION_MESSAGE_BYTES
    short = CaptureResult.model_validate_json(text).clip
    assert short is not None
    assert len(short.holes) + short.holes_omitted == 64
    assert len(short.gaps) + short.gaps_omitted == 64
    assert short.holes


def test_starting_the_worker_loads_no_client_library() -> None:
    heavy = ["kopf", "kubernetes", "aiohttp", "livekit", "sqlmodel", "asyncio"]
    check = f"import replay_operator.media.worker, sys; sys.exit(any(m in sys.modules for m in {heavy}))"
    assert subprocess.run([sys.executable, "-c", check], check=False).returncode == 0
