"""Waiting for what a process, a thread or a loop does: with a deadline, and no guess at how long it takes."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import Any

PATIENCE_SECONDS = 60.0
"""Only bounds a hang: on a busy machine all that is waited for takes many times as long."""


async def until(
    what: str, look: Callable[[], Any], *, pause_seconds: float = 0.05, seconds: float = PATIENCE_SECONDS
) -> None:
    """Wait until `look`, awaited if need be, gives something true.

    Args:
        what: What is then there, for the message.
        look: Looks for it.
        pause_seconds: From one look to the next.
        seconds: How long to wait at most.

    Raises:
        AssertionError: It was not there in time.
    """
    try:
        async with asyncio.timeout(seconds):
            while True:
                found = look()
                if await found if asyncio.iscoroutine(found) else found:
                    return
                await asyncio.sleep(pause_seconds)
    except TimeoutError:
        raise AssertionError(f"there was not {what} within {seconds:.0f} s") from None
