"""From the click to the clip, taken apart: which part took how long. Pure."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from itertools import accumulate, pairwise

from replay_operator.api.capture_job import Timings
from tests.testbed.audit import AuditRecord

_WORKER = ("start", "wait", "plan", "join", "verify", "publish")


@dataclass(frozen=True, slots=True)
class Told:
    """What a finished capture leaves behind.

    Attributes:
        click: When `kubectl apply` was started.
        capture: Name of the ReplayCapture.
        job: Name of its Job.
        pod: Name of its pod.
        ready: `lastTransitionTime` of its Ready condition.
        published: When the clip got its name: the last change of its inode.
        timings: From the answer on the worker's standard output.
    """

    click: datetime
    capture: str
    job: str
    pod: str
    ready: datetime
    published: datetime
    timings: Timings


@dataclass(frozen=True, slots=True)
class Part:
    """One stretch of the way, in milliseconds. `pod` says that it is the start of a pod and not ours."""

    name: str
    milliseconds: int
    pod: bool = False


class IncompleteLogError(Exception):
    """The audit log does not hold a request that must have been made."""


def parts_of(told: Told, requests: Iterable[AuditRecord]) -> list[Part]:
    """Take one capture apart. The parts follow each other and add up to the whole.

    Args:
        told: What the capture says.
        requests: What the API server has answered since the click, of this one capture and no other.

    Raises:
        IncompleteLogError: A request is missing.
    """
    log = [r for r in requests if r.stage_timestamp >= told.click]
    taken = [(name, getattr(told.timings, name) or 0) for name in _WORKER]
    begun = told.published - timedelta(milliseconds=sum(ms for _, ms in taken))
    before = _in_order(
        told.click,
        _first(log, "create", "replaycaptures", name=told.capture),
        _first(log, "patch", "replaycaptures/status", name=told.capture),
        _first(log, "create", "jobs", name=told.job),
        _first(log, "create", "pods"),
        _first(log, "create", "pods/binding"),
        begun,
    )
    after = _in_order(
        told.published,
        _first(log, "patch", "pods/status", name=told.pod, since=told.published),
        _first(log, "patch", "replaycaptures/status", name=told.capture, since=told.ready),
    )
    return [
        *(_part(*row) for row in zip(_BEFORE, pairwise(before), strict=True)),
        *(Part(_SHOWN.get(name, name), ms) for name, ms in taken),
        *(_part(*row) for row in zip(_AFTER, pairwise(after), strict=True)),
    ]


_BEFORE = (
    "kubectl and admission",
    "resolve",
    "pin and queue",
    "Job to pod",
    "scheduler",
    "node, until the process begins",
)
_STARTS_POD = frozenset(_BEFORE[3:])
_AFTER = ("until the node tells of the clip", "status")
_SHOWN = {"start": "Python and imports", "wait": "wait for the last segment"}


def _in_order(*marks: datetime) -> list[datetime]:
    """Nothing comes after what follows from it: a request is acted on before its answer is complete."""
    return list(accumulate(reversed(marks), min))[::-1]


def _part(name: str, between: tuple[datetime, datetime]) -> Part:
    begin, end = between
    return Part(name, round((end - begin).total_seconds() * 1000), pod=name in _STARTS_POD)


def _first(
    log: Sequence[AuditRecord],
    verb: str,
    resource: str,
    *,
    name: str | None = None,
    since: datetime | None = None,
) -> datetime:
    kind, _, subresource = resource.partition("/")
    for record in log:
        fits = (record.verb, record.resource, record.subresource) == (verb, kind, subresource)
        late_enough = since is None or record.stage_timestamp >= since
        if fits and late_enough and record.code < 300 and (name is None or record.name == name):
            return record.stage_timestamp
    raise IncompleteLogError(f"the audit log has no {verb} of {resource} {name or ''} since {since}")


def percentile(values: Sequence[float], share: float) -> float:
    """Give a value that so large a share of the values does not exceed (nearest rank).

    Args:
        values: At least one.
        share: 0.5 is the median.
    """
    ordered = sorted(values)
    rank = max(1, -int(-share * len(ordered) // 1))
    return ordered[rank - 1]


def parts_table(captures: Sequence[Sequence[Part]]) -> str:
    """Show the parts of several captures as a Markdown table, in milliseconds.

    Args:
        captures: The parts of each.
    """
    rows = [(part.name, [c[at].milliseconds for c in captures]) for at, part in enumerate(captures[0])]
    pod = [sum(p.milliseconds for p in c if p.pod) for c in captures]
    whole = [sum(p.milliseconds for p in c) for c in captures]
    rows += [
        ("**start of the pod**", pod),
        ("**our share**", [w - p for w, p in zip(whole, pod, strict=True)]),
        ("**from the click to Ready**", whole),
    ]
    return table(
        ["ms", "p50", "p95", "most"],
        [[name, *(f"{v:.0f}" for v in spread(values))] for name, values in rows],
    )


def spread(values: Sequence[float]) -> tuple[float, float, float]:
    """Give median, p95 and the highest.

    Args:
        values: At least one.
    """
    return percentile(values, 0.5), percentile(values, 0.95), max(values)


def table(head: Sequence[str], rows: Iterable[Sequence[str]]) -> str:
    """Write a Markdown table with numbers to the right.

    Args:
        head: Names of the columns.
        rows: Cells.
    """
    lines = [head, ["---", *("--:" for _ in head[1:])], *rows]
    return "\n".join(f"| {' | '.join(line)} |" for line in lines)
