"""A second event loop, for what must be in time however busy the first one is."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Coroutine
from typing import Any, Self, TypeVar

T = TypeVar("T")


class OwnLoop:
    """An event loop in a thread of its own; use it as a context manager.

    In a loop with thousands of ready tasks each step of a request waits until all of them have had their
    turn: at 5000 objects a renewal of the Lease was late by seconds (benchmarks/README.md). Threads take
    turns every few milliseconds.

    Args:
        name: Of the thread.
    """

    def __init__(self, name: str) -> None:
        self._thread = threading.Thread(target=lambda: asyncio.run(self._serve()), name=name, daemon=True)
        self._begun = threading.Event()
        self._loop: asyncio.AbstractEventLoop
        self._closing: asyncio.Event

    async def __aenter__(self) -> Self:
        self._thread.start()
        await asyncio.to_thread(self._begun.wait)
        return self

    async def __aexit__(self, *_: object) -> None:
        self._loop.call_soon_threadsafe(self._closing.set)
        await asyncio.to_thread(self._thread.join)

    async def run(self, work: Coroutine[Any, Any, T]) -> T:
        """Run a coroutine there, and wait for it here. To cancel the one is to cancel the other.

        Args:
            work: What is made there must be used and closed there.
        """
        return await asyncio.wrap_future(asyncio.run_coroutine_threadsafe(work, self._loop))

    async def _serve(self) -> None:
        self._loop, self._closing = asyncio.get_running_loop(), asyncio.Event()
        self._begun.set()
        await self._closing.wait()
