from __future__ import annotations

import pytest

from replay_operator.api.replaycapture import Clock
from replay_operator.media.run_clock import (
    Arrival,
    WrittenClocks,
    manifest_started_at_ns,
    run_clock,
)

SECOND = 1_000_000_000
START = 1_795_356_000 * SECOND
DELAY = 630_000_000


def arrival(index: int, late_seconds: float = 10, seconds: float = 10) -> Arrival:
    """A segment of a run that started at START, written so long after its media ended."""
    begin, end = index * 10 * SECOND, index * 10 * SECOND + round(seconds * SECOND)
    return Arrival(index, START + end + round(late_seconds * SECOND) + DELAY, begin, end)


NOTHING = WrittenClocks()
ALL = WrittenClocks(manifest_ns=START - SECOND // 2, playlist_ns=START + SECOND)


def test_what_livekit_says_is_the_best_clock() -> None:
    assert run_clock(START + 1, [arrival(0), arrival(1)], ALL, ended=True) == (START + 1, Clock.STARTED_AT)


def test_arrival_is_next_although_egress_wrote_clocks_too() -> None:
    assert run_clock(None, [arrival(0), arrival(1)], ALL, ended=True) == (START, Clock.ARRIVAL)


def test_a_segment_arrives_as_late_as_the_next_one_is_long() -> None:
    arrivals = [arrival(4, late_seconds=2.5), arrival(5, seconds=2.5)]
    assert run_clock(None, arrivals, NOTHING, ended=False) == (START, Clock.ARRIVAL)


def test_the_only_segment_of_a_run_that_has_ended_arrived_at_once() -> None:
    only = Arrival(0, START + 4 * SECOND, 0, 4 * SECOND)
    assert run_clock(None, [only], NOTHING, ended=True) == (START, Clock.ARRIVAL)


def test_behind_a_lost_segment_each_is_taken_to_be_as_long_as_the_one_before() -> None:
    assert run_clock(None, [arrival(0), arrival(2)], NOTHING, ended=False) == (START, Clock.ARRIVAL)


@pytest.mark.parametrize(
    ("written", "expected"),
    [
        (ALL, (START - SECOND // 2, Clock.MANIFEST)),
        (WrittenClocks(playlist_ns=START + SECOND), (START + SECOND, Clock.PROGRAM_DATE_TIME)),
    ],
)
def test_files_that_were_copied_later_tell_no_clock(
    written: WrittenClocks, expected: tuple[int, Clock]
) -> None:
    copied = Arrival(0, START + 86_400 * SECOND, 0, 10 * SECOND)
    assert run_clock(None, [copied], written, ended=False) == expected


def test_a_playlist_that_is_eleven_seconds_late_is_no_sign_of_copies() -> None:
    late = WrittenClocks(playlist_ns=START + 11 * SECOND)
    assert run_clock(None, [arrival(0), arrival(1)], late, ended=False) == (START, Clock.ARRIVAL)


def test_without_any_source_there_is_no_clock() -> None:
    assert run_clock(None, [], NOTHING, ended=True) is None


@pytest.mark.parametrize(
    "content",
    [
        b"",
        b"[1]",
        b'{"started_at": true}',
        b'{"started_at": 1e18}',
        b"[" * 100_000,
        b'{"started_at": %d}' % (1 << 70),
    ],
    ids=["empty", "a list", "a truth", "a float", "nested", "far away"],
)
def test_a_manifest_that_makes_no_sense_tells_nothing(content: bytes) -> None:
    assert manifest_started_at_ns(content) is None
