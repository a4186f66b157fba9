"""A capture that is started before its last segment is there waits for it, as long as that makes sense."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from pathlib import Path

import pytest

from replay_operator.api.capture_job import CaptureRequest
from replay_operator.domain.capture_timing import tail_limit
from replay_operator.domain.health import stale_limit
from replay_operator.media import tail
from replay_operator.media.capture import make_clip
from replay_operator.media.failure import CaptureFailedError
from replay_operator.media.runs import read_buffer
from replay_operator.media.tail import POLL_SECONDS, TailWatch, await_tail, newest_instant
from tests.media.conftest import RequestMaker
from tests.media.segment_maker import RunShape, at, write_playlists

SHAPE = RunShape()


@dataclass
class Waiting:
    """A clock that goes on when somebody sleeps, and what happens meanwhile."""

    now: datetime
    events: list[tuple[datetime, Callable[[], object]]] = field(default_factory=list)
    slept: int = 0

    def clock(self) -> datetime:
        return self.now

    def pause(self, seconds: float) -> None:
        assert 0 < seconds <= POLL_SECONDS
        self.slept += 1
        self.now += timedelta(seconds=seconds)
        for due, happen in [event for event in self.events if event[0] <= self.now]:
            happen()
            self.events.remove((due, happen))

    def on(self, request: CaptureRequest) -> datetime:
        """Wait, and give when it was over."""
        await_tail(request, clock=self.clock, pause=self.pause)
        return self.now


@pytest.fixture
def growing(run_copy: Path) -> Path:
    """A buffer with a run of which four segments, up to 8 s, are named."""
    write_playlists(run_copy, SHAPE, 4)
    return run_copy.parent


def end(buffer: Path, name: str = "run-1") -> None:
    for playlist in (buffer / name).glob("*.m3u8"):
        playlist.write_text(playlist.read_text() + "#EXT-X-ENDLIST\n")


def test_without_a_bound_it_takes_what_is_there(growing: Path, ask: RequestMaker) -> None:
    assert Waiting(at(9)).on(ask(growing, 3, 9)) == at(9)


def test_what_is_on_disk_already_is_not_waited_for(growing: Path, ask: RequestMaker) -> None:
    assert Waiting(at(9)).on(ask(growing, 3, 8, wait_until=at(30))) == at(9)


def test_it_goes_on_as_soon_as_the_segment_with_the_last_instant_is_named(
    growing: Path, ask: RequestMaker
) -> None:
    request = ask(growing, 3, 9, wait_until=at(30))
    named = at(12.65)
    waiting = Waiting(at(9), [(named, lambda: write_playlists(growing / "run-1", SHAPE, 5))])
    assert named <= waiting.on(request) <= named + timedelta(seconds=POLL_SECONDS)


def test_it_does_not_wait_for_ever(growing: Path, ask: RequestMaker) -> None:
    waiting = Waiting(at(9))
    assert waiting.on(ask(growing, 3, 9.5, wait_until=at(11))) == at(11)


def test_a_run_that_has_ended_is_not_waited_for_when_none_follows(growing: Path, ask: RequestMaker) -> None:
    end(growing)
    over = Waiting(at(9)).on(ask(growing, 3, 9, wait_until=at(30)))
    assert at(11) <= over < at(12), "the directory of the next run would be there by now"


def test_the_run_that_follows_an_ended_one_is_waited_for(growing: Path, ask: RequestMaker) -> None:
    end(growing)
    following = growing / "run-2"
    following.mkdir()
    (following / "run.json").write_text((growing / "run-1" / "run.json").read_text())
    assert Waiting(at(9)).on(ask(growing, 3, 9, wait_until=at(20))) == at(20)


def test_a_run_that_has_fallen_silent_is_not_waited_for(growing: Path, ask: RequestMaker) -> None:
    """Its worker died and left no end in the playlists: 8 s of media, three segments of 2 s, 6.7 s."""
    over = Waiting(at(9)).on(ask(growing, 3, 9, wait_until=at(30)))
    assert at(20.7) <= over <= at(21)


@pytest.mark.parametrize("segment_seconds", [2, 6, 15])
@pytest.mark.parametrize("open_part", [0.0, 0.5, 1.0], ids=["nothing", "half a segment", "a whole one"])
def test_what_comes_only_when_the_operator_stops_a_silent_run_is_waited_for(
    segment_seconds: int, open_part: float, growing: Path, ask: RequestMaker
) -> None:
    """The picture ended with a part of a segment open in the worker; the sound comes with the stop."""
    newest = at(8)
    unpublished = newest + timedelta(seconds=segment_seconds * open_part)
    judged_silent = unpublished + timedelta(seconds=0.3) + stale_limit(segment_seconds)
    on_disk = judged_silent + timedelta(seconds=1.5)
    run_file = growing / "run-1" / "run.json"
    run_file.write_text(json.dumps(json.loads(run_file.read_text()) | {"segmentSeconds": segment_seconds}))
    waiting = Waiting(at(9), [(on_disk, lambda: write_playlists(growing / "run-1", SHAPE, 5))])
    request = ask(growing, 3, 9, wait_until=tail_limit(at(9), segment_seconds))
    assert on_disk <= waiting.on(request) <= on_disk + timedelta(seconds=POLL_SECONDS)


def test_a_buffer_that_has_no_directory_yet_is_waited_for(tmp_path: Path, ask: RequestMaker) -> None:
    assert Waiting(at(9)).on(ask(tmp_path / "nothing", 3, 9, wait_until=at(10))) == at(10)


def test_a_run_is_read_again_only_when_its_playlists_have_changed(
    growing: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    read: list[Path] = []

    def counted(directory: Path) -> object:
        read.append(directory)
        return original(directory)

    original = tail.read_run
    monkeypatch.setattr(tail, "read_run", counted)
    watch = TailWatch(growing, at(9.5))
    for _ in range(5):
        watch.is_over(at(9))
    assert len(read) == 1
    write_playlists(growing / "run-1", SHAPE, 5)
    assert watch.is_over(at(9))
    assert len(read) == 2


def test_the_clip_holds_the_segment_that_was_waited_for(
    growing: Path, ask: RequestMaker, monkeypatch: pytest.MonkeyPatch
) -> None:
    def come(request: CaptureRequest, **_: object) -> None:
        assert request.wait_until is not None
        write_playlists(growing / "run-1", SHAPE, 6)

    monkeypatch.setattr("replay_operator.media.capture.await_tail", come)
    _, result = make_clip(ask(growing, 3, 11, wait_until=at(30)))
    assert result.clip is not None
    assert abs(result.clip.end - at(11)) < timedelta(seconds=0.2)


def test_no_media_is_told_with_the_range_and_what_there_is(growing: Path, ask: RequestMaker) -> None:
    with pytest.raises(CaptureFailedError) as failed:
        make_clip(ask(growing, 20, 30).model_copy(update={"buffer": "alice-screen"}))
    message = failed.value.message
    for said in ("alice-screen", at(20).isoformat(), at(30).isoformat()):
        assert said in message
    newest = newest_instant(read_buffer(growing))
    assert newest is not None
    assert newest.isoformat() in message
    assert at(8) <= newest < at(8.2)


def test_a_last_segment_that_is_no_media_does_not_count_as_the_newest(growing: Path) -> None:
    whole = newest_instant(read_buffer(growing))
    broken = growing / "run-1" / "seg_00003.ts"
    broken.write_bytes(b"\x47" + bytes(187))
    shorter = newest_instant(read_buffer(growing))
    assert whole is not None
    assert shorter is not None
    assert shorter < whole - timedelta(seconds=1.5)
