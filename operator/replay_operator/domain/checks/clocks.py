"""Whether the clocks of the system agree, from what each of them said and when it was heard.

An HTTP `Date` is cut to whole seconds. Asked often for a second or more, a clock shows the moment at which
its second ends, and that is known to within one round trip.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import datetime

from replay_operator.domain.checks.verdict import Verdict, failed, passed, warned

LIMIT_SECONDS = 0.5
"""A run whose clock moves by more is taken for broken (DESIGN §6.8), and captures are cut by these clocks."""

HTTP_DATE_SECONDS = 1.0
"""Resolution of the header `Date` (RFC 9110 §5.6.7)."""

HERE = "this pod"
WORKER = "worker"
"""Begins the names of workers' clocks, which are counted where there are many."""

LAPTOP = "this machine"


@dataclass(frozen=True, slots=True)
class ClockSample:
    """What a clock said between two moments of ours; its `Date` may be up to one second ahead of the text."""

    sent_at: datetime
    heard_at: datetime
    said: datetime


@dataclass(frozen=True, slots=True)
class ClockBounds:
    """How far a clock is ahead of ours: at least `low_seconds`, at most `high_seconds`."""

    name: str
    low_seconds: float
    high_seconds: float


def clock_bounds(name: str, samples: Iterable[ClockSample], *, resolution_seconds: float) -> ClockBounds:
    """Narrow down how far a clock is ahead.

    Args:
        name: Whose clock.
        samples: At least one.
        resolution_seconds: By how much the clock may be ahead of what it says.
    """
    lows, highs = [], []
    for sample in samples:
        lows.append((sample.said - sample.heard_at).total_seconds())
        highs.append((sample.said - sample.sent_at).total_seconds() + resolution_seconds)
    low, high = max(lows), min(highs)
    # They cross when several machines answer under one name, and those disagree.
    return ClockBounds(name, min(low, high), max(low, high))


def judge_clocks(clocks: Sequence[ClockBounds], unseen: Iterable[str]) -> Verdict:
    """Tell whether all clocks lie within the limit of each other.

    Args:
        clocks: Each as seen from here. This machine's own counts when it is the operator's.
        unseen: Names of clocks that did not answer.
    """
    system = [clock for clock in clocks if clock.name != LAPTOP]
    if len(system) < 2:  # noqa: PLR2004 - two are needed to disagree
        return warned(
            f"not checked: one clock alone proves nothing{_missing(unseen)}",
            "mend what keeps the others silent, or run this inside the cluster",
        )
    slowest = min(system, key=lambda clock: clock.high_seconds)
    fastest = max(system, key=lambda clock: clock.low_seconds)
    apart = fastest.low_seconds - slowest.high_seconds
    perhaps = max(c.high_seconds for c in system) - min(c.low_seconds for c in system)
    names = _names(system)
    if apart > LIMIT_SECONDS:
        return failed(
            f"the clock of {fastest.name} is at least {apart:.1f} s ahead of that of {slowest.name}; "
            f"{LIMIT_SECONDS} s are allowed",
            "run a time service (chrony, systemd-timesyncd) on every node: clips are cut by these clocks",
        )
    if perhaps > LIMIT_SECONDS:
        return warned(
            f"the clocks of {names} may be up to {perhaps:.1f} s apart: answers were too slow to tell",
            "run this nearer to them, inside the cluster, or again when it is quieter",
        )
    return _with_laptop(clocks, passed(f"{names}: within {perhaps:.2f} s of each other{_missing(unseen)}"))


def _with_laptop(clocks: Sequence[ClockBounds], verdict: Verdict) -> Verdict:
    if not any(clock.name == LAPTOP for clock in clocks):
        return verdict
    system = [clock for clock in clocks if clock.name != LAPTOP]
    off = max(max(c.low_seconds, -c.high_seconds) for c in system)
    if off <= LIMIT_SECONDS:
        return verdict
    return warned(
        f"{verdict.message}; this machine's own clock is {off:.1f} s off",
        "set it: `capture-room --last` counts from the clock of the machine that runs it",
    )


def _names(clocks: Sequence[ClockBounds]) -> str:
    others = [clock.name for clock in clocks if not clock.name.startswith(WORKER)]
    workers = len(clocks) - len(others)
    return ", ".join([*others, *([f"{workers} {WORKER}s"] if workers else [])])


def _missing(unseen: Iterable[str]) -> str:
    names = ", ".join(unseen)
    return f" (no answer from {names})" if names else ""
