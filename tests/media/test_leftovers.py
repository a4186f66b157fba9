"""What killed attempts left beside a clip goes with the next attempt, and nothing else goes."""

from __future__ import annotations

from pathlib import Path

import pytest

from replay_operator.media.capture import make_clip
from replay_operator.media.failure import CaptureFailedError
from tests.media.conftest import RequestMaker
from tests.media.worker_process import files

NAME = "clip-1a2b3c4d"


def put(archive: str, *names: str) -> None:
    directory = Path(archive, "team", "alice", "2026-11-22")
    directory.mkdir(parents=True)
    for name in names:
        (directory / name).write_text('{"captureUid": "uid-1"}')


def test_unfinished_files_of_earlier_attempts_go_and_those_of_a_later_one_and_of_other_clips_stay(
    healthy_run: Path, ask: RequestMaker
) -> None:
    request = ask(healthy_run, 3, 4, attempt=2)
    dead = [f".{NAME}.{rest}.part" for rest in ("mp4.1", "mp4.2", "json.77", "jpg.1")]
    others = [f".{NAME}.mp4.3.part", ".clip-99999999.mp4.1.part", f"{NAME}.mp4.1.part", "notes.json"]
    put(request.archive_directory, *dead, *others)
    make_clip(request)
    assert sorted(files(request)) == sorted([*others, f"{NAME}.mp4", f"{NAME}.json"])


@pytest.mark.parametrize(("uid", "stays"), [("uid-1", False), ("uid-2", True)])
def test_a_result_that_lost_its_clip_goes_though_the_next_attempt_fails_if_it_is_this_captures(
    ask: RequestMaker, tmp_path: Path, uid: str, stays: bool
) -> None:
    request = ask(tmp_path / "no buffer", 3, 4, capture_uid=uid)
    put(request.archive_directory, f"{NAME}.json")
    with pytest.raises(CaptureFailedError):
        make_clip(request)
    assert list(files(request)) == [f"{NAME}.json"] * stays
