"""`replay-operator benchmark-volume` on a real directory: it measures, keeps its bounds, leaves nothing."""

from __future__ import annotations

import json
import signal
import subprocess
import sys
from contextlib import suppress
from itertools import chain, repeat
from pathlib import Path

import pytest

from replay_operator.agent.volume import Volume
from replay_operator.agent.volume_benchmark import (
    DIRECTORY_PREFIX,
    KEPT_SEGMENTS,
    Load,
    VolumeBenchmarkError,
    measure,
    own_directory,
    space_needed,
)
from replay_operator.cli.benchmark_volume import main
from tests.livekit_double.tests.waiting import until

COMMAND = (sys.executable, "-m", "replay_operator", "benchmark-volume")
SMALL = ("--preset", "H264_720P_30", "--segment-seconds", "15", "--seconds", "0.1")
SEGMENT_BYTES = 3128 * 125 * 15
PLENTY = 1 << 40


def load(**changes: float) -> Load:
    values = {
        "segment_bytes": 200_000,
        "segment_seconds": 60.0,
        "step_seconds": 60.0,
        "writer_bytes": 4_000_000.0,
        "least_free_bytes": 0.0,
    }
    return Load(**{**values, **changes})


def names(directory: Path) -> set[str]:
    return {str(path.relative_to(directory)) for path in directory.rglob("*")}


def start(*arguments: str) -> subprocess.Popen[bytes]:
    return subprocess.Popen([*COMMAND, *arguments], stderr=subprocess.DEVNULL)


def stored_bytes(directory: Path) -> int:
    total = 0
    for path in directory.rglob("seg_*.ts"):
        with suppress(FileNotFoundError):
            total += path.stat().st_size
    return total


