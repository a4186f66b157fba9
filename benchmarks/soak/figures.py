"""What a soak has measured, whether it grows, and how that is shown. Pure."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from itertools import combinations, groupby
from statistics import median

WARM_UP_SHARE = 1 / 3
"""Of a process's life: caches fill and modules are loaded. What is left must be flat."""

MOST_PAIRS_OF = 200
"""Samples that a slope is taken from; of more, evenly chosen ones."""

FLAT_SHARE_PER_HOUR = 0.02
"""A growth of 2 % of the median in an hour is not told from noise. A day of it would be a half."""

SHORTEST_SECONDS = 600.0
"""Of a life without its warm-up: in less, a single capture tilts the slope."""

_SECONDS_PER_HOUR = 3600.0


@dataclass(frozen=True, slots=True)
class ProcessSample:
    """One process at one moment. `threads` are the kernel's tasks; asyncio's are not seen from outside."""

    pid: int
    rss_mib: float
    descriptors: int
    threads: int


@dataclass(frozen=True, slots=True)
class Sample:
    """Everything at one moment.

    Attributes:
        at_seconds: Since the begin.
        processes: By name; one that was being started is absent.
        writes: What the operator has written to the API so far, without renewals of the Lease.
        database_bytes: The catalogue with its journal.
        orphans: Files and directories that nobody will remove any more, or has not removed yet.
        deeds: What was done so far, by kind.
    """

    at_seconds: float
    processes: Mapping[str, ProcessSample]
    writes: int
    database_bytes: int
    orphans: int
    deeds: Mapping[str, int]


@dataclass(frozen=True, slots=True)
class Line:
    """One figure over the time. `per_hour` is its growth after the warm-up; None with too few samples."""

    name: str
    first: float
    median: float
    highest: float
    last: float
    per_hour: float | None
    verdict: str


def slope_per_hour(points: Sequence[tuple[float, float]]) -> float | None:
    """Give the growth an hour: the median of the slopes between all pairs, which single peaks do not move.

    Args:
        points: Seconds and values.
    """
    step = max(1, len(points) // MOST_PAIRS_OF)
    slopes = [
        (later[1] - earlier[1]) / (later[0] - earlier[0])
        for earlier, later in combinations(points[::step], 2)
        if later[0] > earlier[0]
    ]
    return median(slopes) * _SECONDS_PER_HOUR if slopes else None


def longest_life(samples: Sequence[Sample], process: str) -> list[tuple[float, ProcessSample]]:
    """Give the samples of the process of this name that lived longest.

    Args:
        samples: All, in their order.
        process: Its name.
    """
    by_time = ((sample.at_seconds, sample.processes.get(process)) for sample in samples)
    seen = [(at_seconds, found) for at_seconds, found in by_time if found is not None]
    lives = [list(life) for _, life in groupby(seen, key=lambda each: each[1].pid)]
    return max(lives, key=lambda life: life[-1][0] - life[0][0], default=[])


def line(name: str, points: Sequence[tuple[float, float]]) -> Line:
    """Put one figure together.

    Args:
        name: What it is.
        points: Seconds and values, at least one.
    """
    values = [value for _, value in points]
    after = points[0][0] + (points[-1][0] - points[0][0]) * WARM_UP_SHARE
    warm = [point for point in points if point[0] >= after]
    per_hour = slope_per_hour(warm)
    middle = median(value for _, value in warm)
    if per_hour is None or warm[-1][0] - warm[0][0] < SHORTEST_SECONDS:
        verdict = "too short to tell"
    elif per_hour <= FLAT_SHARE_PER_HOUR * middle:
        verdict = "flat"
    else:
        verdict = "GROWS"
    return Line(name, values[0], middle, max(values), values[-1], per_hour, verdict)


def lines(samples: Sequence[Sample]) -> list[Line]:
    """Give the figures of a soak that must be flat.

    Args:
        samples: All, in their order.
    """
    measures: Sequence[tuple[str, Callable[[ProcessSample], float]]] = (
        ("RSS, MiB", lambda process: process.rss_mib),
        ("descriptors", lambda process: process.descriptors),
        ("threads", lambda process: process.threads),
    )
    names = sorted({name for sample in samples for name in sample.processes})
    return [
        line(f"{name}: {measure}", [(at_seconds, value(found)) for at_seconds, found in life])
        for name in names
        if (life := longest_life(samples, name))
        for measure, value in measures
    ]


def table(found: Sequence[Line]) -> list[str]:
    """Write the figures for people.

    Args:
        found: In the order of the lines.
    """
    head = f"{'':<24}{'first':>9}{'median':>9}{'highest':>9}{'last':>9}{'an hour':>10}  verdict"
    return [
        head,
        "-" * len(head),
        *(
            f"{each.name:<24}{each.first:>9.1f}{each.median:>9.1f}{each.highest:>9.1f}{each.last:>9.1f}"
            f"{'' if each.per_hour is None else f'{each.per_hour:+.2f}':>10}  {each.verdict}"
            for each in found
        ),
    ]


def costs(samples: Sequence[Sample]) -> list[str]:
    """Say what grows because something was done: writes and the database, for each thing that was done.

    Args:
        samples: All, in their order; at least one.
    """
    first, last = samples[0], samples[-1]
    done = {kind: last.deeds.get(kind, 0) - first.deeds.get(kind, 0) for kind in last.deeds}
    objects = done.get("capture", 0) + done.get("churn", 0)
    writes, grown = last.writes - first.writes, last.database_bytes - first.database_bytes
    told = ", ".join(f"{count} {kind}" for kind, count in sorted(done.items())) or "nothing"
    said = [f"done: {told}, in {(last.at_seconds - first.at_seconds) / _SECONDS_PER_HOUR:.2f} h"]
    if objects:
        said += [
            f"the operator's API writes, without the Lease: {writes}, {writes / objects:.1f} a new object",
            f"database: {last.database_bytes} bytes, {grown / objects:.0f} more a new object",
        ]
    said.append(f"orphan files and directories at the end: {last.orphans}")
    return said
