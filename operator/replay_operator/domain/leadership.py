"""Who may lead: pure decisions over a Lease and the reader's own monotonic clock (DESIGN §5, Leader).

The times written in the Lease are for people. Clocks of machines differ, so no decision reads them: a
candidate counts from the moment at which it saw the record change, a leader from the moment at which it
sent its last successful renewal. The leader's count is the shorter one, and it begins earlier.
"""

from __future__ import annotations

import math
from dataclasses import dataclass, replace
from datetime import datetime


@dataclass(frozen=True, slots=True)
class LeaseTimings:
    """How long things may take, in seconds.

    A leader stops by itself `lease_seconds - renew_deadline_seconds` before anybody may follow it: 4 s. In
    that time it ends its loops, and clocks may run at rates that differ by a third. Eight seconds hold
    three tries to renew, of which two may hang or be refused. Kubernetes holds its API servers to one second
    a request: one that has taken 2.5 s is better sent again.

    A leader that dies is replaced after `lease_seconds + retry_seconds` at most: 14 s, well below the 60 s
    after which an agent takes its operator for silent (DESIGN §4).

    Raises:
        ValueError: The order of the times would let two lead, or leaves no room for one renewal.
    """

    lease_seconds: int = 12
    renew_deadline_seconds: float = 8.0
    request_seconds: float = 2.5
    retry_seconds: float = 2.0

    def __post_init__(self) -> None:
        if not 0 < self.renew_deadline_seconds < self.lease_seconds:
            raise ValueError(
                f"renew deadline {self.renew_deadline_seconds} s, lease {self.lease_seconds} s: the deadline "
                "must be shorter, or two lead at once"
            )
        if self.request_seconds <= 0 or self.retry_seconds <= 0:
            raise ValueError("the request time-out and the retry interval must be longer than 0 s")
        if self.retry_seconds + self.request_seconds >= self.renew_deadline_seconds:
            raise ValueError(
                f"one renewal takes up to {self.retry_seconds} s + {self.request_seconds} s: it must fit "
                f"into the renew deadline of {self.renew_deadline_seconds} s"
            )


@dataclass(frozen=True, slots=True)
class LeaseRecord:
    """What a Lease says.

    `version` is its resourceVersion, which a write is guarded by; empty: there is no such Lease (any more).
    An empty holder means that nobody leads. `transitions` is the epoch of the agent protocol.
    """

    version: str = ""
    holder: str = ""
    lease_seconds: int = 0
    transitions: int = 0
    acquired_at: datetime | None = None
    renewed_at: datetime | None = None


@dataclass(frozen=True, slots=True)
class Observation:
    """A record, and since when (monotonic seconds of the reader) it has been seen unchanged."""

    record: LeaseRecord
    unchanged_since: float


@dataclass(frozen=True, slots=True)
class Wait:
    """Somebody else leads, or may still do so: look again after so many seconds."""

    seconds: float


@dataclass(frozen=True, slots=True)
class Take:
    """Nobody leads: write a claim over the record that was seen."""


@dataclass(frozen=True, slots=True)
class Renew:
    """We lead by this record: write it again."""


Decision = Wait | Take | Renew


def observe(before: Observation | None, stored: LeaseRecord | None, now: float) -> Observation:
    """Note a look at the Lease.

    A Lease that vanishes still counts as last seen, so that deleting it by hand does not make two leaders.

    Args:
        before: The look before this one.
        stored: What the Lease says; None: there is none.
        now: Monotonic seconds at which the answer was there. The moment of asking would be too early: the
            record may have been written between the two.
    """
    if stored is None:
        stored = replace(before.record, version="") if before else LeaseRecord()
    if before is not None and before.record.version == stored.version:
        return before
    return Observation(stored, unchanged_since=now)


def decide(
    seen: Observation, *, identity: str, epoch: int | None, timings: LeaseTimings, now: float
) -> Decision:
    """Say what to do about a Lease.

    Args:
        seen: The last look at it.
        identity: Who we are; no other process ever has this name.
        epoch: The epoch by which we lead; None: we do not. A record in our name that we do not lead by is
            what an earlier try left, whose answer never came: it is taken anew, under a new epoch.
        timings: Our settings. The holder's own lease time counts where it is longer.
        now: Monotonic seconds.
    """
    record = seen.record
    if record.holder == identity:
        return Renew() if epoch is not None and record.transitions == epoch else Take()
    if not record.holder:
        return Take()
    lease_seconds = max(record.lease_seconds, timings.lease_seconds)
    remaining = seen.unchanged_since + lease_seconds - now
    # A lease that is given up must be noticed long before it would have run out.
    return Wait(min(remaining, timings.retry_seconds)) if remaining > 0 else Take()


def taken(
    record: LeaseRecord, *, identity: str, lease_seconds: int, first_epoch: int, wall_now: datetime
) -> LeaseRecord:
    """Give the record by which we begin to lead, under an epoch that no leader before us had.

    Args:
        record: The record that was seen.
        identity: Who we are.
        lease_seconds: How long others must see no change before they may follow us.
        first_epoch: The lowest epoch allowed; see `epoch_floor`.
        wall_now: Time of day, for people who read the Lease.
    """
    return LeaseRecord(
        version=record.version,
        holder=identity,
        lease_seconds=lease_seconds,
        transitions=max(record.transitions + 1, first_epoch),
        acquired_at=wall_now,
        renewed_at=wall_now,
    )


def epoch_floor(wall_now: datetime) -> int:
    """Give the minutes since 1970: the epoch under which nobody begins.

    An agent refuses every epoch below the highest it has heard. Without a floor, a Lease that was deleted,
    or restored from a backup, would begin to count below that and no policy would ever be taken again.
    Minutes, because `leaseTransitions` is a signed 32 bit number and hand-overs are rarer than one a minute.
    """
    return math.floor(wall_now.timestamp() / 60)


def renewed(record: LeaseRecord, *, wall_now: datetime) -> LeaseRecord:
    """Give the record that says that we still lead.

    Args:
        record: The record that was stored last.
        wall_now: Time of day, for people who read the Lease.
    """
    return replace(record, renewed_at=wall_now)


def released(record: LeaseRecord, *, wall_now: datetime) -> LeaseRecord:
    """Give the record that says that nobody leads; the epoch stays, so that the next is higher.

    Args:
        record: The record that was stored last.
        wall_now: Time of day, for people who read the Lease.
    """
    return replace(record, holder="", renewed_at=wall_now)
