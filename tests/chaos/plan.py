"""What goes wrong, and when: a pure function of a seed, so that a bad run can be made again."""

from __future__ import annotations

import random
from dataclasses import dataclass
from enum import StrEnum

FAULTS_PER_STORM = 4
_LONGEST_PAUSE_SECONDS = 2.0
_TARGETS = 1000
"""A target is taken modulo the count of buffers: anything well above that will do."""


class FaultKind(StrEnum):
    """One way in which a part fails."""

    OPERATOR_KILLED = "operator killed"
    OPERATOR_POD_DELETED = "operator pod deleted"
    OPERATOR_FROZEN = "operator frozen"
    LEASE_HANGS = "renewals of the Lease hang"
    AGENT_KILLED = "agent killed"
    AGENT_FROZEN = "agent frozen"
    API_SERVER_FROZEN = "API server frozen"
    API_SERVER_KILLED = "API server killed"
    ETCD_KILLED = "etcd killed"
    API_SERVER_FAILS = "API server answers 503"
    API_CALLS_FAIL = "API calls fail at random"
    API_CALLS_SLOW = "API calls are slow"
    WATCHES_CUT = "watches cut, told 410"
    LIVEKIT_REFUSES = "LiveKit answers 503"
    LIVEKIT_SILENT = "LiveKit does not answer"
    LIVEKIT_HANGS_UP = "LiveKit closes connections"
    LIVEKIT_SLOW = "LiveKit is slow"
    LIVEKIT_FORGETS = "LiveKit lists nothing"
    LIVEKIT_EMPTY = "LiveKit lists nothing for long"
    WEBHOOKS_LIE = "webhooks repeated and forged"
    WORKER_DRAINED = "worker pod deleted"
    CLOCK_JUMPED = "clock of a run jumps"
    WORKER_KILLED = "worker killed"
    WORKER_INTERRUPTED = "worker ended by SIGINT"
    LIVEKIT_RESTARTED = "LiveKit's server restarts"
    PUBLISHER_RETURNS = "publisher leaves and returns"
    TRACK_REPUBLISHED = "track published anew"
    BUFFER_REPLACED = "buffer deleted, another made"


# Shortest and longest duration in seconds. What is not named happens at one instant.
_DURATIONS = {
    # Around the deadline (8 s) after which a leader does not believe in itself any more.
    FaultKind.OPERATOR_FROZEN: (4.0, 10.0),
    FaultKind.LEASE_HANGS: (4.0, 10.0),
    # Around the age at which the operator stops to believe the agent's last word (10 s).
    FaultKind.AGENT_FROZEN: (6.0, 12.0),
    FaultKind.API_SERVER_FROZEN: (2.0, 8.0),
    FaultKind.API_SERVER_KILLED: (0.0, 2.0),
    FaultKind.ETCD_KILLED: (0.0, 2.0),
    FaultKind.API_SERVER_FAILS: (3.0, 7.0),
    FaultKind.API_CALLS_FAIL: (3.0, 8.0),
    FaultKind.API_CALLS_SLOW: (3.0, 8.0),
    FaultKind.WATCHES_CUT: (2.0, 5.0),
    FaultKind.LIVEKIT_REFUSES: (2.0, 6.0),
    FaultKind.LIVEKIT_SILENT: (2.0, 6.0),
    FaultKind.LIVEKIT_HANGS_UP: (2.0, 6.0),
    FaultKind.LIVEKIT_SLOW: (2.0, 6.0),
    FaultKind.LIVEKIT_EMPTY: (2.0, 6.0),
    FaultKind.LIVEKIT_RESTARTED: (1.0, 3.0),
    FaultKind.PUBLISHER_RETURNS: (0.5, 6.0),
}


@dataclass(frozen=True, slots=True)
class Fault:
    """One fault.

    Attributes:
        kind: What fails.
        target: Which buffer, modulo their number; for a worker, the one that records it.
        seconds: How long it lasts; 0 when it is an instant.
        pause_seconds: From its begin to the begin of the next fault.
    """

    kind: FaultKind
    target: int
    seconds: float
    pause_seconds: float


@dataclass(frozen=True, slots=True)
class Plan:
    """Faults that come alone, so that each loss has one cause, and storms of several at once."""

    singles: tuple[Fault, ...]
    storms: tuple[tuple[Fault, ...], ...]


def make_plan(*, seed: int, faults: int) -> Plan:
    """Make the plan of a run.

    Args:
        seed: The same seed gives the same plan.
        faults: How many faults in all. Each kind comes once alone first; the rest are storms.
    """
    chance = random.Random(seed)
    kinds = list(FaultKind)
    singles = tuple(_fault(kind, chance.randrange(_TARGETS), chance) for kind in kinds[:faults])
    storms: list[tuple[Fault, ...]] = []
    rest = faults - len(singles)
    while rest:
        size = min(rest, FAULTS_PER_STORM)
        # One buffer, or the worker that records it: faults that do not meet are what the singles are for.
        target = chance.randrange(_TARGETS)
        storms.append(tuple(_fault(chance.choice(kinds), target, chance) for _ in range(size)))
        rest -= size
    return Plan(singles, tuple(storms))


def _fault(kind: FaultKind, target: int, chance: random.Random) -> Fault:
    shortest, longest = _DURATIONS.get(kind, (0.0, 0.0))
    return Fault(
        kind=kind,
        target=target,
        seconds=round(chance.uniform(shortest, longest), 1),
        pause_seconds=round(chance.uniform(0.0, _LONGEST_PAUSE_SECONDS), 1),
    )


@dataclass(frozen=True, slots=True)
class Step:
    """A fault begins or ends.

    Attributes:
        at_seconds: Since the begin of the storm.
        fault: Which one.
        begins: Or ends.
    """

    at_seconds: float
    fault: Fault
    begins: bool


def timeline(faults: tuple[Fault, ...]) -> list[Step]:
    """Give the begins and ends of faults in the order of time; they may overlap.

    Args:
        faults: In the order of their begins.
    """
    steps: list[Step] = []
    at_seconds = 0.0
    for fault in faults:
        steps.append(Step(at_seconds, fault, begins=True))
        if fault.seconds:
            steps.append(Step(at_seconds + fault.seconds, fault, begins=False))
        at_seconds += fault.pause_seconds
    return sorted(steps, key=lambda step: step.at_seconds)
