"""Retention as properties: what must never go, and that everything else goes in the end."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from replay_operator.api.agent import BufferPolicy, Pin, Policy
from replay_operator.domain.egress import datetime_to_ns
from replay_operator.domain.retention import (
    NEWEST_KEPT,
    StoredSegment,
    beyond_byte_limit,
    deletion_allowed,
    orphans_due,
    orphans_since,
    removable_segments,
    spare_segments,
    window_cutoff,
)

T0 = datetime(2026, 11, 22, 12, 0, tzinfo=UTC)
FOREVER = timedelta(days=365)


def after(seconds: float) -> datetime:
    return T0 + timedelta(seconds=seconds)


def policy(
    *,
    pins: tuple[Pin, ...] = (),
    frozen_at: datetime | None = None,
    expires_at: datetime | None = None,
    window_seconds: int = 60,
) -> BufferPolicy:
    return BufferPolicy(
        path="ns/uid",
        window_seconds=window_seconds,
        slack_seconds=10,
        segment_seconds=6,
        frozen_at=frozen_at,
        expires_at=expires_at,
        pins=pins,
    )


def pin(start: float, end: float) -> Pin:
    return Pin(capture_uid="c", start=after(start), end=after(end))


def stored_segment(run: str, index: int, start: datetime, end: datetime, *, size: int = 188) -> StoredSegment:
    return StoredSegment(run, index, datetime_to_ns(start), datetime_to_ns(end), size)


def touches(segment: StoredSegment, held: Pin) -> bool:
    return segment.start_ns <= datetime_to_ns(held.end) and segment.end_ns >= datetime_to_ns(held.start)


def run_of(name: str, *, start: float, lengths: list[float]) -> list[StoredSegment]:
    segments: list[StoredSegment] = []
    at = start
    for index, length in enumerate(lengths):
        segments.append(stored_segment(name, index, after(at), after(at + length)))
        at += length
    return segments


lengths = st.lists(st.floats(min_value=0.1, max_value=80, allow_nan=False), max_size=12)
instants = st.floats(min_value=-200, max_value=600, allow_nan=False)


@st.composite
def buffers(draw: st.DrawFn) -> list[StoredSegment]:
    segments = [
        segment
        for name in draw(st.sets(st.sampled_from(["a", "b", "c"])))
        for segment in run_of(name, start=draw(instants), lengths=draw(lengths))
        if draw(st.booleans()) or draw(st.booleans())
    ]
    return draw(st.permutations(segments))


@st.composite
def pin_ranges(draw: st.DrawFn) -> Pin:
    start = draw(instants)
    return pin(start, start + draw(st.floats(min_value=0, max_value=120)))


policies = st.builds(
    policy,
    pins=st.lists(pin_ranges(), max_size=3).map(tuple),
    frozen_at=st.none() | instants.map(after),
    expires_at=st.none() | instants.map(after),
    window_seconds=st.integers(min_value=0, max_value=300),
)
live = st.sets(st.sampled_from(["a", "b", "c"]))


@given(policies, buffers(), live, instants)
def test_what_overlaps_the_window_never_goes_before_the_buffer_expires(
    rules: BufferPolicy, stored: list[StoredSegment], live_runs: set[str], now: float
) -> None:
    window_end = rules.frozen_at or after(now)
    window_start = window_end - timedelta(seconds=rules.window_seconds)
    expired = rules.expires_at is not None and rules.expires_at <= after(now)

    gone = removable_segments(rules, stored, live_runs=live_runs, now=after(now))

    assert expired or not [s for s in gone if s.end_ns >= datetime_to_ns(window_start)]


@given(policies, buffers(), live, instants)
def test_what_overlaps_a_pin_and_its_neighbours_never_go(
    rules: BufferPolicy, stored: list[StoredSegment], live_runs: set[str], now: float
) -> None:
    gone = removable_segments(rules, stored, live_runs=live_runs, now=after(now))

    for name in {s.run for s in stored}:
        run = sorted((s for s in stored if s.run == name), key=lambda s: s.index)
        for position, segment in enumerate(run):
            if any(touches(segment, p) for p in rules.pins):
                assert not set(run[max(0, position - 1) : position + 2]) & set(gone)


@given(policies, buffers(), live, instants)
def test_the_newest_two_of_a_live_run_stay_whatever_the_clock_says(
    rules: BufferPolicy, stored: list[StoredSegment], live_runs: set[str], now: float
) -> None:
    for moment in (after(now), after(now) + FOREVER):
        gone = removable_segments(rules, stored, live_runs=live_runs, now=moment)
        for name in live_runs:
            run = sorted((s for s in stored if s.run == name), key=lambda s: s.index)
            assert not set(run[-NEWEST_KEPT:]) & set(gone)


@given(policies, buffers())
def test_everything_that_nothing_protects_goes_in_the_end(
    rules: BufferPolicy, stored: list[StoredSegment]
) -> None:
    unpinned = rules.model_copy(update={"pins": (), "frozen_at": None})

    gone = removable_segments(unpinned, stored, live_runs=(), now=T0 + FOREVER)

    assert set(gone) == set(stored)
    assert [(s.run, s.index) for s in gone if s.run == "a"] == sorted(
        (s.run, s.index) for s in stored if s.run == "a"
    )


def test_a_segment_goes_by_its_end_and_not_by_its_start() -> None:
    stored = run_of("a", start=0, lengths=[6, 6])

    assert removable_segments(policy(), stored, live_runs=(), now=after(76)) == []
    assert removable_segments(policy(), stored, live_runs=(), now=after(76.1)) == stored[:1]


def test_the_window_of_a_gone_source_does_not_move() -> None:
    stored = run_of("a", start=0, lengths=[6] * 20)
    frozen = policy(frozen_at=after(120))

    gone = removable_segments(frozen, stored, live_runs=(), now=after(5000))

    assert [s.index for s in gone] == list(range(8))


def test_after_expiry_only_pins_stay() -> None:
    stored = run_of("a", start=0, lengths=[6] * 20)
    expired = policy(frozen_at=after(120), expires_at=after(200), pins=(pin(61, 62),))

    gone = removable_segments(expired, stored, live_runs=(), now=after(200))

    assert {s.index for s in stored} - {s.index for s in gone} == {9, 10, 11}


def test_a_pin_on_one_run_keeps_nothing_of_another_one() -> None:
    stored = run_of("a", start=0, lengths=[6] * 3) + run_of("b", start=500, lengths=[6] * 3)
    rules = policy(pins=(pin(505, 507),))

    gone = removable_segments(rules, stored, live_runs=(), now=T0 + FOREVER)

    assert {s.run for s in gone} == {"a"}


def complete_policy(*paths: str, complete: bool = True) -> Policy:
    named = tuple(BufferPolicy(path=p, window_seconds=60, slack_seconds=0, segment_seconds=6) for p in paths)
    return Policy(epoch=1, seq=1, complete=complete, buffers=named)


def test_an_orphan_is_due_after_its_grace_period() -> None:
    rules = complete_policy("ns/named")
    since = orphans_since({}, on_disk=["ns/named", "ns/lost"], policy=rules, now_seconds=100)

    assert since == {"ns/lost": 100}
    assert orphans_due(since, policy=rules, now_seconds=699, grace_seconds=600) == []
    assert orphans_due(since, policy=rules, now_seconds=700, grace_seconds=600) == ["ns/lost"]


def test_a_directory_that_is_named_again_starts_its_grace_period_anew() -> None:
    lost = orphans_since({}, on_disk=["ns/a"], policy=complete_policy(), now_seconds=0)
    named = orphans_since(lost, on_disk=["ns/a"], policy=complete_policy("ns/a"), now_seconds=500)
    lost_again = orphans_since(named, on_disk=["ns/a"], policy=complete_policy(), now_seconds=600)

    assert named == {}
    assert lost_again == {"ns/a": 600}


def test_an_incomplete_policy_neither_makes_nor_removes_an_orphan() -> None:
    partial = complete_policy(complete=False)

    assert orphans_since({}, on_disk=["ns/a"], policy=partial, now_seconds=0) == {}
    since = orphans_since({"ns/a": 0.0}, on_disk=["ns/a"], policy=partial, now_seconds=900)
    assert since == {"ns/a": 0.0}
    assert orphans_due(since, policy=partial, now_seconds=900, grace_seconds=600) == []


@pytest.mark.parametrize(
    ("now_seconds", "heard_seconds", "allowed"),
    [(1000, None, False), (1000, 941, True), (1000, 940, True), (1000, 939, False), (29, 20, False)],
)
def test_nothing_may_go_while_the_operator_is_silent_or_the_agent_is_new(
    now_seconds: float, heard_seconds: float | None, *, allowed: bool
) -> None:
    assert (
        deletion_allowed(
            now_seconds=now_seconds,
            started_seconds=0,
            heard_seconds=heard_seconds,
            silence_seconds=60,
            startup_quiet_seconds=30,
        )
        is allowed
    )


def test_what_is_to_be_forgotten_goes_at_once_pinned_live_or_not() -> None:
    segments = run_of("r1", start=0, lengths=[6] * 5)
    wish = policy(pins=(pin(0, 30),)).model_copy(update={"forget_before": after(13)})
    gone = removable_segments(wish, segments, live_runs={"r1"}, now=after(31))
    assert [s.index for s in gone] == [0, 1, 2], "also the one that began before"
    everything = policy().model_copy(update={"forget_before": after(1000)})
    assert len(removable_segments(everything, segments, live_runs={"r1"}, now=after(31))) == 5


def limited(max_bytes: int, **changes: Any) -> BufferPolicy:
    return policy(**changes).model_copy(update={"max_bytes": max_bytes})


def test_a_buffer_larger_than_it_may_be_loses_its_oldest_inside_the_window() -> None:
    stored = run_of("a", start=0, lengths=[6] * 10)

    def gone(rules: BufferPolicy) -> list[int]:
        return [s.index for s in beyond_byte_limit(rules, stored, live_runs=(), now=after(60))]

    assert gone(limited(188 * 7)) == [0, 1, 2]
    assert gone(limited(188 * 10)) == []
    assert gone(policy()) == []


def test_what_a_pin_holds_outside_the_window_does_not_count_against_the_limit() -> None:
    stored = run_of("a", start=0, lengths=[6] * 100)
    pinned = limited(188 * 15, pins=(pin(0, 400),))

    assert beyond_byte_limit(pinned, stored, live_runs=(), now=after(600)) == []


@given(policies, buffers(), live, st.integers(min_value=1, max_value=5000), instants)
def test_the_byte_limit_spares_pins_and_the_newest_of_live_runs_and_takes_no_more_than_it_must(
    rules: BufferPolicy, stored: list[StoredSegment], live_runs: set[str], max_bytes: int, now: float
) -> None:
    rules = rules.model_copy(update={"max_bytes": max_bytes})
    gone = beyond_byte_limit(rules, stored, live_runs=live_runs, now=after(now))
    cutoff_ns = datetime_to_ns(window_cutoff(rules, after(now)))
    inside = [s for s in stored if s.end_ns >= cutoff_ns]
    spare = [s for s in spare_segments(rules.pins, stored, live_runs=live_runs) if s in inside]
    left = sum(s.bytes for s in inside) - sum(s.bytes for s in gone)

    assert gone == spare[: len(gone)]
    assert left <= max_bytes or gone == spare
    assert not gone or left + gone[-1].bytes > max_bytes
