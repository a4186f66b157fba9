"""While the last segment is awaited, what is there is joined already; the clip is the same, only sooner."""

from __future__ import annotations

import logging
import os
import shutil
import subprocess
import time
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from replay_operator.api.agent import RunFile
from replay_operator.api.capture_job import CaptureErrorReason, CaptureRequest, CaptureResult
from replay_operator.api.replaycapture import HoleReason, Holes, Trim
from replay_operator.media import head_start
from replay_operator.media.capture import make_clip, plan_ahead
from replay_operator.media.failure import CaptureFailedError
from tests.media.clip_reader import packets, shown_frames
from tests.media.conftest import Buffer, RequestMaker
from tests.media.segment_maker import RunShape, at, write_playlists
from tests.media.wall_clock import (
    CUT_FRAMES,
    FPS,
    assert_gapless_sound,
    assert_in_sync,
    made_clip,
    missing_numbers,
    seconds_of,
)
from tests.media.worker_process import DEADLINE_SECONDS, command, wait_for

SHAPE = RunShape()
USED = "were joined ahead"
DROPPED = "it is joined anew"

Meanwhile = Callable[[], object]
Coming = Callable[[Meanwhile], None]


@pytest.fixture
def coming(monkeypatch: pytest.MonkeyPatch) -> Coming:
    """Lets something happen while the last segment is awaited, after the head start has begun."""

    def set_up(happen: Meanwhile) -> None:
        def wait(_: CaptureRequest, *, meanwhile: Meanwhile, **__: object) -> None:
            meanwhile()
            meanwhile()
            happen()

        monkeypatch.setattr("replay_operator.media.capture.await_tail", wait)

    return set_up


@pytest.fixture
def growing(run_copy: Path) -> Path:
    """A buffer with a run of which four segments, up to 8 s, are named."""
    write_playlists(run_copy, SHAPE, 4)
    return run_copy.parent


@pytest.fixture(autouse=True)
def _logged(caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.INFO)


def name_all(buffer: Path, run: str = "run-1") -> Meanwhile:
    return lambda: write_playlists(buffer / run, SHAPE, 6)


@pytest.mark.parametrize("trim", list(Trim))
def test_the_clip_is_the_same_with_a_head_start(
    growing: Path, ask: RequestMaker, coming: Coming, caplog: pytest.LogCaptureFixture, trim: Trim
) -> None:
    coming(name_all(growing))
    path, clip = made_clip(ask(growing, 1.37, 11.21, wait_until=at(30), trim=trim))
    assert USED in caplog.text
    monkey_free = ask(growing, 1.37, 11.21, trim=trim, capture_uid="uid-2", clip_path="team/other.mp4")
    other, without = made_clip(monkey_free)
    assert missing_numbers(path, clip) == []
    assert_in_sync(path, clip)
    assert_gapless_sound(path)
    assert shown_frames(path) == shown_frames(other)
    assert (clip.start, clip.segments, clip.holes, clip.gaps) == (
        without.start,
        without.segments,
        without.holes,
        without.gaps,
    )
    assert abs(clip.end - without.end) <= timedelta(seconds=0.03), "sound ends with its own last frame"
    assert packets(path, "video") == packets(other, "video")


def test_most_of_it_is_written_before_the_last_segment_comes(
    growing: Path, ask: RequestMaker, coming: Coming, caplog: pytest.LogCaptureFixture
) -> None:
    coming(name_all(growing))
    made_clip(ask(growing, 0.5, 11.21, wait_until=at(30)))
    assert "6 of 12 shares were joined ahead" in caplog.text, "three of six segments, two tracks each"


def test_a_run_that_takes_over_meanwhile_does_not_change_what_was_joined(
    buffer: Buffer, ask: RequestMaker, coming: Coming, caplog: pytest.LogCaptureFixture, tmp_path: Path
) -> None:
    directory = buffer("first", "second")
    shutil.move(directory / "run-8", tmp_path / "later")
    write_playlists(directory / "run-9", SHAPE, 5)

    def take_over() -> None:
        write_playlists(directory / "run-9", SHAPE, 6)
        shutil.move(tmp_path / "later", directory / "run-8")

    coming(take_over)
    path, clip = made_clip(ask(directory, 1.37, 16.5, wait_until=at(30)))
    assert USED in caplog.text
    assert len(missing_numbers(path, clip)) <= CUT_FRAMES
    assert_in_sync(path, clip)
    assert_gapless_sound(path)
    assert (clip.runs, clip.holes, clip.gaps) == (2, (), ())


def test_a_joined_segment_that_is_lost_meanwhile_is_not_in_the_clip(
    growing: Path, ask: RequestMaker, coming: Coming, caplog: pytest.LogCaptureFixture
) -> None:
    def lose() -> None:
        (growing / "run-1" / "seg_00001.ts").unlink()
        name_all(growing)()

    coming(lose)
    path, clip = made_clip(ask(growing, 1.37, 11.21, wait_until=at(30)))
    assert DROPPED in caplog.text
    assert missing_numbers(path, clip, holes=((2, 4),)) == []
    assert [hole.reason for hole in clip.holes] == [HoleReason.SEGMENT_LOST]


