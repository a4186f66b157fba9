"""What the agent does again and again."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable

LEAST_REST = 0.25
"""Of an interval: on a volume where a round takes longer than its interval, others must get their turn."""


def rest_seconds(interval_seconds: float, took_seconds: float) -> float:
    """Give how long to rest, so that rounds begin an interval apart. Pure.

    Resting for a whole interval after each round made the oldest segments lie for as long as the round took
    beyond their time: 16 s in place of 10, where 500 recordings kept the disk busy (`make bench-load`).

    Args:
        interval_seconds: From the beginning of a round to that of the next.
        took_seconds: What the round has taken.
    """
    return max(interval_seconds - took_seconds, interval_seconds * LEAST_REST)


async def repeat(
    work: Callable[[], Awaitable[None]],
    interval_seconds: float,
    *,
    stop: asyncio.Event,
    monotonic: Callable[[], float],
) -> None:
    """Do something once an interval, until it is told to stop.

    Args:
        work: One round.
        interval_seconds: From the beginning of a round to that of the next.
        stop: Set when it must end; a round that has begun comes to its own end.
        monotonic: A clock, in seconds.
    """
    while not stop.is_set():
        began = monotonic()
        await work()
        await _rest(rest_seconds(interval_seconds, monotonic() - began), stop)


async def _rest(seconds: float, stop: asyncio.Event) -> None:
    try:
        async with asyncio.timeout(seconds):
            await stop.wait()
    except TimeoutError:
        return
