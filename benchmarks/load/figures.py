"""What a stretch of time gave, the times that must be kept, and how both are shown. Pure."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace

from benchmarks.load.journal import Journal, Measure
from benchmarks.load.pacing import SEGMENT_SECONDS
from benchmarks.moment.parts import percentile
from replay_operator.agent.settings import AgentSettings
from replay_operator.controller.agent_client import REQUEST_TIMEOUT
from replay_operator.domain.health import STALE_SLACK
from replay_operator.domain.write_budget import deadline_seconds

_SETTINGS = AgentSettings.model_fields
SLACK_SECONDS = STALE_SLACK.total_seconds()
"""A run is called dead so long after its next segment was due: the agent must know of that before."""

ANSWER_SECONDS = REQUEST_TIMEOUT.total_seconds()
"""The operator waits no longer."""

PROBE_SECONDS = 1.0
"""A kubelet waits no longer, when the manifest says nothing else."""

RETENTION_SECONDS = float(_SETTINGS["retention_interval_seconds"].default) + 1.0
"""One interval, and a second for the round itself."""

LATENCY_RATIO = 1.2
REACHED_SHARE = 0.95
"""Of the asked throughput: less, and the disk was not under the load that the figures are about."""


@dataclass(frozen=True, slots=True)
class Stretch:
    """A part of the run: the baseline, or the load. Times are those of the wall clock.

    Attributes:
        begin_seconds: When it began.
        end_seconds: When it ended.
        counted: Of the agent's page of metrics, by what how much grew meanwhile.
        cpu_seconds: That the agent used.
        rss_mib: Of the agent at its end.
        disk_bytes: What the whole disk took, others' writes too; None where no disk is behind the volume.
        load_average: Of the machine at its end, over one minute.
    """

    begin_seconds: float
    end_seconds: float
    counted: Mapping[str, float]
    cpu_seconds: float
    rss_mib: float
    disk_bytes: int | None
    load_average: float

    @property
    def seconds(self) -> float:
        """Its length."""
        return self.end_seconds - self.begin_seconds


@dataclass(frozen=True, slots=True)
class Line:
    """One figure of both stretches.

    `bar` says what it must keep; None: it is only told. `is_condition`: when it is missed, the disk was
    overloaded, which no other figure was meant for.
    """

    name: str
    baseline: float | None
    load: float | None
    bar: str | None = None
    is_missed: bool = False
    digits: int = 2
    is_condition: bool = False


def lines(journal: Journal, baseline: Stretch, load: Stretch, *, asked_bytes_per_second: float) -> list[Line]:
    """Give all figures; bars hold for the load.

    Args:
        journal: What was noted.
        baseline: The stretch in which only the captured buffers record.
        load: The stretch in which all do.
        asked_bytes_per_second: What all buffers together should write.
    """
    both = (baseline, load)

    def worst(name: str, measure: Measure, most: float) -> Line:
        first, second = (max(_of(journal, measure, each), default=None) for each in both)
        return Line(name, first, second, f"at most {most:g}", second is None or second > most)

    def never(name: str, measure: Measure) -> Line:
        first, second = (float(len(_of(journal, measure, each))) for each in both)
        return Line(name, first, second, "none", second > 0, digits=0)

    def counted(name: str, key: str) -> Line:
        first, second = (each.counted.get(key, 0.0) for each in both)
        return Line(name, first, second, "none", second > 0, digits=0)

    rates = [sum(_of(journal, Measure.WRITTEN, each)) / each.seconds for each in both]
    least = REACHED_SHARE * asked_bytes_per_second
    return [
        Line(
            "written by the workers, MB/s",
            rates[0] / 1e6,
            rates[1] / 1e6,
            f"at least {least / 1e6:.0f}",
            rates[1] < least,
            digits=0,
            is_condition=True,
        ),
        replace(
            worst(
                "a segment was written late, worst, s", Measure.WRITE_LATE, deadline_seconds(SEGMENT_SECONDS)
            ),
            is_condition=True,
        ),
        worst("agent: its word is old, worst, s", Measure.WORD_AGE, SLACK_SECONDS),
        worst("agent: a segment is not known for, worst, s", Measure.UNKNOWN, SLACK_SECONDS),
        worst("agent: coverage answered in, worst, s", Measure.WORD_TOOK, ANSWER_SECONDS),
        worst("agent: policy (a pin) answered in, worst, s", Measure.POLICY_TOOK, ANSWER_SECONDS),
        worst("agent: readiness answered in, worst, s", Measure.READINESS_TOOK, PROBE_SECONDS),
        worst("agent: a segment lies overdue, worst, s", Measure.OVERDUE, RETENTION_SECONDS),
        never("agent: not ready, looks", Measure.NOT_READY),
        never("agent: requests failed", Measure.UNANSWERED),
        counted("agent: deleted inside a window, segments", INSIDE),
        counted("agent: errors of scan and deletion", ERRORS),
        *_latency("stored, ", journal, Measure.STORED, both),
        *_latency("awaited, ", journal, Measure.AWAITED, both),
        never("captures that failed, or lack something", Measure.NO_CLIP),
        *_told(both),
    ]


INSIDE = "deleted inside a window"
ERRORS = "errors"
SCANS = "scans"
SCAN_SECONDS = "seconds of scans"
DELETED = "deleted"


def _latency(name: str, journal: Journal, measure: Measure, both: tuple[Stretch, Stretch]) -> list[Line]:
    found = [_of(journal, measure, each) for each in both]
    counts = Line(f"captures: {name}number", float(len(found[0])), float(len(found[1])), digits=0)
    if not all(found):
        return [Line(counts.name, counts.baseline, counts.load, "some", is_missed=True, digits=0)]
    shown = [counts]
    for share in (0.5, 0.95):
        first, second = (percentile(values, share) for values in found)
        ratio = second / first
        shown.append(
            Line(
                f"captures: {name}p{share * 100:.0f}, s (ratio {ratio:.2f})",
                first,
                second,
                f"ratio at most {LATENCY_RATIO:g}",
                ratio > LATENCY_RATIO,
            )
        )
    return shown


def _told(both: tuple[Stretch, Stretch]) -> list[Line]:
    def told(name: str, value: Callable[[Stretch], float | None], digits: int) -> Line:
        return Line(name, value(both[0]), value(both[1]), digits=digits)

    return [
        told("agent: a scan takes, mean, s", _scan_seconds, 3),
        told(
            "agent: segments deleted a second", lambda each: each.counted.get(DELETED, 0.0) / each.seconds, 1
        ),
        told("agent: CPU, % of a core", lambda each: 100 * each.cpu_seconds / each.seconds, 0),
        told("agent: RSS, MiB", lambda each: each.rss_mib, 0),
        told("the whole disk took, MB/s", _disk_rate, 0),
        told("load average", lambda each: each.load_average, 1),
    ]


def _scan_seconds(stretch: Stretch) -> float | None:
    scans = stretch.counted.get(SCANS, 0.0)
    return stretch.counted.get(SCAN_SECONDS, 0.0) / scans if scans else None


def _disk_rate(stretch: Stretch) -> float | None:
    return None if stretch.disk_bytes is None else stretch.disk_bytes / stretch.seconds / 1e6


def table(found: Sequence[Line]) -> str:
    """Show figures as a Markdown table; what misses its bar is marked.

    Args:
        found: In the order of the rows.
    """
    rows = [["", "baseline", "load", "bar", ""], ["---", "--:", "--:", "--:", "---"]]
    rows += [
        [
            line.name,
            _cell(line.baseline, line.digits),
            _cell(line.load, line.digits),
            line.bar or "",
            "MISSED" if line.is_missed else "",
        ]
        for line in found
    ]
    return "\n".join(f"| {' | '.join(row)} |" for row in rows)


def _cell(value: float | None, digits: int) -> str:
    return "" if value is None else f"{value:.{digits}f}"


def _of(journal: Journal, measure: Measure, stretch: Stretch) -> list[float]:
    return journal.between(measure, stretch.begin_seconds, stretch.end_seconds)
