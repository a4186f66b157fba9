from __future__ import annotations

import json
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from replay_operator.api.agent import RunFile
from replay_operator.api.replaycapture import Clock
from replay_operator.media.runs import read_buffer, read_run
from replay_operator.media.timeline import MEDIA_EPOCH_TICKS

PACKET = b"G" + bytes(187)
STARTED_AT = datetime(2026, 11, 22, 14, 0, 0, 123_456, tzinfo=UTC)
STARTED_AT_NS = 1_795_356_000_123_456_789


@pytest.fixture
def run(tmp_path: Path) -> Path:
    directory = tmp_path / "buffer" / "run-1"
    directory.mkdir(parents=True)
    for index in range(4):
        (directory / f"seg_{index:05d}.ts").write_bytes(PACKET * 3)
    playlist(directory, "index.m3u8", range(4))
    return directory


def playlist(directory: Path, name: str, indexes: range) -> None:
    lines = ["#EXTM3U", "#EXT-X-TARGETDURATION:6"]
    for index in indexes:
        moment = STARTED_AT + timedelta(seconds=6 * index)
        lines += [f"#EXT-X-PROGRAM-DATE-TIME:{moment.isoformat()}", "#EXTINF:6.000,", f"seg_{index:05d}.ts"]
    (directory / name).write_text("\n".join(lines) + "\n")


def present(directory: Path) -> list[int]:
    found = read_run(directory)
    return [] if found is None else [s.index for s in found.segments]


def test_every_segment_up_to_the_highest_that_a_playlist_names_is_complete(run: Path) -> None:
    # On an old run a finished segment is in neither playlist for a while.
    playlist(run, "index.m3u8", range(1))
    playlist(run, "live.m3u8", range(2, 3))
    assert present(run) == [0, 1, 2]


def test_segments_are_in_numeric_order_whatever_the_number_of_digits(run: Path) -> None:
    for index in (99_999, 100_000):
        (run / f"seg_{index}.ts").write_bytes(PACKET)
    playlist(run, "live.m3u8", range(99_999, 100_001))
    assert present(run) == [0, 1, 2, 3, 99_999, 100_000]


@pytest.mark.parametrize("content", [b"", PACKET[:-1], b"x" + PACKET[1:]], ids=["empty", "cut", "no TS"])
def test_a_named_segment_that_cannot_be_whole_is_lost(run: Path, content: bytes) -> None:
    (run / "seg_00001.ts").write_bytes(content)
    found = read_run(run)
    assert found is not None
    assert ([s.index for s in found.segments], found.lost_indexes) == ([0, 2, 3], (1,))


def test_what_retention_let_go_is_not_lost(run: Path) -> None:
    (run / "seg_00000.ts").unlink()
    found = read_run(run)
    assert found is not None
    assert found.lost_indexes == ()


def test_without_a_playlist_nothing_is_complete(run: Path) -> None:
    (run / "index.m3u8").unlink()
    assert read_run(run) is None


def test_playlists_that_are_all_just_being_rewritten_are_read_again(
    run: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (run / "index.m3u8").write_text("")
    monkeypatch.setattr("time.sleep", lambda _: playlist(run, "index.m3u8", range(4)))
    assert present(run) == [0, 1, 2, 3]


def test_one_playlist_of_two_that_is_just_being_rewritten_is_read_again(
    run: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Of a run older than an hour the event playlist lags behind."""
    playlist(run, "index.m3u8", range(2))
    (run / "live.m3u8").write_text("")
    monkeypatch.setattr("time.sleep", lambda _: playlist(run, "live.m3u8", range(2, 4)))
    assert present(run) == [0, 1, 2, 3]


def test_the_run_file_gives_the_best_clock(run: Path) -> None:
    write_run_file(run, STARTED_AT_NS)
    write_manifest(run)
    found = read_run(run)
    assert found is not None
    assert (found.clock, found.media_started_at_ns) == (Clock.STARTED_AT, STARTED_AT_NS)
    assert found.instant(MEDIA_EPOCH_TICKS + 90_000) == STARTED_AT + timedelta(seconds=1)
    assert found.ticks_at(STARTED_AT + timedelta(seconds=1, microseconds=1)) == MEDIA_EPOCH_TICKS + 90_000


@pytest.mark.parametrize("text", ["", "{", '{"room": 1}', "[]"])
def test_a_run_file_that_cannot_be_read_falls_back_to_the_manifest(run: Path, text: str) -> None:
    (run / "run.json").write_text(text)
    write_manifest(run)
    found = read_run(run)
    assert found is not None
    assert (found.clock, found.media_started_at_ns) == (Clock.MANIFEST, 1_795_356_000_000_000_000)


@pytest.mark.parametrize("text", ["", "[1]", '{"started_at": null}', '{"started_at": "soon"}'])
def test_a_manifest_that_tells_nothing_falls_back_to_the_playlist(run: Path, text: str) -> None:
    write_run_file(run, None)
    (run / "EG_x.json").write_text(text)
    playlist(run, "index.m3u8", range(2, 4))
    found = read_run(run)
    assert found is not None
    assert found.clock is Clock.PROGRAM_DATE_TIME
    assert found.instant(MEDIA_EPOCH_TICKS) == STARTED_AT


def test_all_runs_of_a_buffer_are_found_and_other_directories_are_not(run: Path) -> None:
    (run.parent / "lost+found").mkdir()
    (run.parent / "run-0").mkdir()
    (run.parent / "run-0" / "run.json").write_text("{}")
    assert [r.directory for r in read_buffer(run.parent)] == [run]
    assert [r.directory for r in read_buffer(run)] == [run]


def write_run_file(run: Path, started_at_ns: int | None) -> None:
    run_file = RunFile(room="r", buffer="b", segment_seconds=6, media_started_at_ns=started_at_ns)
    (run / "run.json").write_text(run_file.model_dump_json(by_alias=True))


def write_manifest(run: Path) -> None:
    (run / "EG_x.json").write_text(json.dumps({"started_at": 1_795_356_000_000_000_000}))
