"""Who may have a Job now: the places of the install, and who is woken when one gets free."""

from __future__ import annotations

from collections.abc import Callable

from replay_operator.api.replaycapture import ReplayCapture
from replay_operator.controller.jobs import JobStore
from replay_operator.controller.store import ObjectStore
from replay_operator.domain.capture_queue import has_place, line
from replay_operator.metrics import OperatorMetrics


class CaptureLine:
    """Hands out the places for capture Jobs, from the captures and Jobs that exist.

    All it remembers by itself is who is being given a place right now: two reconciles at once must not take
    the same one.
    """

    def __init__(
        self,
        *,
        places: int,
        captures: ObjectStore[ReplayCapture],
        jobs: JobStore,
        wake: Callable[[frozenset[str]], None],
        metrics: OperatorMetrics,
    ) -> None:
        self._places = places
        self._captures = captures
        self._jobs = jobs
        self._wake = wake
        self._metrics = metrics
        self._starting: set[str] = set()

    def take_place(self, uid: str) -> int:
        """Take a place for a capture if it is its turn; whoever took one gives it over with `started`.

        Args:
            uid: A capture that is due.

        Returns:
            0: the place is taken. Else how many rounds of Jobs have to end first.
        """
        running = self._running() - {uid}
        waiting = line(self._captures, running=running, asking=uid)
        before = waiting.index(uid) - max(self._places - len(running), 0) if uid in waiting else 0
        # One that has a Job already, and whose status could not say so, goes on with it.
        if before < 0 or self._jobs.of_capture(uid):
            self._starting.add(uid)
            return 0
        return before // self._places + 1

    def started(self, uid: str) -> None:
        """Note that a capture's status and Job speak for themselves now, or that its start failed."""
        self._starting.discard(uid)

    def look(self) -> None:
        """Wake those whose turn it is, and count."""
        running = self._running()
        waiting = line(self._captures, running=running)
        self._metrics.capture_jobs.set(len(running))
        self._metrics.captures_queued.set(len(waiting))
        turn = waiting[: max(self._places - len(running), 0)]
        if turn:
            self._wake(frozenset(turn))

    def _running(self) -> frozenset[str]:
        told = frozenset(capture.metadata.uid for capture in self._captures if has_place(capture))
        return told | self._jobs.running_captures() | self._starting
