"""Leader election over a Lease: at any moment at most one process believes that it leads (DESIGN §5).

The Kubernetes client's own elector keeps leaders whose renewals hang. Here the belief has a time limit that
needs no event loop, no answer and no other machine's clock: `Elector.is_leading`.
"""

from __future__ import annotations

import asyncio
import logging
import math
import secrets
import time
from collections.abc import Callable, Coroutine
from datetime import datetime
from typing import Any, NoReturn, Protocol, TypeVar

from replay_operator.cluster.gateway import ClusterError, Conflict
from replay_operator.domain.leadership import (
    LeaseRecord,
    LeaseTimings,
    Observation,
    Renew,
    Wait,
    decide,
    epoch_floor,
    observe,
    released,
    renewed,
    taken,
)

T = TypeVar("T")

log = logging.getLogger(__name__)


class LeadershipLost(Exception):
    """This process no longer leads: it must do nothing more and end."""


class LeaseStore(Protocol):
    """Where the Lease lies. Its text names it in messages."""

    async def read(self) -> LeaseRecord | None:
        """Read the record; None: there is no Lease. Raises ClusterError."""

    async def write(self, record: LeaseRecord) -> LeaseRecord:
        """Store a record over the version that it names. Raises Conflict if that has changed."""


class Elector:
    """One candidate. A process makes one, acquires, works beside `hold`, ends its work, and releases.

    Args:
        lease: The Lease. Give it connections of its own: a renewal must not queue behind other requests.
        pod_name: Begins this process's identity. A random end makes it new at each start of the process,
            because the process before it in the same pod may have left actions in flight.
        utc_now: Gives the time of day. It is written for people, and the floor of the epoch comes from it.
        timings: How long things may take.
        monotonic: Gives the seconds by which everything is decided.
        may_renew: Whether the work that the Lease stands for still goes on. A process that renews beside
            work that hangs would keep everybody else from it.
    """

    def __init__(
        self,
        lease: LeaseStore,
        *,
        pod_name: str,
        utc_now: Callable[[], datetime],
        timings: LeaseTimings | None = None,
        monotonic: Callable[[], float] = time.monotonic,
        may_renew: Callable[[], bool] = lambda: True,
    ) -> None:
        self.identity = f"{pod_name}_{secrets.token_hex(4)}"
        self._lease = lease
        self._utc_now = utc_now
        self._timings = timings or LeaseTimings()
        self._monotonic = monotonic
        self._may_renew = may_renew
        self._held = LeaseRecord()  # the last record that we are known to have stored
        self._renewed_at = -math.inf
        self._may_hold = False  # whether a record with our name may be stored

    @property
    def is_leading(self) -> bool:
        """Whether this process may act: its last successful renewal is younger than the deadline."""
        return self._monotonic() < self._leads_until

    @property
    def _leads_until(self) -> float:
        return self._renewed_at + self._timings.renew_deadline_seconds

    async def acquire(self) -> int:
        """Wait until this process leads, however long the API server is away.

        Returns:
            The epoch: higher than that of every leader before.
        """
        self._renewed_at = -math.inf
        seen: Observation | None = None
        while not self.is_leading:
            try:
                seen = await self._look(seen)
                delay = await self._campaign(seen)
            except Conflict:
                log.info("%s changed while we tried to take it: somebody else was faster", self._lease)
                delay = self._timings.retry_seconds
            except (ClusterError, TimeoutError) as error:
                log.warning("%s cannot be had, trying again: %s", self._lease, _why(error))
                delay = self._timings.retry_seconds
            await asyncio.sleep(delay)
        log.info("%s: %s leads with epoch %d", self._lease, self.identity, self._held.transitions)
        return self._held.transitions

    async def hold(self) -> NoReturn:
        """Renew for as long as this process leads.

        It returns at the renew deadline even if a request hangs. Cancel it before `release`.

        Raises:
            LeadershipLost: The deadline passed without a renewal, or somebody else leads.
        """
        try:
            while True:
                async with asyncio.timeout(self._leads_until - self._monotonic()):
                    await self._renew()
        except TimeoutError:
            raise LeadershipLost(
                f"{self._lease}: no renewal for {self._timings.renew_deadline_seconds} s, so somebody else "
                "may lead soon. Is the API server well, and may we update leases?"
            ) from None
        finally:
            self._renewed_at = -math.inf

    async def release(self) -> None:
        """Give the Lease up if it is ours, so that the next candidate need not wait until it runs out.

        Call it when everything that only a leader may do has ended. It takes at most two request
        time-outs, and never fails: what cannot be given up runs out. A candidate that has never tried to take
        the Lease asks nobody, so that it ends at once when the API server hangs.
        """
        self._renewed_at = -math.inf
        if not self._may_hold:
            return
        try:
            async with asyncio.timeout(2 * self._timings.request_seconds):
                while not await self._given_up():
                    continue
        except (ClusterError, TimeoutError) as error:
            log.warning(
                "%s could not be given up (%s): the next leader waits until it runs out, %d s",
                self._lease,
                _why(error),
                self._timings.lease_seconds,
            )

    async def _look(self, before: Observation | None) -> Observation:
        seen = observe(before, await self._answer(self._lease.read()), self._monotonic())
        holder = seen.record.holder
        if holder and (before is None or before.record.holder != holder):
            log.info("%s: %s leads, we stand by", self._lease, holder)
        return seen

    async def _campaign(self, seen: Observation) -> float:
        """Take the Lease if it is free, and give the seconds until the next look."""
        decision = decide(
            seen, identity=self.identity, epoch=None, timings=self._timings, now=self._monotonic()
        )
        if isinstance(decision, Wait):
            return decision.seconds
        now = self._utc_now()
        await self._write(
            taken(
                seen.record,
                identity=self.identity,
                lease_seconds=self._timings.lease_seconds,
                first_epoch=epoch_floor(now),
                wall_now=now,
            )
        )
        return 0.0

    async def _renew(self) -> None:
        """Wait until the next renewal is due, and try until one is stored."""
        due_at = self._renewed_at + self._timings.retry_seconds
        while True:
            await asyncio.sleep(due_at - self._monotonic())
            # Not counted from the answer: a request that hung has waited long enough.
            due_at = self._monotonic() + self._timings.retry_seconds
            if not self._may_renew():
                log.error("%s is not renewed: the operator beside it hangs", self._lease)
                continue
            try:
                await self._write(renewed(self._held, wall_now=self._utc_now()))
            except Conflict:
                if await self._is_still_ours():
                    due_at = self._monotonic()
            except (ClusterError, TimeoutError) as error:
                log.warning("%s was not renewed, trying again: %s", self._lease, _why(error))
            else:
                return

    async def _is_still_ours(self) -> bool:
        """Look what a refused renewal means: a renewal whose answer was lost, or somebody else's write.

        Returns:
            Whether to renew over what was found; False: nobody knows yet.

        Raises:
            LeadershipLost: The Lease is not ours any more.
        """
        try:
            stored = await self._answer(self._lease.read())
        except (ClusterError, TimeoutError) as error:
            log.warning("%s changed, and could not be read: %s", self._lease, _why(error))
            return False
        now = self._monotonic()
        seen = observe(None, stored, now)
        epoch = self._held.transitions
        decision = decide(seen, identity=self.identity, epoch=epoch, timings=self._timings, now=now)
        if not isinstance(decision, Renew):
            who = f"{seen.record.holder} leads" if seen.record.holder else "it was deleted or emptied"
            raise LeadershipLost(f"{self._lease} is no longer ours: {who}")
        self._held = seen.record
        return True

    async def _given_up(self) -> bool:
        stored = await self._lease.read()
        if stored is None or stored.holder != self.identity:
            return True
        try:
            await self._lease.write(released(stored, wall_now=self._utc_now()))
        except Conflict:
            return False  # a renewal that was under way came in between
        log.info("%s was given up", self._lease)
        return True

    async def _write(self, record: LeaseRecord) -> None:
        # Counted from before the request: others may see the record as soon as the server has stored it.
        sent_at = self._monotonic()
        self._may_hold = True
        self._held = await self._answer(self._lease.write(record))
        self._renewed_at = sent_at

    async def _answer(self, request: Coroutine[Any, Any, T]) -> T:
        async with asyncio.timeout(self._timings.request_seconds):
            return await request


def _why(error: Exception) -> str:
    return str(error) or "no answer in time"
