"""What happens in a soak, and when: a pure function of a seed."""

from __future__ import annotations

import random
from collections.abc import Iterator
from dataclasses import dataclass
from enum import StrEnum

from tests.chaos.plan import Fault, FaultKind, make_plan

ENDS_A_PROCESS = frozenset(
    {
        FaultKind.OPERATOR_KILLED,
        FaultKind.OPERATOR_POD_DELETED,
        FaultKind.OPERATOR_FROZEN,
        FaultKind.LEASE_HANGS,
        FaultKind.AGENT_KILLED,
        FaultKind.API_SERVER_FROZEN,
        FaultKind.API_SERVER_KILLED,
        FaultKind.ETCD_KILLED,
        FaultKind.API_SERVER_FAILS,
        FaultKind.API_CALLS_SLOW,
    }
)
"""Operator or agent end with these, or may when the Lease cannot be renewed for 8 s. What grows slowly shows
only in a process that lives long, so a soak leaves them out; storms have them (`make chaos`)."""

_SECONDS_PER_MINUTE = 60.0
_FAULTS_TO_CHOOSE_FROM = 10_000


class DeedKind(StrEnum):
    """What is done to the system."""

    CAPTURE = "capture"
    CHURN = "churn"
    FAULT = "fault"


@dataclass(frozen=True, slots=True)
class Rates:
    """How often each kind comes, in the mean, a minute."""

    captures: float
    churns: float
    faults: float

    def of(self, kind: DeedKind) -> float:
        """Give the rate of one kind.

        Args:
            kind: Which.
        """
        by_kind = {
            DeedKind.CAPTURE: self.captures,
            DeedKind.CHURN: self.churns,
            DeedKind.FAULT: self.faults,
        }
        return by_kind[kind]


@dataclass(frozen=True, slots=True)
class Deed:
    """One thing that is done.

    Attributes:
        pause_seconds: How long nothing is done before it.
        kind: What.
        target: Which buffer, modulo their number.
        keeps_clip: A capture's: whether its clip stays when the object goes.
        fault: A fault's: which.
    """

    pause_seconds: float
    kind: DeedKind
    target: int
    keeps_clip: bool
    fault: Fault | None


def deeds(*, seed: int, rates: Rates, with_restarts: bool) -> Iterator[Deed]:
    """Give the deeds without end; the same seed gives the same ones. They come as a Poisson process.

    Args:
        seed: Of everything.
        rates: How often each kind comes.
        with_restarts: Also faults that end operator or agent.
    """
    chance = random.Random(seed)  # noqa: S311 - a plan that can be made again
    kinds = [kind for kind in DeedKind if rates.of(kind) > 0]
    weights = [rates.of(kind) for kind in kinds]
    faults = _faults(seed, with_restarts=with_restarts)
    while kinds:
        (kind,) = chance.choices(kinds, weights)
        yield Deed(
            pause_seconds=chance.expovariate(sum(weights) / _SECONDS_PER_MINUTE),
            kind=kind,
            target=chance.randrange(1000),
            keeps_clip=chance.random() < 0.5,
            fault=next(faults) if kind is DeedKind.FAULT else None,
        )


def _faults(seed: int, *, with_restarts: bool) -> Iterator[Fault]:
    plan = make_plan(seed=seed, faults=_FAULTS_TO_CHOOSE_FROM)
    for storm in plan.storms:
        yield from (fault for fault in storm if with_restarts or fault.kind not in ENDS_A_PROCESS)
