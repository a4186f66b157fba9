"""How often the agent's rounds begin."""

from __future__ import annotations

import asyncio

import pytest

from replay_operator.agent import rounds


@pytest.mark.parametrize(
    ("took_seconds", "rest_seconds"),
    [(0.0, 10.0), (4.0, 6.0), (7.5, 2.5), (9.0, 2.5), (60.0, 2.5)],
    ids=["no time", "some", "most", "nearly all", "more than there is"],
)
def test_rounds_begin_an_interval_apart_and_never_without_a_rest(
    took_seconds: float, rest_seconds: float
) -> None:
    assert rounds.rest_seconds(10.0, took_seconds) == rest_seconds


async def test_what_a_round_takes_is_part_of_its_interval(monkeypatch: pytest.MonkeyPatch) -> None:
    now, began, stop = [100.0], list[float](), asyncio.Event()

    async def rest(seconds: float, stop: asyncio.Event) -> None:
        now[0] += seconds

    async def work() -> None:
        began.append(now[0])
        now[0] += 6.0
        if len(began) == 3:
            stop.set()

    monkeypatch.setattr(rounds, "_rest", rest)
    await rounds.repeat(work, 10.0, stop=stop, monotonic=lambda: now[0])
    assert began == [100.0, 110.0, 120.0]


async def test_a_stop_ends_the_rest_at_once() -> None:
    stop, rounds_done = asyncio.Event(), list[None]()

    async def work() -> None:
        rounds_done.append(None)
        asyncio.get_running_loop().call_soon(stop.set)

    await asyncio.wait_for(rounds.repeat(work, 3600.0, stop=stop, monotonic=lambda: 0.0), timeout=30)
    assert len(rounds_done) == 1