def test_it_measures_each_number_of_writers_and_suggests_the_setting(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main([str(tmp_path), *SMALL, "--buffers", "1,2", "-o", "json"]) == 0
    report = json.loads(capsys.readouterr().out)
    assert [step["writers"] for step in report["steps"]] == [1, 2]
    assert report["segment_bytes"] == SEGMENT_BYTES
    for step in report["steps"]:
        assert step["segments"] >= step["writers"]
        assert 0 < step["buffered"]["median_seconds"] <= step["stored"]["median_seconds"]
        assert step["stored"]["median_seconds"] <= step["stored"]["worst_seconds"]
    assert report["budget"]["writers"] == 2
    assert report["budget"]["suggested_mbps"] >= 1


def test_the_table_names_the_setting_and_says_what_the_page_cache_does(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main([str(tmp_path), *SMALL, "--buffers", "1"]) == 0
    told = capsys.readouterr().out
    assert "\nREPLAY_WRITE_BUDGET_MBPS=" in told
    assert "page cache does not flatter" in told


def test_nothing_is_left_and_nothing_of_others_is_touched(tmp_path: Path) -> None:
    others = tmp_path / "default" / "uid" / "run" / "seg_00000.ts"
    others.parent.mkdir(parents=True)
    others.write_bytes(b"media")
    before = names(tmp_path)
    assert main([str(tmp_path), *SMALL, "--buffers", "1,3"]) == 0
    assert names(tmp_path) == before
    assert others.read_bytes() == b"media"


def test_the_agent_takes_the_directory_for_no_buffer(tmp_path: Path) -> None:
    with own_directory(tmp_path) as directory:
        (directory / "1-0").mkdir()
        assert Volume(tmp_path).list_buffers() == {}


def test_a_writer_keeps_as_few_segments_as_were_reckoned_with(tmp_path: Path) -> None:
    seen = []

    def watch(directory: Path) -> int:
        seen.append(stored_bytes(directory))
        return PLENTY

    step = measure(tmp_path, 2, load(writer_bytes=20_000_000), free=watch)
    assert step.segments > 2 * (KEPT_SEGMENTS + 1)
    assert max(seen) <= space_needed(2, 200_000)


def test_a_writer_ends_with_its_bytes(tmp_path: Path) -> None:
    step = measure(tmp_path, 2, load(writer_bytes=1_000_000), free=lambda _: PLENTY)
    assert step.segments == 10


def test_all_numbers_of_writers_together_write_what_is_allowed(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    allowed_gib = 12 * SEGMENT_BYTES / 1024**3
    arguments = [*SMALL, "--seconds", "60", "--buffers", "1,2,3", "--max-gib", str(allowed_gib), "-o", "json"]
    assert main([str(tmp_path), *arguments]) == 0
    report = json.loads(capsys.readouterr().out)
    assert [step["segments"] for step in report["steps"]] == [2, 4, 6]


def test_a_step_without_time_still_stores_a_segment(tmp_path: Path) -> None:
    step = measure(tmp_path, 1, load(step_seconds=0), free=lambda _: PLENTY)
    assert step.segments >= 1
    assert names(tmp_path) == set()


def test_a_writer_gives_up_a_segment_that_takes_longer_than_it_lasts(tmp_path: Path) -> None:
    step = measure(tmp_path, 2, load(segment_seconds=0), free=lambda _: PLENTY)
    assert step.given_up == 2
    assert not step.keeps(3600)


def test_a_volume_that_somebody_else_fills_is_left_alone(tmp_path: Path) -> None:
    with pytest.raises(VolumeBenchmarkError, match="filling the volume"):
        measure(tmp_path, 1, load(least_free_bytes=10), free=lambda _: 9)
    figures = chain([1_000_000_000] * 2, repeat(0))
    assert main([str(tmp_path), *SMALL, "--buffers", "1"], free=lambda _: next(figures)) == 1
    assert not list(tmp_path.glob(f"{DIRECTORY_PREFIX}*"))


def test_a_volume_without_room_is_not_written_to(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    just_too_little = 2 * space_needed(1, SEGMENT_BYTES) - 1
    assert main([str(tmp_path), *SMALL, "--buffers", "1"], free=lambda _: just_too_little) == 1
    assert "free some space" in capsys.readouterr().err


def test_only_as_many_writers_as_there_is_room_for_are_let_loose(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    room = 2 * space_needed(2, SEGMENT_BYTES)
    assert main([str(tmp_path), *SMALL, "--buffers", "1,2,3", "-o", "json"], free=lambda _: room) == 0
    report = json.loads(capsys.readouterr().out)
    assert [step["writers"] for step in report["steps"]] == [1, 2]
    assert report["skipped_writers"] == [3]


def test_a_refused_write_ends_it_with_the_words_of_the_system_and_nothing_is_left(tmp_path: Path) -> None:
    limited = ["prlimit", "--fsize=100000", *COMMAND, str(tmp_path), *SMALL, "--buffers", "2"]
    done = subprocess.run(limited, capture_output=True, text=True, check=False)
    assert done.returncode == 1
    assert "the volume refused a write: File too large" in done.stderr
    assert names(tmp_path) == set()


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
async def test_a_signal_ends_it_and_nothing_is_left(tmp_path: Path, number: signal.Signals) -> None:
    process = start(str(tmp_path), "--seconds", "300", "--buffers", "2")
    try:
        written = f"{DIRECTORY_PREFIX}*/2-1/seg_*.ts"
        await until(lambda: any(tmp_path.glob(written)) or process.poll() is not None, "both write", 60)
        process.send_signal(number)
        assert process.wait(timeout=60) == 128 + number
    finally:
        process.kill()
    assert names(tmp_path) == set()


def test_what_a_killed_run_has_left_is_told(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    left = tmp_path / f"{DIRECTORY_PREFIX}x"
    left.mkdir()
    assert main([str(tmp_path), *SMALL, "--buffers", "1"]) == 0
    assert str(left) in capsys.readouterr().err
    assert left.exists()


def test_what_is_no_directory_is_refused(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main([str(tmp_path / "none"), *SMALL]) == 1
    assert "name where the volume is mounted" in capsys.readouterr().err


def test_a_volume_that_cannot_be_written_is_refused(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["/proc", *SMALL, "--buffers", "1"], free=lambda _: PLENTY) == 1
    assert "cannot write to /proc" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("arguments", "reason"),
    [
        (["--buffers", "1,0"], "from 1 to 512"),
        (["--buffers", "some"], "from 1 to 512"),
        (["--segment-seconds", "20"], "from 2 to 15"),
        (["--seconds", "forever"], "from 0.1 to 600"),
        (["--max-gib", "inf"], "from 0.001 to 1024"),
    ],
)
def test_bounds_that_make_no_sense_are_refused(
    arguments: list[str], reason: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    with pytest.raises(SystemExit) as ended:
        main([str(tmp_path), *arguments])
    assert ended.value.code == 2
    assert reason in capsys.readouterr().err