def test_a_track_that_comes_meanwhile_is_in_the_clip(
    buffer: Buffer, ask: RequestMaker, coming: Coming, caplog: pytest.LogCaptureFixture, tmp_path: Path
) -> None:
    directory = buffer("only picture", "first")
    shutil.move(directory / "run-8", tmp_path / "other")  # the sound of it comes later
    write_playlists(directory / "run-9", SHAPE, 5)

    coming(lambda: shutil.move(tmp_path / "other", directory / "run-8"))
    path, clip = made_clip(ask(directory, 2, 17, wait_until=at(30)))
    assert DROPPED in caplog.text
    assert len(missing_numbers(path, clip)) <= CUT_FRAMES
    assert clip.runs == 2


def test_an_index_that_did_not_fit_is_made_room_for(
    growing: Path,
    ask: RequestMaker,
    coming: Coming,
    caplog: pytest.LogCaptureFixture,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(head_start, "_SPARE_MOOV_BYTES", -40_000)
    coming(name_all(growing))
    path, clip = made_clip(ask(growing, 1.37, 11.21, wait_until=at(30)))
    assert "does not fit" in caplog.text
    assert missing_numbers(path, clip) == []


def test_nothing_is_joined_ahead_when_too_little_is_there(
    growing: Path, ask: RequestMaker, coming: Coming, caplog: pytest.LogCaptureFixture
) -> None:
    coming(name_all(growing))
    path, clip = made_clip(ask(growing, 6.5, 11.21, wait_until=at(30)))
    assert USED not in caplog.text
    assert DROPPED not in caplog.text
    assert missing_numbers(path, clip) == []


def test_a_clip_without_holes_may_still_get_its_end(
    growing: Path, ask: RequestMaker, coming: Coming, caplog: pytest.LogCaptureFixture
) -> None:
    request = ask(growing, 1.37, 11.21, wait_until=at(30), holes=Holes.FAIL)
    coming(name_all(growing))
    _, clip = made_clip(request)
    assert USED in caplog.text
    assert seconds_of(clip.end) == pytest.approx(11.21, abs=(CUT_FRAMES + 1) / FPS)


def test_a_clip_without_holes_is_refused_when_its_end_does_not_come(
    growing: Path, ask: RequestMaker, coming: Coming
) -> None:
    coming(lambda: None)
    request = ask(growing, 1.37, 11.21, wait_until=at(30), holes=Holes.FAIL)
    with pytest.raises(CaptureFailedError) as failed:
        make_clip(request)
    assert failed.value.reason is CaptureErrorReason.HOLES_IN_RANGE
    assert_nothing_is_left(request)


def test_who_is_ended_while_waiting_leaves_no_file_and_no_process(
    growing: Path, ask: RequestMaker, coming: Coming
) -> None:
    def terminate() -> None:
        raise SystemExit(143)

    coming(terminate)
    request = ask(growing, 1.37, 11.21, wait_until=at(30))
    with pytest.raises(SystemExit):
        make_clip(request)
    assert_nothing_is_left(request)


def test_a_worker_that_waits_has_begun_its_clip_when_the_last_segment_comes(
    growing: Path, tmp_path: Path
) -> None:
    file = growing / "run-1" / "run.json"
    begun = datetime.now(UTC) - timedelta(seconds=2)
    known = RunFile.model_validate_json(file.read_bytes())
    clock = {"media_started_at_ns": int(begun.timestamp() * 1_000_000_000)}
    file.write_text(known.model_copy(update=clock).model_dump_json(by_alias=True))
    archive = tmp_path / "made"
    archive.mkdir()
    flags = ["--buffer", str(growing), "--output", str(archive / "clip.mp4"), "--no-thumbnail"]
    for name, seconds in (("--start", 1.37), ("--end", 11.21), ("--wait-until", 40)):
        flags += [name, (begun + timedelta(seconds=seconds)).isoformat()]
    with subprocess.Popen(
        command(*flags), stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
    ) as worker:
        part = archive / ".clip.mp4.1.part"
        wait_for(part)
        deadline = time.monotonic() + DEADLINE_SECONDS
        while part.stat().st_size == 0:
            assert time.monotonic() < deadline, "nothing is joined while the last segment is awaited"
            time.sleep(0.02)
        name_all(growing)()
        answer, log = worker.communicate(timeout=DEADLINE_SECONDS)
    assert worker.returncode == 0, log
    assert USED in log
    clip = CaptureResult.model_validate_json(answer).clip
    assert clip is not None
    assert clip.milliseconds == pytest.approx(1000 * (11.21 - 1.37), abs=100)


def test_a_plan_ahead_never_counts_the_newest_segment_as_settled(growing: Path, ask: RequestMaker) -> None:
    shares = head_start.settled_shares(plan_ahead(ask(growing, 1.37, 11.21)))
    assert {share.segment.file.index for share in shares} == {0, 1, 2}


def assert_nothing_is_left(request: CaptureRequest) -> None:
    assert [p for p in Path(request.archive_directory).rglob("*") if p.is_file()] == []
    # Servers that other tests share are children of this process too.
    tasks = Path(f"/proc/{os.getpid()}/task").glob("*/children")
    children = [child for task in tasks for child in task.read_text().split()]
    assert "ffmpeg\n" not in [Path(f"/proc/{child}/comm").read_text() for child in children]
