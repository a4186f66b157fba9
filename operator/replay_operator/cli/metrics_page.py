"""Writes docs/metrics.md from the metrics that the processes declare, or checks that it is up to date.

`python -m replay_operator.cli.metrics_page FILE [--check]`
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Iterable, Sequence
from pathlib import Path

from replay_operator.agent.metrics import AgentMetrics
from replay_operator.metric_registry import Declared, MetricKind
from replay_operator.metrics import OperatorMetrics

_INTRODUCTION = """\
<!-- generated: do not edit, run make generate -->
# Metrics

Operator and agent serve them without a token on `/metrics`: see the ports in [operations.md](operations.md).
Labels are bounded: no names of buffers, rooms or people. Who asks for OpenMetrics gets the uid of a capture
as exemplar of its duration. Counters begin at zero with each process; those of the operator grow in the
leader only. Alerts on them are in `helm/replay-operator/files/rules.yaml`, each with a page in
[runbooks/](runbooks/README.md), and a dashboard for Grafana in `helm/replay-operator/files/dashboard.json`.
"""


def page() -> str:
    """Give the text of the page."""
    sections = (("Operator", OperatorMetrics().metrics.declared), ("Agent", AgentMetrics().metrics.declared))
    return _INTRODUCTION + "".join(f"\n## {title}\n\n{_table(declared)}" for title, declared in sections)


def main(arguments: Sequence[str] | None = None) -> int:
    """Write the page, or check it with `--check`.

    Args:
        arguments: The command line without the program's name; `sys.argv` if not given.

    Returns:
        The exit code: 1 when the page is missing or out of date.
    """
    parser = argparse.ArgumentParser(prog="metrics_page", description=main.__doc__)
    parser.add_argument("file", type=Path, help="the page")
    parser.add_argument("--check", action="store_true", help="write nothing, fail if it is out of date")
    chosen = parser.parse_args(arguments)
    file: Path = chosen.file
    if not chosen.check:
        file.write_text(page(), encoding="utf-8")
        return 0
    if file.exists() and file.read_text(encoding="utf-8") == page():
        return 0
    sys.stderr.write(f"{file} is missing or differs from the metrics: run make generate\n")
    return 1


def _table(declared: Iterable[Declared]) -> str:
    rows = "".join(
        f"| `{metric.name}` | {metric.kind} | {', '.join(metric.labels)} | {_meaning(metric)} |\n"
        for metric in declared
    )
    return f"| metric | type | labels | meaning |\n|---|---|---|---|\n{rows}"


def _meaning(metric: Declared) -> str:
    if metric.kind is not MetricKind.HISTOGRAM:
        return metric.meaning
    return f"{metric.meaning} Buckets: {', '.join(f'{bucket:g}' for bucket in metric.buckets)}."


if __name__ == "__main__":
    sys.exit(main())
