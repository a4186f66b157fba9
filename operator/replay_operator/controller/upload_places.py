"""How many clips are uploaded at once, who is woken when a place gets free, and what the figures say."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable
from datetime import datetime

from replay_operator.api.replaycapture import ReplayCapture
from replay_operator.api.upload import UploadState
from replay_operator.controller.jobs import JobStore
from replay_operator.controller.store import ObjectStore
from replay_operator.domain.upload_line import due_uploads, waiting_since
from replay_operator.metrics import OperatorMetrics


class UploadPlaces:
    """Hands out the places for upload Jobs, from the Jobs that exist.

    All it remembers by itself is who is being given a place right now: two reconciles at once must not take
    the same one.

    Args:
        places: Upload Jobs at once.
        captures: All captures.
        jobs: All upload Jobs.
        wake: Has captures reconciled.
        metrics: Where the figures go.
        clock: Gives the time.
    """

    def __init__(
        self,
        *,
        places: int,
        captures: ObjectStore[ReplayCapture],
        jobs: JobStore,
        wake: Callable[[frozenset[str]], None],
        metrics: OperatorMetrics,
        clock: Callable[[], datetime],
    ) -> None:
        self._places = places
        self._captures = captures
        self._jobs = jobs
        self._wake = wake
        self._metrics = metrics
        self._clock = clock
        self._starting: set[str] = set()

    @property
    def is_free(self) -> bool:
        """Whether one more clip may be uploaded."""
        return len(self._running()) < self._places

    def take(self, uid: str) -> None:
        """Note that a capture is about to get its Job; `started` ends that."""
        self._starting.add(uid)

    def started(self, uid: str) -> None:
        """Note that the Job speaks for itself now, or that its start failed."""
        self._starting.discard(uid)

    def look(self) -> None:
        """Wake those who have waited longest, as many as there are places, and count."""
        now, running = self._clock(), self._running()
        states = Counter(c.status.upload.state for c in self._captures if c.status.upload is not None)
        for state in UploadState:
            self._metrics.upload_clips.labels(state=state).set(states[state])
        since = [at for capture in self._captures if (at := waiting_since(capture)) is not None]
        oldest = (now - min(since)).total_seconds() if since else 0.0
        self._metrics.upload_oldest_seconds.set(max(0.0, oldest))
        self._metrics.upload_jobs.set(len(running))
        free = self._places - len(running)
        if free > 0 and (due := due_uploads(self._captures, now, running=running)):
            self._wake(frozenset(due[:free]))

    def _running(self) -> frozenset[str]:
        return self._jobs.running_captures() | self._starting
