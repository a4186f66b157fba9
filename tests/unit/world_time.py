"""The time of a simulated world: nothing waits for real, and what is planned happens on the way."""

from __future__ import annotations

import heapq
import itertools
from collections.abc import Callable
from datetime import datetime

from tests.builders import at


class SimulatedTime:
    """Seconds since the history began, and what will happen when."""

    def __init__(self) -> None:
        self.seconds = 0.0
        self._order = itertools.count()
        self._events: list[tuple[float, int, Callable[[], object]]] = []

    def now(self) -> datetime:
        return at(self.seconds)

    def after(self, seconds: float, happens: Callable[[], object]) -> None:
        heapq.heappush(self._events, (self.seconds + seconds, next(self._order), happens))

    def advance(self, seconds: float) -> None:
        """Let time pass. A call that takes time moves the clock, and everything else goes on meanwhile."""
        until = self.seconds + seconds
        while self._events and self._events[0][0] <= until:
            due, _, happens = heapq.heappop(self._events)
            self.seconds = max(self.seconds, due)
            happens()
        self.seconds = max(self.seconds, until)
