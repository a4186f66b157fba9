"""The parts of Kubernetes metadata and status that both resources share."""

from __future__ import annotations

from datetime import datetime
from enum import StrEnum
from typing import Annotated

from pydantic import AwareDatetime, Field

from replay_operator.api.model import ApiModel


class ConditionStatus(StrEnum):
    """What is known about a condition."""

    TRUE = "True"
    FALSE = "False"
    UNKNOWN = "Unknown"


class Condition(ApiModel):
    """One observation about the object, as the Kubernetes API conventions define it."""

    type: Annotated[str, Field(max_length=316, description="Name of the condition, such as Ready.")]
    status: Annotated[ConditionStatus, Field(description="True, False or Unknown.")]
    observed_generation: Annotated[
        int, Field(ge=0, description="metadata.generation that this condition was computed from.")
    ]
    last_transition_time: Annotated[AwareDatetime, Field(description="When status last changed.")]
    reason: Annotated[
        str,
        Field(
            min_length=1,
            max_length=1024,
            pattern="^[A-Za-z]([A-Za-z0-9_,:]*[A-Za-z0-9_])?$",
            description="Why, as one CamelCase word from the documented list.",
        ),
    ]
    message: Annotated[str, Field(max_length=32768, description="Why, for people, and what to do.")]


class ObjectMeta(ApiModel):
    """The metadata that decisions need."""

    name: str
    namespace: str
    uid: str
    generation: int = 1
    creation_timestamp: AwareDatetime
    deletion_timestamp: AwareDatetime | None = None
    resource_version: str = ""
    finalizers: tuple[str, ...] = ()
    annotations: dict[str, str] = Field(default_factory=dict)
    labels: dict[str, str] = Field(default_factory=dict)


def set_condition(
    conditions: tuple[Condition, ...],
    type_: str,
    status: ConditionStatus,
    *,
    reason: str,
    message: str,
    generation: int,
    now: datetime,
) -> tuple[Condition, ...]:
    """Give the conditions with one of them set.

    `lastTransitionTime` moves only when the status does, so that a changed message does not
    look like a transition.

    Args:
        conditions: The conditions as they are.
        type_: Which condition.
        status: Its new status.
        reason: CamelCase word.
        message: Sentence for people.
        generation: `metadata.generation` of the object that was looked at.
        now: Time of the observation.
    """
    old = next((c for c in conditions if c.type == type_), None)
    since = old.last_transition_time if old is not None and old.status == status else now
    new = Condition(
        type=type_,
        status=status,
        observed_generation=generation,
        last_transition_time=since,
        reason=reason,
        message=message,
    )
    if old is None:
        return (*conditions, new)
    return tuple(new if c.type == type_ else c for c in conditions)


def drop_condition(conditions: tuple[Condition, ...], type_: str) -> tuple[Condition, ...]:
    """Give the conditions without one type. Reconciling and Stalled are absent when all is well (kstatus)."""
    return tuple(c for c in conditions if c.type != type_)


def find_condition(conditions: tuple[Condition, ...], type_: str) -> Condition | None:
    """Give the condition of a type, or None."""
    return next((c for c in conditions if c.type == type_), None)
