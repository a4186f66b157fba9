"""What the coverage of all buffers says about them as a whole: ages, drift, holes. Pure."""

from __future__ import annotations

import math
from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime

from replay_operator.api.agent import RunCoverage
from replay_operator.domain.status_contract import FINAL, RESTARTS, BufferState

SHOULD_RECORD = frozenset({BufferState.RECORDING, BufferState.UNCERTAIN, *RESTARTS})
"""In these states there is a source, a worker's place was had, and further segments are due."""

NOTHING_TO_RECORD = frozenset(
    {
        BufferState.WAITING_FOR_SOURCE,
        BufferState.SOURCE_GONE,
        BufferState.SUSPENDED,
        BufferState.REFUSED,
        *FINAL,
    }
)
"""What passes in these states is no loss: nobody published, or nobody wanted it."""

PERCENTILES = (50, 90, 99, 100)

_FRESH_SEGMENTS = 3
_FRESH_SECONDS = 5
"""A healthy run's newest media is at most 2 segments + 0.7 s old, a silent one is dead after
2 segments + 3 s (DESIGN §6): what is older was not mended at once."""


@dataclass(frozen=True, slots=True)
class Newest:
    """The newest media of a buffer that should record."""

    age_seconds: float
    segment_seconds: int

    @property
    def is_stale(self) -> bool:
        """Whether it is older than a run that fell silent and was replaced at once would leave it."""
        return self.age_seconds > _FRESH_SEGMENTS * self.segment_seconds + _FRESH_SECONDS


def percentiles(ages: Sequence[float]) -> dict[str, float]:
    """Give percentiles of some numbers by the nearest rank; 0 where there is none.

    Args:
        ages: In any order.
    """
    ordered = sorted(ages)
    return {
        str(percentile): ordered[max(0, math.ceil(percentile * len(ordered) / 100) - 1)] if ordered else 0.0
        for percentile in PERCENTILES
    }


def newest_of(runs: Iterable[RunCoverage]) -> datetime | None:
    """Give the newest instant of some runs that is on disk, or None without any."""
    return max((run.newest for run in runs), default=None)


def worst_shift_seconds(runs: Iterable[RunCoverage]) -> float:
    """Give how far the clock of any run that goes on has drifted, in seconds."""
    return max((abs(run.clock_shift_milliseconds) / 1000 for run in runs if not run.ended), default=0.0)


def hole_seconds(reached: datetime | None, known: Collection[str], now: Mapping[str, RunCoverage]) -> float:
    """Give the seconds between what was on disk of a buffer and its first new run, when they do not overlap.

    Args:
        reached: The newest instant that was ever on disk, None when nothing was.
        known: Names of the runs that were told before.
        now: Runs that are on disk now, by name.
    """
    new = [run for name, run in now.items() if name not in known]
    if reached is None or not new:
        return 0.0
    # A run that was known may have grown in the same word.
    reached = max([reached, *(run.newest for name, run in now.items() if name in known)])
    return max(0.0, (min(run.oldest for run in new) - reached).total_seconds())
