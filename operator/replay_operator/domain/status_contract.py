"""The status contract: each state of an object, and what its conditions then say.

One table for both kinds. kstatus and Argo CD health are derived from the same conditions, so a reader who
knows this table knows what `kubectl wait`, a GitOps tool and a dashboard will say.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum

from replay_operator.api.meta import (
    Condition,
    ConditionStatus,
    drop_condition,
    find_condition,
    set_condition,
)

READY = "Ready"
RECONCILING = "Reconciling"
STALLED = "Stalled"
RECORDING = "Recording"

TRUE, FALSE, UNKNOWN = ConditionStatus.TRUE, ConditionStatus.FALSE, ConditionStatus.UNKNOWN


@dataclass(frozen=True, slots=True)
class Contract:
    """What the conditions say in one state. Reconciling and Stalled are absent unless true (kstatus)."""

    ready: ConditionStatus
    reconciling: bool = False
    stalled: bool = False
    recording: ConditionStatus | None = None


class BufferState(StrEnum):
    """The states of a buffer. The value is the reason that its conditions carry."""

    STARTING = "Starting"
    WAITING_FOR_SOURCE = "WaitingForSource"
    WAITING_FOR_ADMISSION = "WaitingForAdmission"
    WAITING_FOR_CAPACITY = "WaitingForCapacity"
    WAITING_FOR_STORAGE = "WaitingForStorage"
    WAITING_FOR_LIVEKIT = "WaitingForLiveKit"
    RECORDING = "Recording"
    UNCERTAIN = "CoverageUnknown"
    RUN_SILENT = "RunSilent"
    WORKER_LOST = "WorkerLost"
    CPU_EXHAUSTED = "CPUExhausted"
    EGRESS_FAILED = "EgressFailed"
    EGRESS_ABORTED = "EgressAborted"
    EGRESS_LIMIT_REACHED = "EgressLimitReached"
    EGRESS_ENDED = "EgressEnded"
    SOURCE_GONE = "SourceGone"
    ENDED = "Ended"
    TRACK_NOT_FOUND = "TrackNotFound"
    SUSPENDED = "Suspended"
    REFUSED = "RefusedByLiveKit"


RESTARTS = frozenset(
    {
        BufferState.RUN_SILENT,
        BufferState.WORKER_LOST,
        BufferState.CPU_EXHAUSTED,
        BufferState.EGRESS_FAILED,
        BufferState.EGRESS_ABORTED,
        BufferState.EGRESS_LIMIT_REACHED,
        BufferState.EGRESS_ENDED,
    }
)
"""A run has ended that should not have: another one is started, and the reason says why."""

FINAL = frozenset({BufferState.ENDED, BufferState.TRACK_NOT_FOUND})
"""Nothing will be recorded any more: the fixed tracks are gone, and LiveKit never gives an id twice."""

BUFFER_CONTRACT: dict[BufferState, Contract] = {
    BufferState.STARTING: Contract(ready=FALSE, reconciling=True, recording=FALSE),
    BufferState.WAITING_FOR_SOURCE: Contract(ready=TRUE, recording=FALSE),
    BufferState.WAITING_FOR_ADMISSION: Contract(ready=FALSE, reconciling=True, recording=FALSE),
    BufferState.WAITING_FOR_CAPACITY: Contract(ready=FALSE, reconciling=True, recording=FALSE),
    BufferState.WAITING_FOR_STORAGE: Contract(ready=FALSE, reconciling=True, recording=FALSE),
    BufferState.WAITING_FOR_LIVEKIT: Contract(ready=FALSE, reconciling=True, recording=FALSE),
    BufferState.RECORDING: Contract(ready=TRUE, recording=TRUE),
    BufferState.UNCERTAIN: Contract(ready=TRUE, recording=UNKNOWN),
    **dict.fromkeys(RESTARTS, Contract(ready=FALSE, reconciling=True, recording=FALSE)),
    BufferState.SOURCE_GONE: Contract(ready=TRUE, recording=FALSE),
    BufferState.ENDED: Contract(ready=TRUE, recording=FALSE),
    BufferState.TRACK_NOT_FOUND: Contract(ready=FALSE, stalled=True, recording=FALSE),
    BufferState.SUSPENDED: Contract(ready=TRUE, recording=FALSE),
    BufferState.REFUSED: Contract(ready=FALSE, stalled=True, recording=FALSE),
}


class CaptureState(StrEnum):
    """The states of a capture before it has failed. The value is the reason that its conditions carry."""

    WAITING_FOR_BUFFER = "WaitingForBuffer"
    WAITING_FOR_PIN = "WaitingForPin"
    WAITING_FOR_TAIL = "WaitingForTail"
    QUEUED = "Queued"
    CUTTING = "Cutting"
    READY = "ClipReady"
    FAILED = "Failed"


CAPTURE_CONTRACT: dict[CaptureState, Contract] = {
    CaptureState.WAITING_FOR_BUFFER: Contract(ready=FALSE, reconciling=True),
    CaptureState.WAITING_FOR_PIN: Contract(ready=FALSE, reconciling=True),
    CaptureState.WAITING_FOR_TAIL: Contract(ready=FALSE, reconciling=True),
    CaptureState.QUEUED: Contract(ready=FALSE, reconciling=True),
    CaptureState.CUTTING: Contract(ready=FALSE, reconciling=True),
    CaptureState.READY: Contract(ready=TRUE),
    CaptureState.FAILED: Contract(ready=FALSE, stalled=True),
}


def conditions_of(
    old: tuple[Condition, ...],
    contract: Contract,
    *,
    reason: str,
    message: str,
    generation: int,
    now: datetime,
) -> tuple[Condition, ...]:
    """Give the conditions of a state, with transition times carried over from the old ones.

    Args:
        old: Conditions as they are.
        contract: Row of the table.
        reason: CamelCase word that all of them carry.
        message: Sentence that all of them carry.
        generation: Generation that was looked at.
        now: Time of the observation.
    """
    wanted: Iterable[tuple[str, ConditionStatus | None]] = (
        (READY, contract.ready),
        (RECORDING, contract.recording),
        (RECONCILING, TRUE if contract.reconciling else None),
        (STALLED, TRUE if contract.stalled else None),
    )
    conditions = old
    for type_, status in wanted:
        if status is None:
            conditions = drop_condition(conditions, type_)
        else:
            conditions = set_condition(
                conditions, type_, status, reason=reason, message=message, generation=generation, now=now
            )
    return conditions


def is_true(conditions: tuple[Condition, ...], type_: str) -> bool:
    """Tell whether a condition is there and true."""
    condition = find_condition(conditions, type_)
    return condition is not None and condition.status is TRUE


class KStatus(StrEnum):
    """What kstatus computes; `kubectl wait`, Flux and others act on it."""

    CURRENT = "Current"
    IN_PROGRESS = "InProgress"
    FAILED = "Failed"


def kstatus(generation: int, observed_generation: int, conditions: tuple[Condition, ...]) -> KStatus:
    """Compute kstatus as its library does for a custom resource.

    Args:
        generation: metadata.generation.
        observed_generation: status.observedGeneration.
        conditions: status.conditions.
    """
    if generation != observed_generation or is_true(conditions, RECONCILING):
        return KStatus.IN_PROGRESS
    if is_true(conditions, STALLED):
        return KStatus.FAILED
    ready = find_condition(conditions, READY)
    return KStatus.CURRENT if ready is None or ready.status is TRUE else KStatus.IN_PROGRESS
