"""The page that lists the panels of the dashboard."""

from __future__ import annotations

import json
import math
from pathlib import Path

from tests.monitoring.panel_page import kept, line_name, page, recorded
from tests.monitoring.panels import ROWS


def test_each_panel_stands_on_the_page_with_what_it_gave() -> None:
    answers = {
        query.expr: [("first", math.inf), ("nothing", math.nan)]
        for panels in ROWS.values()
        for shown in panels
        for query in shown.queries
    }
    text = page(answers)
    for panels in ROWS.values():
        for shown in panels:
            (row,) = [line for line in text.splitlines() if line.startswith(f"| {shown.title} |")]
            assert "first: never" in row
            assert "nothing: " not in row


def test_a_panel_that_gave_nothing_has_a_dash() -> None:
    rows = [line for line in page({}).splitlines() if line.startswith("| ") and "what it tells" not in line]
    assert rows
    assert all(row.endswith("| — |") for row in rows)


def test_answers_are_read_as_they_were_kept(tmp_path: Path) -> None:
    answers = {"b": [("", math.inf)], "a": [("x", 1.5), ("y", 0.0)]}
    (tmp_path / "answers.json").write_text(kept(answers))
    assert recorded(tmp_path / "answers.json") == answers
    assert list(json.loads(kept(answers))) == ["a", "b"]


def test_lines_are_named_as_the_dashboard_names_them() -> None:
    assert line_name("{{kind}}: {{result}}", {"kind": "Buffer", "result": "ok"}) == "Buffer: ok"
