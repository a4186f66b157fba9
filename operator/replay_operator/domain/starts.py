"""When to start, and when to wait: back-off, and no start while an egress may exist already."""

from __future__ import annotations

from dataclasses import replace
from datetime import datetime, timedelta

from replay_operator.domain.observation import Observation, StartMemory
from replay_operator.domain.status_contract import BufferState

START_SETTLES = timedelta(seconds=30)
"""A start whose answer was lost can still come true for 27 s (livekit-measured §3)."""

MAX_BACKOFF = timedelta(seconds=60)
LIST_PATIENCE = timedelta(seconds=3)


def next_start(seen: Observation, now: datetime) -> datetime | None:
    """Give when a start must be looked at again, or None when it may happen now.

    Args:
        seen: What was observed; its memory says what failed.
        now: Time of the decision.
    """
    memory, asked_at = seen.memory, seen.livekit.asked_at
    if memory.retry_at is not None and now < memory.retry_at:
        return memory.retry_at
    needed = memory.list_needed_after
    if needed is not None and (asked_at is None or asked_at <= needed):
        return max(now, needed) + LIST_PATIENCE
    return None


def all_is_well(seen: Observation) -> StartMemory:
    """Give what must be remembered though no start is wanted: an answer that was lost may still come true.

    Args:
        seen: What was observed, with what was remembered.
    """
    needed, asked_at = seen.memory.list_needed_after, seen.livekit.asked_at
    passed = needed is None or (asked_at is not None and asked_at > needed)
    return StartMemory() if passed else StartMemory(list_needed_after=needed)


def after_failure(
    memory: StartMemory, failure: BufferState, message: str, now: datetime, *, outcome_unknown: bool
) -> StartMemory:
    """Remember that a start brought nothing: wait twice as long as last time, a minute at most.

    Args:
        memory: What was remembered.
        failure: State that the buffer waits in.
        message: Sentence for the status.
        now: When it failed.
        outcome_unknown: Whether an egress may have been made all the same.
    """
    failures = memory.failures + 1
    backoff = min(MAX_BACKOFF, timedelta(seconds=2 ** min(failures - 1, 6)))
    return StartMemory(
        failures=failures,
        retry_at=now + backoff,
        list_needed_after=now + START_SETTLES if outcome_unknown else now,
        failure=failure,
        message=message,
    )


def waits_for_place(memory: StartMemory) -> bool:
    """Tell whether the next try waits only because no worker had a place.

    Args:
        memory: What is remembered of a buffer.
    """
    return memory.failure is BufferState.WAITING_FOR_CAPACITY and memory.retry_at is not None


def place_came_free(memory: StartMemory) -> StartMemory:
    """Let a buffer that waits for a place try again at once.

    The waits begin anew as well: a worker that has just got ready may need a second until LiveKit knows it.

    Args:
        memory: What is remembered of it.
    """
    return replace(memory, retry_at=None, failures=0)
