"""The one list call that all buffers share: what LiveKit holds, how old that is, and what changed."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Mapping
from contextlib import suppress
from dataclasses import dataclass
from datetime import UTC, datetime
from types import MappingProxyType

from replay_operator.domain.egress import Egress
from replay_operator.livekit.errors import LiveKitError
from replay_operator.livekit.port import LiveKit

INTERVAL_SECONDS = 5.0
"""A list takes 2 to 20 ms (livekit-measured §1), and liveness comes from files: the list may be this old."""

GAP_SECONDS = 0.5
"""Least time between two lists, so that many starts and webhooks at once become one list."""

RESTS = 9
"""Between two lists at least so many times what the last one took, though never more than the interval: when
thousands of egresses start, each start asks for a list, and lists must not be all that is done."""

MAX_BACKOFF_SECONDS = 15.0
"""Longest wait while LiveKit is away: it is back within seconds (6 to 9 s measured, livekit-measured §3)."""

_NEVER = datetime.min.replace(tzinfo=UTC)


@dataclass(frozen=True, slots=True)
class Snapshot:
    """LiveKit's active egresses by id.

    `asked_at` is when the list call was sent: it says nothing about an egress that was started later.
    `generation` counts list calls and, unlike clocks, never steps back. `complete` is False until the first
    list has arrived: an empty snapshot then means nothing.
    """

    egresses: Mapping[str, Egress]
    asked_at: datetime
    as_of: datetime
    generation: int
    complete: bool


def changed_ids(old: Mapping[str, Egress], new: Mapping[str, Egress]) -> frozenset[str]:
    """Give the ids of egresses that appeared, vanished or changed.

    Args:
        old: Egresses by id.
        new: The same, later.
    """
    return frozenset(
        id_
        for id_ in old.keys() | new.keys()
        # Nearly all are the very same object (`LiveKitAdapter.list_active`): seen sooner than equality.
        if (before := old.get(id_)) is not (after := new.get(id_)) and before != after
    )


def rest_seconds(took_seconds: float, *, gap_seconds: float, interval_seconds: float) -> float:
    """Give the least wait after a list.

    Args:
        took_seconds: From the question until the answer was taken in, in seconds.
        gap_seconds: The shortest wait, in seconds.
        interval_seconds: The longest one, in seconds.
    """
    return max(gap_seconds, min(took_seconds * RESTS, interval_seconds))


def backoff_seconds(failures: int, *, gap_seconds: float, max_seconds: float) -> float:
    """Give the wait after some failures in a row: doubling, bounded.

    Args:
        failures: Failures in a row, at least one.
        gap_seconds: The first wait, in seconds.
        max_seconds: The longest wait, in seconds.
    """
    doublings = min(failures - 1, 32)  # an outage of weeks must not overflow a float
    return float(min(gap_seconds * 2**doublings, max_seconds))


async def wait_for_event(event: asyncio.Event, seconds: float) -> None:
    """Wait until the event is set, at most so many seconds.

    Args:
        event: What to wait for.
        seconds: At most how long.
    """
    with suppress(TimeoutError):
        async with asyncio.timeout(seconds):
            await event.wait()


class SnapshotPoller:
    """Asks LiveKit for its active egresses again and again, one call at a time, and keeps the last answer.

    Everything is called in the event loop that runs `run`.

    Args:
        livekit: Whom to ask.
        on_change: Called with the ids of egresses that appeared, vanished or changed; it must not block.
        clock: Gives the time.
        interval_seconds: From one answer to the next question, in seconds.
        gap_seconds: Least time between two questions, in seconds; also the first back-off.
        max_backoff_seconds: Longest wait while LiveKit is away, in seconds.
        sleep: Waits so many seconds.
        wait: Waits until an event is set, at most so many seconds.
    """

    def __init__(
        self,
        livekit: LiveKit,
        on_change: Callable[[frozenset[str]], None],
        clock: Callable[[], datetime],
        *,
        interval_seconds: float = INTERVAL_SECONDS,
        gap_seconds: float = GAP_SECONDS,
        max_backoff_seconds: float = MAX_BACKOFF_SECONDS,
        sleep: Callable[[float], Awaitable[None]] = asyncio.sleep,
        wait: Callable[[asyncio.Event, float], Awaitable[None]] = wait_for_event,
    ) -> None:
        self._livekit = livekit
        self._on_change = on_change
        self._clock = clock
        self._interval_seconds = interval_seconds
        self._gap_seconds = gap_seconds
        self._max_backoff_seconds = max_backoff_seconds
        self._sleep = sleep
        self._wait = wait
        self._poked = asyncio.Event()
        self._running = False
        self._generation = 0
        self._failures = 0
        self._snapshot = Snapshot(MappingProxyType({}), _NEVER, _NEVER, generation=0, complete=False)
        self._unreachable_since: datetime | None = None
        self._last_error: LiveKitError | None = None

    @property
    def snapshot(self) -> Snapshot:
        """The last list that arrived; kept while LiveKit is away."""
        return self._snapshot

    @property
    def unreachable_since(self) -> datetime | None:
        """When the first of the calls was sent that have failed since the last answer, or None."""
        return self._unreachable_since

    @property
    def silent_seconds(self) -> float:
        """For how long LiveKit has not answered; 0 while it does."""
        since = self._unreachable_since
        return 0.0 if since is None else (self._clock() - since).total_seconds()

    @property
    def last_error(self) -> LiveKitError | None:
        """Why the last call failed, or None when it did not."""
        return self._last_error

    def poke(self) -> int:
        """Ask for a list at once, after our own start or stop.

        Returns:
            The generation that a snapshot must have reached to be asked for after this call.
        """
        self._poked.set()
        return self._generation + 1

    async def run(self) -> None:
        """Poll until cancelled. What `on_change` raises ends it: that is a fault of the caller.

        Raises:
            RuntimeError: It runs already; two of them would overlap.
        """
        if self._running:
            raise RuntimeError("the snapshot poller runs already: start it once")
        self._running = True
        try:
            while True:
                await self._pause(await self._poll())
        finally:
            self._running = False

    async def _poll(self) -> float:
        """Ask once; give the seconds that it took."""
        # Cleared before the call is sent: who pokes during the call wants a list that is asked for later.
        self._poked.clear()
        self._generation += 1
        asked_at = self._clock()
        try:
            egresses = await self._livekit.list_active()
        except LiveKitError as error:
            self._failures += 1
            self._last_error = error
            self._unreachable_since = self._unreachable_since or asked_at
        else:
            self._failures = 0
            self._last_error = None
            self._unreachable_since = None
            self._take(Snapshot(_by_id(egresses), asked_at, self._clock(), self._generation, complete=True))
        return (self._clock() - asked_at).total_seconds()

    def _take(self, snapshot: Snapshot) -> None:
        changed = changed_ids(self._snapshot.egresses, snapshot.egresses)
        self._snapshot = snapshot
        if changed:
            self._on_change(changed)

    async def _pause(self, took_seconds: float) -> None:
        if self._failures:
            # A poke does not shorten this wait, or a thousand buffers would hammer a LiveKit that is down.
            seconds = backoff_seconds(
                self._failures, gap_seconds=self._gap_seconds, max_seconds=self._max_backoff_seconds
            )
            await self._sleep(seconds)
            return
        rest = rest_seconds(
            took_seconds, gap_seconds=self._gap_seconds, interval_seconds=self._interval_seconds
        )
        await self._sleep(rest)
        await self._wait(self._poked, self._interval_seconds - rest)


def _by_id(egresses: tuple[Egress, ...]) -> Mapping[str, Egress]:
    return MappingProxyType({egress.id: egress for egress in egresses})
