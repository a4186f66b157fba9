"""What to do about a PersistentVolumeClaim: make it, let it grow, or leave it and say why."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from enum import StrEnum

from replay_operator.domain.quantity import GIB, format_quantity

STEP_BYTES = 10 * GIB
STEP_SHARE = 0.1
"""A claim grows by multiples of the larger one. Growing is slow, and clouds allow few changes a day: it must
not happen with every buffer."""

GROW_PAUSE = timedelta(minutes=5)
"""Least time between two requests to grow, for the same reason."""

RETRY_REFUSED = timedelta(minutes=10)
"""How soon to ask again after the API server has refused: somebody must change a class or a quota first."""


class ClaimState(StrEnum):
    """How a claim is. The value is the reason of its Event and the label of its metric."""

    MISSING = "Missing"
    CREATION_REFUSED = "CreationRefused"
    PENDING = "Pending"
    BOUND = "Bound"
    RESIZING = "Resizing"
    FILE_SYSTEM_RESIZE_PENDING = "FileSystemResizePending"
    RESIZE_FAILED = "ResizeFailed"
    GROWTH_REFUSED = "GrowthRefused"
    AT_MAXIMUM = "AtMaximum"
    TOO_SMALL = "TooSmall"
    UNSUITABLE = "Unsuitable"
    LOST = "Lost"
    TERMINATING = "Terminating"


WARNINGS = frozenset(
    {
        ClaimState.CREATION_REFUSED,
        ClaimState.RESIZE_FAILED,
        ClaimState.GROWTH_REFUSED,
        ClaimState.AT_MAXIMUM,
        ClaimState.TOO_SMALL,
        ClaimState.UNSUITABLE,
        ClaimState.LOST,
        ClaimState.TERMINATING,
    }
)
"""States in which somebody has to do something."""

NO_VOLUME = frozenset(
    {
        ClaimState.MISSING,
        ClaimState.CREATION_REFUSED,
        ClaimState.PENDING,
        ClaimState.UNSUITABLE,
        ClaimState.LOST,
        ClaimState.TERMINATING,
    }
)
"""States that explain why nothing can be written."""


@dataclass(frozen=True, slots=True)
class ClaimPlan:
    """What an install wants of a claim. `setting` names the variable of its maximum.

    A claim is made with `min_bytes` at least, and never asked to be larger than `max_bytes`.
    """

    name: str
    min_bytes: int
    max_bytes: int
    access_mode: str
    setting: str


@dataclass(frozen=True, slots=True)
class ClaimView:
    """A claim as the API server has it.

    `declared_by` names who declares its size besides us, None when the size is ours to change. `conditions`
    are those that hold, with their messages. `grown_at` is when we last asked it to grow.
    """

    phase: str
    requested_bytes: int
    capacity_bytes: int
    declared_by: str | None = None
    access_modes: tuple[str, ...] = ()
    volume_mode: str = "Filesystem"
    conditions: Mapping[str, str] = field(default_factory=dict)
    grown_at: datetime | None = None
    terminating: bool = False


@dataclass(frozen=True, slots=True)
class Refusal:
    """The API server has said no to a request of ours, in these words."""

    size_bytes: int
    at: datetime
    message: str


@dataclass(frozen=True, slots=True)
class ClaimDecision:
    """How the claim is, and what to ask for: a new one of `make_bytes`, or `grow_to_bytes`."""

    state: ClaimState
    message: str
    make_bytes: int | None = None
    grow_to_bytes: int | None = None


def size_for(demand_bytes: int, plan: ClaimPlan, *, from_bytes: int) -> int:
    """Give the size that carries a demand, in steps above what there is, within the plan's bounds.

    Args:
        demand_bytes: What the buffers need.
        plan: Bounds.
        from_bytes: Size that there is; never less than that is given.
    """
    base = max(from_bytes, plan.min_bytes)
    if demand_bytes <= base:
        return base
    step = max(STEP_BYTES, math.ceil(base * STEP_SHARE / GIB) * GIB)
    stepped = base + math.ceil((demand_bytes - base) / step) * step
    return max(base, min(stepped, plan.max_bytes))


def decide_claim(
    claim: ClaimView | None, plan: ClaimPlan, demand_bytes: int, refusal: Refusal | None, now: datetime
) -> ClaimDecision:
    """Decide what to do about a claim.

    Only one that nobody else declares is resized, only while it is bound, and never downwards.

    Args:
        claim: As it is; None: it is not there.
        plan: What the install wants.
        demand_bytes: What the buffers that may record need.
        refusal: What the API server has said no to last; None: nothing.
        now: Time of the decision.
    """
    if claim is None:
        return _missing(plan, demand_bytes, refusal, now)
    trouble = _no_volume(claim, plan) or _unfinished(claim)
    if trouble is not None:
        return trouble
    return _bound(claim, plan, demand_bytes, refusal, now)


def _missing(plan: ClaimPlan, demand_bytes: int, refusal: Refusal | None, now: datetime) -> ClaimDecision:
    size = size_for(demand_bytes, plan, from_bytes=0)
    if refusal is not None and now - refusal.at < RETRY_REFUSED:
        return ClaimDecision(
            ClaimState.CREATION_REFUSED,
            f"The claim {plan.name} could not be made: {refusal.message}. Make it by hand, or change what "
            f"refuses it; it is tried again every {_minutes(RETRY_REFUSED)} minutes.",
        )
    return ClaimDecision(ClaimState.MISSING, f"The claim {plan.name} is being made.", make_bytes=size)


def _no_volume(claim: ClaimView, plan: ClaimPlan) -> ClaimDecision | None:
    name = plan.name
    if claim.terminating:
        return ClaimDecision(
            ClaimState.TERMINATING,
            f"Somebody has deleted the claim {name}: it goes, with its data, when no pod uses it any more.",
        )
    if claim.phase == "Lost":
        return ClaimDecision(
            ClaimState.LOST,
            f"The volume of the claim {name} is gone (phase Lost). Delete the claim to have a new one made; "
            "what was on it is lost unless the volume comes back.",
        )
    if claim.volume_mode != "Filesystem":
        return ClaimDecision(
            ClaimState.UNSUITABLE,
            f"The claim {name} has volumeMode {claim.volume_mode}: only Filesystem can be mounted.",
        )
    if not {plan.access_mode, "ReadWriteMany"} & set(claim.access_modes):
        modes = ", ".join(claim.access_modes)
        return ClaimDecision(
            ClaimState.UNSUITABLE,
            f"The claim {name} offers {modes}, and the settings say {plan.access_mode}: where pods are put "
            "follows from the settings, so make the two agree. ReadWriteOncePod cannot be used, because "
            "several pods share the volume.",
        )
    if claim.phase != "Bound":
        return ClaimDecision(
            ClaimState.PENDING,
            f"The claim {name} has no volume yet. That is normal until the agent's pod is scheduled; after "
            "that, `kubectl describe pvc` says what the storage class waits for.",
        )
    return None


def _unfinished(claim: ClaimView) -> ClaimDecision | None:
    """Tell of a growth that is under way: nothing more is asked for until it has ended."""
    for condition in ("ControllerResizeError", "NodeResizeError"):
        if condition in claim.conditions:
            return ClaimDecision(
                ClaimState.RESIZE_FAILED,
                f"The storage could not grow the volume to {format_quantity(claim.requested_bytes)}: "
                f"{claim.conditions[condition]}",
            )
    if "FileSystemResizePending" in claim.conditions:
        return ClaimDecision(
            ClaimState.FILE_SYSTEM_RESIZE_PENDING,
            "The volume has grown; its file system grows when a node mounts it the next time. Restart the "
            "agent's pod if that does not happen by itself.",
        )
    if "Resizing" in claim.conditions or 0 < claim.capacity_bytes < claim.requested_bytes:
        return ClaimDecision(
            ClaimState.RESIZING,
            f"The volume grows from {format_quantity(claim.capacity_bytes)} to "
            f"{format_quantity(claim.requested_bytes)}.",
        )
    return None


def _bound(
    claim: ClaimView, plan: ClaimPlan, demand_bytes: int, refusal: Refusal | None, now: datetime
) -> ClaimDecision:
    size = max(claim.requested_bytes, claim.capacity_bytes)
    needed = max(demand_bytes, plan.min_bytes)
    wanted = size_for(demand_bytes, plan, from_bytes=size)
    paused = claim.grown_at is not None and timedelta(0) <= now - claim.grown_at < GROW_PAUSE
    short = f"The claim {plan.name} has {_gib(size)}, and {_gib(needed)} are needed"
    if needed <= size:
        return ClaimDecision(ClaimState.BOUND, "")
    if claim.declared_by is not None:
        return ClaimDecision(
            ClaimState.TOO_SMALL,
            f"{short}. {claim.declared_by} declares its size, so it is left alone: enlarge it there.",
        )
    if wanted <= size:
        return ClaimDecision(
            ClaimState.AT_MAXIMUM,
            f"{short}, but that is its maximum ({plan.setting}). When the volume is full, windows get "
            "shorter: raise the maximum, or let fewer buffers record (REPLAY_MAX_BUFFERS).",
        )
    if refusal is not None and now - refusal.at < RETRY_REFUSED:
        return ClaimDecision(
            ClaimState.GROWTH_REFUSED,
            f"{short}; {format_quantity(refusal.size_bytes)} was refused: {refusal.message}. Take a class "
            "with allowVolumeExpansion, raise the quota, or enlarge the volume by hand; it is tried again "
            f"every {_minutes(RETRY_REFUSED)} minutes.",
        )
    if paused:
        return ClaimDecision(ClaimState.BOUND, "")
    return ClaimDecision(ClaimState.RESIZING, f"{short}: it grows.", grow_to_bytes=wanted)


def _gib(size_bytes: int) -> str:
    return f"{size_bytes / GIB:.1f} GiB"


def _minutes(span: timedelta) -> int:
    return int(span / timedelta(minutes=1))
