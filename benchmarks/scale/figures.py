"""The figures of one run, and how they are shown. Pure."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class BringUp:
    """From the first create until every buffer records. CPU is in percent of one core."""

    create_seconds: float
    seconds: float
    status_writes: int
    events: int
    other_writes: int
    refused: Mapping[int, int]
    livekit_calls: Mapping[str, int]
    cpu_percent: Mapping[str, float]
    rss_mib: float
    peak_mib: float


@dataclass(frozen=True, slots=True)
class Idle:
    """A stretch in which nothing happens but recording."""

    seconds: float
    writes: Mapping[str, int]
    reads: int
    livekit_calls: Mapping[str, int]
    cpu_percent: Mapping[str, float]
    reconciles: int


@dataclass(frozen=True, slots=True)
class Restart:
    """From the start of a new operator process until it has looked at every buffer with a whole view.

    `writes` go on being counted for a while after that.
    """

    stop_seconds: float
    ready_seconds: float
    seconds: float
    writes: Mapping[str, int]
    rss_mib: float
    peak_mib: float


@dataclass(frozen=True, slots=True)
class Figures:
    """Everything about one number of buffers. `crashes`: how often the operator ended by itself."""

    buffers: int
    agent: str
    bring_up: BringUp
    idle: Idle
    restart: Restart
    crashes: int

    @property
    def polls(self) -> int:
        """List calls while idle: with nothing else, one for each poll."""
        return self.idle.livekit_calls.get("ListEgress", 0)

    @property
    def idle_writes(self) -> int:
        """Writes while idle, without the Lease: that is renewed by time, whatever the number of buffers."""
        return _without_lease(self.idle.writes)

    @property
    def restart_writes(self) -> int:
        """Writes that a restart caused, without the Lease."""
        return _without_lease(self.restart.writes)

    @property
    def calls_per_poll(self) -> float:
        """All calls to LiveKit while idle, divided by the polls."""
        return sum(self.idle.livekit_calls.values()) / self.polls if self.polls else float("nan")


@dataclass(frozen=True, slots=True)
class Line:
    """One row of the table. `limit` is the budget of DESIGN §5, None where there is none."""

    name: str
    value: Callable[[Figures], float]
    digits: int = 0
    limit: float | None = None


_NOT_MEASURED = float("nan")

LINES = (
    Line("creating them, s", lambda f: f.bring_up.create_seconds, 1),
    Line("until all record, s", lambda f: f.bring_up.seconds, 1),
    Line("status writes per buffer", lambda f: f.bring_up.status_writes / f.buffers, 2, limit=2),
    Line("Events per buffer", lambda f: f.bring_up.events / f.buffers, 2, limit=3),
    Line("other writes, in all", lambda f: f.bring_up.other_writes),
    Line(
        "operator CPU in bring-up, % of a core",
        lambda f: f.bring_up.cpu_percent.get("operator", _NOT_MEASURED),
    ),
    Line("operator RSS after bring-up, MiB", lambda f: f.bring_up.rss_mib),
    Line("operator RSS, highest in bring-up, MiB", lambda f: f.bring_up.peak_mib, limit=250),
    Line("idle: API writes a minute", lambda f: f.idle_writes * 60 / f.idle.seconds, 1, limit=0),
    Line("idle: calls to LiveKit per poll", lambda f: f.calls_per_poll, 2, limit=1),
    Line("idle: reconciles a second", lambda f: f.idle.reconciles / f.idle.seconds, 1),
    Line(
        "idle: operator CPU, % of a core",
        lambda f: f.idle.cpu_percent.get("operator", _NOT_MEASURED),
        1,
        limit=10,
    ),
    Line("restart: until ready, s", lambda f: f.restart.ready_seconds, 1),
    Line("restart: until all are followed, s", lambda f: f.restart.seconds, 1),
    Line("restart: API writes", lambda f: f.restart_writes, limit=0),
    Line("restart: RSS then, MiB", lambda f: f.restart.rss_mib, limit=200),
    Line("restart: RSS, highest, MiB", lambda f: f.restart.peak_mib),
    Line("operator ended by itself", lambda f: f.crashes, limit=0),
)


def table(runs: Sequence[Figures], lines: Sequence[Line] = LINES) -> str:
    """Show runs side by side as a Markdown table; a value over its limit is marked with `!`.

    Args:
        runs: One for each number of buffers.
        lines: What to show.
    """
    head = ["", *(f"{run.buffers} ({run.agent} agent)" for run in runs), "limit"]
    rows = [head, ["---", *("--:" for _ in runs), "--:"]]
    for line in lines:
        limit = "" if line.limit is None else f"{line.limit:g}"
        rows.append([line.name, *(_cell(line, run) for run in runs), limit])
    return "\n".join(f"| {' | '.join(row)} |" for row in rows)


def cpu_table(runs: Sequence[Figures]) -> str:
    """Show who used the machine while idle, in percent of one core.

    Args:
        runs: One for each number of buffers.
    """
    names = sorted({name for run in runs for name in run.idle.cpu_percent})
    rows = [["idle, % of a core", *(str(run.buffers) for run in runs)], ["---", *("--:" for _ in runs)]]
    rows += [[name, *(f"{run.idle.cpu_percent.get(name, 0.0):.1f}" for run in runs)] for name in names]
    return "\n".join(f"| {' | '.join(row)} |" for row in rows)


def _cell(line: Line, run: Figures) -> str:
    value = line.value(run)
    over = line.limit is not None and round(value, line.digits) > line.limit
    return f"{value:.{line.digits}f}{' !' if over else ''}"


def _without_lease(writes: Mapping[str, int]) -> int:
    return sum(number for resource, number in writes.items() if resource != "leases")
