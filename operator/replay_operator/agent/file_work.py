"""Runs blocking file operations beside the event loop, a few at a time."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import ParamSpec, TypeVar

P = ParamSpec("P")
T = TypeVar("T")

AT_ONCE = 5
"""File operations at once: they hide a network disk's latency and do not crowd out the egress workers."""


class FileWork:
    """A bounded way into threads: a stalled volume holds up to five of them and never the event loop."""

    def __init__(self) -> None:
        self._places = asyncio.Semaphore(AT_ONCE)

    async def run(self, work: Callable[P, T], *args: P.args, **kwargs: P.kwargs) -> T:
        """Call `work` in a thread and give its answer.

        Args:
            work: A blocking function.
            *args: Its arguments.
            **kwargs: Its keyword arguments.
        """
        async with self._places:
            return await asyncio.to_thread(work, *args, **kwargs)
