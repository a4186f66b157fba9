"""Restarts when many runs fall silent at once."""

from __future__ import annotations

from replay_operator.domain.breaker import Breaker
from tests.builders import at


def allowed(breaker: Breaker, uids: range, *, second: float, runs: int = 100) -> int:
    return sum(breaker.allow(f"uid-{n}", runs=runs, now=at(second)) for n in uids)


def test_a_few_deaths_are_acted_on_at_once() -> None:
    assert allowed(Breaker(), range(20), second=0) == 20


def test_beyond_a_fifth_of_the_runs_one_a_second_is_restarted() -> None:
    breaker = Breaker()
    allowed(breaker, range(21), second=0)
    assert breaker.is_open(100, at(0))
    assert allowed(breaker, range(21, 60), second=0.5) == 0
    assert allowed(breaker, range(21, 60), second=1.5) == 1
    assert allowed(breaker, range(21, 60), second=2.5) == 1


def test_a_small_install_needs_five_deaths_to_look_strange() -> None:
    breaker = Breaker()
    assert allowed(breaker, range(4), second=0, runs=4) == 4
    assert not breaker.is_open(4, at(0))


def test_it_closes_when_a_minute_has_passed() -> None:
    breaker = Breaker()
    allowed(breaker, range(60), second=0)
    assert breaker.is_open(100, at(59))
    assert not breaker.is_open(100, at(61))
