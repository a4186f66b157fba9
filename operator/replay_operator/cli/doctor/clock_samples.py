"""Asks a clock again and again, until it has been seen to pass from one second to the next."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from email.utils import parsedate_to_datetime

from replay_operator.cli.doctor.network import now
from replay_operator.domain.checks.clocks import (
    HTTP_DATE_SECONDS,
    ClockBounds,
    ClockSample,
    clock_bounds,
)

WATCH_SECONDS = HTTP_DATE_SECONDS + 0.2
PAUSE_SECONDS = 0.05
"""So precisely is a clock known at best; a tenth of what is allowed."""


async def watch_clock(name: str, ask: Callable[[], Awaitable[str]]) -> ClockBounds:
    """Watch a clock for a bit more than one second.

    Args:
        name: Whose clock.
        ask: Gives the text of a header `Date`.

    Raises:
        ValueError: It tells no time.
    """
    samples: list[ClockSample] = []
    loop = asyncio.get_running_loop()
    end = loop.time() + WATCH_SECONDS
    while loop.time() < end:
        sent_at = now()
        date = await ask()
        heard_at = now()
        if not date:
            raise ValueError("its answers have no header Date")
        samples.append(ClockSample(sent_at, heard_at, parsedate_to_datetime(date)))
        await asyncio.sleep(PAUSE_SECONDS)
    return clock_bounds(name, samples, resolution_seconds=HTTP_DATE_SECONDS)
