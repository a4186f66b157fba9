"""What goes for the free space floor, as properties: who pays, who never does, and that it is enough."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime, timedelta

from hypothesis import given
from hypothesis import strategies as st

from replay_operator.api.agent import BufferPolicy, Pin
from replay_operator.domain.floor_victims import FloorBuffer, Victims, choose_victims
from replay_operator.domain.retention import NEWEST_KEPT, StoredSegment
from tests.unit.test_retention import after, pin, stored_segment, touches

NOW = after(1000)


def segments(count: int, *, size: int = 100, run: str = "a", end: datetime = NOW) -> list[StoredSegment]:
    """Ten seconds each, the last one of them at its end just now."""
    starts = [end - timedelta(seconds=10 * (count - index)) for index in range(count)]
    return [
        stored_segment(run, index, start, start + timedelta(seconds=10), size=size)
        for index, start in enumerate(starts)
    ]


def buffer(
    path: str,
    stored: Sequence[StoredSegment],
    *,
    window_seconds: int = 10_000,
    pins: tuple[Pin, ...] = (),
    live: bool = True,
    named: bool = True,
) -> FloorBuffer:
    policy = BufferPolicy(
        path=path, window_seconds=window_seconds, slack_seconds=0, segment_seconds=10, pins=pins
    )
    return FloorBuffer(
        path=path,
        bytes=sum(segment.bytes for segment in stored),
        policy=policy if named else None,
        live_runs={segment.run for segment in stored} if live else (),
        segments=lambda: stored,
    )


def choose(*buffers: FloorBuffer, needed_bytes: int, complete: bool = True) -> Victims:
    return choose_victims(buffers, needed_bytes=needed_bytes, complete=complete, now=NOW)


def indices(victims: Victims, path: str) -> list[int]:
    return [segment.index for segment in victims.wanted.get(path, [])]


def test_the_oldest_of_the_fattest_go_until_it_is_no_fatter_than_the_next() -> None:
    victims = choose(buffer("fat", segments(10)), buffer("thin", segments(6)), needed_bytes=600)

    assert indices(victims, "fat") == [0, 1, 2, 3, 4]
    assert indices(victims, "thin") == [0]
    assert victims.missing_bytes == 0


def test_what_left_its_window_goes_before_anything_that_somebody_asked_for() -> None:
    outside = buffer("thin", segments(6), window_seconds=30)
    victims = choose(buffer("fat", segments(50)), outside, needed_bytes=200)

    assert [segment.index for segment in victims.unasked["thin"]] == [0, 1]
    assert victims.wanted == {}


def test_a_directory_that_no_complete_policy_names_goes_first() -> None:
    orphan = buffer("orphan", segments(3), named=False, live=False)
    victims = choose(buffer("fat", segments(50)), orphan, needed_bytes=250)

    assert len(victims.unasked["orphan"]) == 3
    assert victims.wanted == {}


def test_a_directory_that_an_incomplete_policy_does_not_name_stays() -> None:
    orphan = buffer("orphan", segments(3), named=False, live=False)
    victims = choose(orphan, needed_bytes=250, complete=False)

    assert (victims.unasked, victims.wanted, victims.missing_bytes) == ({}, {}, 250)


def test_when_all_that_is_left_is_pinned_or_newest_it_says_how_much_is_missing() -> None:
    pinned = buffer("pinned", segments(10), pins=(pin(0, 2000),))
    newest = buffer("newest", segments(NEWEST_KEPT))
    victims = choose(pinned, newest, needed_bytes=500)

    assert (victims.unasked, victims.wanted, victims.missing_bytes) == ({}, {}, 500)


def test_segments_of_a_thin_buffer_are_not_even_looked_at() -> None:
    def never() -> list[StoredSegment]:
        raise AssertionError("its segments were asked for")

    fat = buffer("fat", segments(50), window_seconds=10)
    thin = FloorBuffer(path="thin", bytes=100, policy=fat.policy, live_runs=(), segments=never)
    assert choose(thin, fat, needed_bytes=100).missing_bytes == 0


@st.composite
def volumes(draw: st.DrawFn) -> list[FloorBuffer]:
    return [
        buffer(
            f"buffer-{number}",
            segments(draw(st.integers(0, 12)), size=draw(st.integers(1, 300))),
            window_seconds=draw(st.integers(0, 200)),
            pins=draw(st.lists(st.builds(pin, st.just(950), st.integers(950, 1000)), max_size=1).map(tuple)),
            live=draw(st.booleans()),
            named=draw(st.booleans()),
        )
        for number in range(draw(st.integers(1, 5)))
    ]


@given(volumes(), st.integers(1, 5000), st.booleans())
def test_nothing_pinned_and_no_newest_segment_ever_goes_and_nothing_goes_twice(
    stored: list[FloorBuffer], needed_bytes: int, complete: bool
) -> None:
    victims = choose(*stored, needed_bytes=needed_bytes, complete=complete)
    for found in stored:
        gone = victims.unasked.get(found.path, []) + victims.wanted.get(found.path, [])
        assert len(gone) == len(set(gone))
        if found.live_runs:
            assert not set(found.segments()[-NEWEST_KEPT:]) & set(gone)
        pins = found.policy.pins if found.policy else ()
        assert not [s for s in gone for p in pins if touches(s, p)]


@given(volumes(), st.integers(1, 5000), st.booleans())
def test_what_goes_and_what_is_missing_make_up_what_was_needed(
    stored: list[FloorBuffer], needed_bytes: int, complete: bool
) -> None:
    victims = choose(*stored, needed_bytes=needed_bytes, complete=complete)
    gone = [s for taken in (victims.unasked, victims.wanted) for found in taken.values() for s in found]

    freed = sum(segment.bytes for segment in gone)
    assert freed + victims.missing_bytes >= needed_bytes
    assert freed - max((segment.bytes for segment in gone), default=0) < needed_bytes, "more went than had to"


@given(volumes(), st.integers(1, 5000))
def test_no_buffer_pays_while_a_fatter_one_still_has_something_to_give(
    stored: list[FloorBuffer], needed_bytes: int
) -> None:
    victims = choose(*stored, needed_bytes=needed_bytes)
    largest = 300
    left = {
        found.path: found.bytes
        - sum(s.bytes for taken in (victims.unasked, victims.wanted) for s in taken.get(found.path, []))
        for found in stored
    }
    for payer in victims.wanted:
        for other in stored:
            pins = other.policy.pins if other.policy else ()
            gave_all = bool(pins) or bool(other.live_runs) or left[other.path] == 0
            assert gave_all or left[other.path] <= left[payer] + largest
