"""Writes docs/dashboard.md: every panel, what it tells, and what its queries gave on the whole stack.

`python -m tests.monitoring.panel_page [--check]`. The answers are in `tests/data/panel-answers.json`;
`make record-panels` asks for them anew.
"""

from __future__ import annotations

import argparse
import json
import math
import re
import sys
from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path

from tests.monitoring.panels import ROWS, Query, Shown
from tests.monitoring.rules import ROOT

PAGE = ROOT / "docs" / "dashboard.md"
ANSWERS = ROOT / "tests" / "data" / "panel-answers.json"
MOST_LINES = 3
"""Of one query: the page shows that it finds something, not all of it."""

_INTRODUCTION = """<!-- generated: do not edit, run make generate -->
# Dashboard

`helm/replay-operator/files/dashboard.json`, which the chart installs with `monitoring.dashboard.enabled`,
answers these questions in this order. The last column is what a real Prometheus gave for each query while
the whole stack of the tests ran: one buffer that records and one clip that was saved. A dash stands where
there was nothing to tell, such as failures by reason while none has failed.
"""

Answers = Mapping[str, list[tuple[str, float]]]
"""The lines that each query gave, by the query as it is written in `panels`: name and value."""


def page(answers: Answers) -> str:
    """Write the page.

    Args:
        answers: What was recorded; a query that is not there gets a dash.
    """
    return "\n".join(_lines(answers))


def _lines(answers: Answers) -> Iterator[str]:
    yield _INTRODUCTION
    for question, panels in ROWS.items():
        yield f"## {question}\n"
        yield "| panel | what it tells | in the tests |"
        yield "|---|---|---|"
        for shown in panels:
            yield f"| {shown.title} | {_in_a_cell(shown.meaning)} | {_answer(shown, answers)} |"
        yield ""


def _answer(shown: Shown, answers: Answers) -> str:
    found = [line for query in shown.queries for line in _of_query(query, answers, shown.unit)]
    return "<br>".join(found) or "—"


def _of_query(query: Query, answers: Answers, unit: str) -> Iterator[str]:
    lines = [(name, value) for name, value in answers.get(query.expr, []) if not math.isnan(value)]
    for name, value in lines[:MOST_LINES]:
        yield _in_a_cell(f"{name}: {_value(value, unit)}" if name else _value(value, unit))
    if len(lines) > MOST_LINES:
        yield f"and {len(lines) - MOST_LINES} more"


def _value(value: float, unit: str) -> str:
    if math.isinf(value):
        return "never"
    if unit == "percentunit":
        return f"{100 * value:.0f} %"
    if unit in {"bytes", "Bps"}:
        return f"{value / 1e6:.3g} MB" + ("/s" if unit == "Bps" else "")
    return f"{value:.3g}" + {"s": " s", "reqps": "/s", "ops": "/s"}.get(unit, "")


def _in_a_cell(text: str) -> str:
    return text.replace("|", "\\|")


def line_name(legend: str, labels: Mapping[str, str]) -> str:
    """Name a line as Grafana does.

    Args:
        legend: Of the query.
        labels: Of the series.
    """
    return re.sub(r"{{(\w+)}}", lambda found: labels.get(found[1], ""), legend)


def kept(answers: Mapping[str, Iterable[tuple[str, float]]]) -> str:
    """Write answers as they are kept, in the order of the queries.

    Args:
        answers: What was found.
    """
    as_text = {expr: [[name, str(value)] for name, value in lines] for expr, lines in answers.items()}
    return json.dumps(as_text, indent=1, sort_keys=True) + "\n"


def recorded(path: Path = ANSWERS) -> Answers:
    """Read the answers that are kept.

    Args:
        path: Their file.
    """
    read = json.loads(path.read_text(encoding="utf-8"))
    return {expr: [(name, float(value)) for name, value in lines] for expr, lines in read.items()}


def main() -> int:
    """Write the page, or check it."""
    parser = argparse.ArgumentParser(prog="tests.monitoring.panel_page", description=main.__doc__)
    parser.add_argument("--check", action="store_true", help="write nothing, fail if it is out of date")
    text = page(recorded())
    if not parser.parse_args().check:
        PAGE.write_text(text, encoding="utf-8")
        return 0
    if PAGE.exists() and PAGE.read_text(encoding="utf-8") == text:
        return 0
    sys.stderr.write(f"{PAGE} is missing or out of date: run make generate\n")
    return 1


if __name__ == "__main__":
    sys.exit(main())
