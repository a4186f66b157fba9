"""How far clocks are apart, told from HTTP dates that are cut to whole seconds."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import UTC, datetime, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from replay_operator.domain.checks.clocks import (
    HERE,
    LAPTOP,
    ClockBounds,
    ClockSample,
    clock_bounds,
    judge_clocks,
)
from replay_operator.domain.checks.verdict import Level

T0 = datetime(2026, 11, 23, 12, 0, tzinfo=UTC)
PAUSE, WATCH = 0.05, 1.2


def dates(ahead: float, *, begin: float = 0.0, trip: float = 0.004) -> list[ClockSample]:
    """What is heard of a clock that is so far ahead, and reads its time in the middle of each trip."""
    samples, at = [], begin
    while at < begin + WATCH:
        sent = T0 + timedelta(seconds=at)
        there = sent + timedelta(seconds=trip / 2 + ahead)
        samples.append(ClockSample(sent, sent + timedelta(seconds=trip), there.replace(microsecond=0)))
        at += trip + PAUSE
    return samples


@given(ahead=st.floats(-5, 5), begin=st.floats(0, 3), trip=st.floats(0.0005, 0.1, allow_subnormal=False))
def test_a_clock_is_known_to_within_a_pause_and_a_trip(ahead: float, begin: float, trip: float) -> None:
    bounds = clock_bounds("x", dates(ahead, begin=begin, trip=trip), resolution_seconds=1)
    assert bounds.low_seconds - 1e-5 <= ahead <= bounds.high_seconds + 1e-5
    assert bounds.high_seconds - bounds.low_seconds <= PAUSE + 2 * trip + 1e-5


def test_one_exact_answer_is_known_to_within_its_trip() -> None:
    sample = ClockSample(T0, T0 + timedelta(seconds=0.01), T0 + timedelta(seconds=2))
    bounds = clock_bounds("agent", [sample], resolution_seconds=0)
    assert (bounds.low_seconds, bounds.high_seconds) == (pytest.approx(1.99), 2.0)


def test_machines_that_disagree_under_one_name_are_as_wide_as_they_disagree() -> None:
    mixed = [*dates(0.0), *dates(3.0)]
    bounds = clock_bounds("behind a balancer", mixed, resolution_seconds=1)
    assert bounds.high_seconds - bounds.low_seconds > 2.5


def judged(*clocks: ClockBounds, unseen: Sequence[str] = ()) -> tuple[Level, str]:
    verdict = judge_clocks((ClockBounds(HERE, 0, 0), *clocks), unseen)
    return verdict.level, verdict.message


def test_clocks_within_the_limit_pass() -> None:
    assert judged(ClockBounds("a", -0.2, -0.1), ClockBounds("b", 0.1, 0.2))[0] is Level.PASS


def test_clocks_that_are_surely_apart_fail_with_both_names() -> None:
    level, message = judged(ClockBounds("a", -0.4, -0.3), ClockBounds("b", 0.3, 0.4))
    assert level is Level.FAIL
    assert "b" in message
    assert "a" in message
    assert "0.6 s" in message


def test_clocks_that_were_heard_too_slowly_are_a_warning_and_no_failure() -> None:
    assert judged(ClockBounds("a", -0.4, 0.4))[0] is Level.WARN


def test_a_clock_that_was_not_heard_is_named() -> None:
    assert "LiveKit" in judged(ClockBounds("a", 0, 0), unseen=["LiveKit"])[1]


def test_the_clock_of_a_laptop_is_no_part_of_the_system_but_is_told() -> None:
    laptop = ClockBounds(LAPTOP, 0, 0)
    pair = (ClockBounds("a", 3.0, 3.1), ClockBounds("b", 3.1, 3.2))
    verdict = judge_clocks((laptop, *pair), ())
    assert verdict.level is Level.WARN
    assert "own clock is 3.1 s off" in verdict.message
    near = (ClockBounds("a", 0.0, 0.1), ClockBounds("b", 0.1, 0.2))
    assert judge_clocks((laptop, *near), ()).level is Level.PASS
