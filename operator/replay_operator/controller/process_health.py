"""Whether this process is alive and ready: what the kubelet asks, before and while it leads."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable

from replay_operator.controller.live_figures import LiveFigures
from replay_operator.controller.operator import Operator
from replay_operator.metrics import OperatorMetrics

HEARTBEAT_SECONDS = 5.0

ALIVE_WITHIN_SECONDS = 60.0
"""How old the last beat of the event loop may be."""

RENEW_WITHIN_SECONDS = 20.0
"""A loop that is merely busy is late by some seconds; one that hangs must not keep the Lease from others."""

QUEUE_WITHIN_SECONDS = 180.0
"""Every call has a time limit, the longest 30 s, and one reconcile makes several."""

WATCH_WITHIN_SECONDS = 180.0
"""kopf takes a watch for dead after 70 s without a word, and tries again with pauses of up to 25 s."""


class ProcessHealth:
    """What the health server shows.

    Ready does not mean leader: a candidate that waits its turn is ready too. Dead is what a new process
    would mend: an event loop that is blocked, a queue whose workers all hang, a watch that is deaf.

    Args:
        monotonic: Gives the seconds by which the event loop is judged.
    """

    def __init__(self, monotonic: Callable[[], float] = time.monotonic) -> None:
        self.metrics = OperatorMetrics()
        self.is_waiting = False
        self._operator: Operator | None = None
        self._monotonic = monotonic
        self._beat = monotonic()

    def works_with(self, operator: Operator) -> None:
        """Take in what this process does as leader."""
        self._operator = operator
        LiveFigures(operator, self.metrics)

    async def beat(self) -> None:
        """Beat for ever: a blocked event loop cannot."""
        while True:
            self._beat = self._monotonic()
            await asyncio.sleep(HEARTBEAT_SECONDS)

    def is_beating(self) -> bool:
        """Tell whether the event loop goes on. It may be asked from any thread."""
        return self._monotonic() - self._beat <= RENEW_WITHIN_SECONDS

    def why_dead(self) -> str | None:
        """Say what a new process would mend, or None."""
        if self._monotonic() - self._beat > ALIVE_WITHIN_SECONDS:
            return "the event loop stood still"
        if self._operator is None:
            return None
        if self._operator.queue.still_seconds > QUEUE_WITHIN_SECONDS:
            return "the work queue stands still: every worker hangs"
        for store in (self._operator.inbox.buffers, self._operator.inbox.captures):
            if store.watch_late_seconds > WATCH_WITHIN_SECONDS:
                return "a watch is deaf: it does not tell what the API server has long had"
        return None

    def is_ready(self) -> bool:
        """Tell whether this process waits its turn, or leads and has listed everything."""
        return self.is_waiting if self._operator is None else self._operator.install.is_whole
