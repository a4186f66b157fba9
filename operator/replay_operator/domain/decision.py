"""What is decided about a buffer: what to do, and what to say."""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from datetime import datetime

from replay_operator.domain.egress import Egress, RecordedPair
from replay_operator.domain.observation import StartMemory
from replay_operator.domain.status_contract import BufferState


@dataclass(frozen=True, slots=True)
class Start:
    """Start a new run of these tracks."""

    pair: RecordedPair


@dataclass(frozen=True, slots=True)
class Stop:
    """Stop an egress."""

    egress: Egress
    why: str


Action = Start | Stop


@dataclass(frozen=True, slots=True)
class Decision:
    """What to do now, and what to say.

    `recheck` is when the decision must be made again though nothing has been heard.
    """

    state: BufferState
    message: str
    actions: tuple[Action, ...] = ()
    current: Egress | None = None
    memory: StartMemory = field(default_factory=StartMemory)
    recheck: datetime | None = None


def after_failed_start(decision: Decision, memory: StartMemory) -> Decision:
    """Turn a decision whose start has failed into the wait that follows.

    A hand-over whose start failed goes on recording: only a buffer without a run waits visibly.

    Args:
        decision: What was decided.
        memory: What `after_failure` remembers of the failure.
    """
    waiting = replace(decision, memory=memory, recheck=memory.retry_at)
    if memory.failure is None or decision.current is not None:
        return waiting
    return replace(waiting, state=memory.failure, message=memory.message)
