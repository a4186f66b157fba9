"""What a buffer's window holds, from what the agent sees on the volume. Pure."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta

from replay_operator.api.agent import BufferCoverage, RunCoverage
from replay_operator.api.replaybuffer import ReplayBuffer
from replay_operator.api.replaycapture import ReplayCapture
from replay_operator.domain.layout import buffer_path
from replay_operator.domain.policy import pins_of

SMALLEST_HOLE = timedelta(milliseconds=100)
"""Less than that is the rounding of two runs' clocks, 13 to 27 ms each (docs/captures.md, Clocks)."""


@dataclass(frozen=True, slots=True)
class Stretch:
    """A stretch of time with a name."""

    start: datetime
    end: datetime
    name: str = ""

    @property
    def length(self) -> timedelta:
        """How long it is."""
        return self.end - self.start


@dataclass(frozen=True, slots=True)
class Window:
    """What lies on disk of one buffer."""

    oldest: datetime
    newest: datetime
    bytes: int
    segments: int
    runs: tuple[RunCoverage, ...]
    holes: tuple[Stretch, ...]

    @property
    def length(self) -> timedelta:
        """From the oldest instant to the newest."""
        return self.newest - self.oldest

    @property
    def recorded(self) -> timedelta:
        """The same without the holes."""
        return self.length - sum((hole.length for hole in self.holes), timedelta())


def window_of(coverage: BufferCoverage | None) -> Window | None:
    """Sum up what lies on disk of a buffer; None when that is nothing.

    Args:
        coverage: What the agent says of it.
    """
    runs = tuple(sorted(coverage.runs, key=lambda run: run.oldest)) if coverage else ()
    if coverage is None or not runs:
        return None
    return Window(
        oldest=runs[0].oldest,
        newest=max(run.newest for run in runs),
        bytes=coverage.bytes,
        segments=sum(run.segments for run in runs),
        runs=runs,
        holes=holes_between(runs),
    )


def holes_between(runs: Sequence[RunCoverage]) -> tuple[Stretch, ...]:
    """Find the stretches that no run has.

    Args:
        runs: Sorted by their oldest instant; they may overlap.
    """
    holes: list[Stretch] = []
    reached = runs[0].oldest if runs else None
    for run in runs:
        if reached is not None and run.oldest - reached >= SMALLEST_HOLE:
            holes.append(Stretch(reached, run.oldest))
        reached = max(reached or run.newest, run.newest)
    return tuple(holes)


def pinned(buffer: ReplayBuffer, captures: Sequence[ReplayCapture]) -> tuple[Stretch, ...]:
    """Find what retention must keep of a buffer, by the names of the captures that need it.

    Args:
        buffer: Whose.
        captures: All captures of its namespace.
    """
    path = buffer_path(buffer.metadata.namespace, buffer.metadata.uid)
    names = {capture.metadata.uid: capture.metadata.name for capture in captures}
    pins = pins_of(captures).get(path, ())
    found = (Stretch(pin.start, pin.end, names[pin.capture_uid]) for pin in pins)
    return tuple(sorted(found, key=lambda pin: pin.start))
