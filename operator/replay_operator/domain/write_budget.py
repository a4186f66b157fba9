"""What a volume's measured writes allow: the budget for `REPLAY_WRITE_BUDGET_MBPS`."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from replay_operator.domain.recording_cost import MEGABYTE

DEADLINE_SHARE = 0.5
"""A segment has to be stored in half of its duration, because the next one comes after the whole of it."""

SAFE_SHARE = 0.7
"""The rest is for what is not a buffer's steady writing: captures and the agent read, and a hand-over records
twice for two segments (DESIGN §6.5)."""


@dataclass(frozen=True, slots=True)
class Spread:
    """How long something took."""

    median_seconds: float
    worst_seconds: float


@dataclass(frozen=True, slots=True)
class WriteStep:
    """What a number of writers at once did, each without a pause.

    Attributes:
        writers: How many.
        segments: Segments that were stored.
        bytes_per_second: Of all together, stored.
        buffered: From creation until the last write had returned: what the page cache makes of it.
        stored: From creation until the segment was on the disk.
        given_up: Writers that had not stored a segment within its duration.
    """

    writers: int
    segments: int
    bytes_per_second: float
    buffered: Spread
    stored: Spread
    given_up: int = 0

    def keeps(self, deadline_seconds: float) -> bool:
        """Say whether every segment was stored in time.

        Args:
            deadline_seconds: The time that one may take.
        """
        return self.segments > 0 and not self.given_up and self.stored.worst_seconds <= deadline_seconds


@dataclass(frozen=True, slots=True)
class WriteBudget:
    """What may be admitted to the volume.

    Attributes:
        writers: The most writers at once that kept the deadline.
        measured_bytes_per_second: The most that so many, or fewer, stored.
        suggested_mbps: The setting, in MB/s.
        buffers: Buffers of the measured kind that this admits.
    """

    writers: int
    measured_bytes_per_second: float
    suggested_mbps: int
    buffers: int


def deadline_seconds(segment_seconds: float) -> float:
    """Give the time in which a segment has to be stored.

    Args:
        segment_seconds: Its duration.
    """
    return segment_seconds * DEADLINE_SHARE


def write_budget(
    steps: Sequence[WriteStep], *, segment_seconds: float, bytes_per_second: float
) -> WriteBudget | None:
    """Choose the budget, or give None when the volume is too slow for a single buffer.

    A step counts only when all smaller ones kept the deadline too: one lucky step proves nothing.

    Args:
        steps: What was measured.
        segment_seconds: Duration of one segment.
        bytes_per_second: Rate of one buffer.
    """
    kept = list[WriteStep]()
    for step in sorted(steps, key=lambda step: step.writers):
        if not step.keeps(deadline_seconds(segment_seconds)):
            break
        kept.append(step)
    if not kept:
        return None
    measured = max(step.bytes_per_second for step in kept)
    suggested_mbps = int(measured * SAFE_SHARE / MEGABYTE)
    buffers = int(suggested_mbps * MEGABYTE / bytes_per_second)
    if not buffers:
        return None
    return WriteBudget(kept[-1].writers, measured, suggested_mbps, buffers)
