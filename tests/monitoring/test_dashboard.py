"""The dashboard is what its code says, asks only for what is served, and can be drawn."""

from __future__ import annotations

import json
from itertools import combinations
from typing import Any

import pytest

from tests.monitoring import dashboard
from tests.monitoring.panels import HERE, ROWS, Shape, Shown
from tests.monitoring.rules import DASHBOARD, declared, named_metrics

PANELS = [shown for panels in ROWS.values() for shown in panels]


@pytest.fixture(scope="module")
def drawn() -> list[dict[str, Any]]:
    panels: list[dict[str, Any]] = json.loads(DASHBOARD.read_text())["panels"]
    return panels


def test_the_file_is_what_the_code_writes() -> None:
    assert DASHBOARD.read_text() == dashboard.text()


def test_the_questions_come_in_their_order() -> None:
    rows = [panel["title"] for panel in json.loads(DASHBOARD.read_text())["panels"] if panel["type"] == "row"]
    assert rows == [
        "Is anyone's moment being lost?",
        "Are captures fast and succeeding?",
        "Will disks or workers run out?",
        "Do people get to see it?",
        "What costs most?",
    ]


@pytest.mark.parametrize("shown", PANELS, ids=lambda shown: shown.title)
def test_a_panel_asks_for_metrics_that_are_served_of_the_chosen_install(shown: Shown) -> None:
    known = {metric.name for metric in declared()}
    assert shown.meaning
    for query in shown.queries:
        named = named_metrics(query.expr.replace("replay_(operator|agent)_build_info", ""))
        assert named <= known
        assert query.expr.count(HERE) == query.expr.count("{") - query.expr.count("{{")


def test_each_metric_of_the_published_queries_is_on_the_dashboard() -> None:
    shown = {name for panel in PANELS for query in panel.queries for name in named_metrics(query.expr)}
    assert {metric.name for metric in declared() if metric.name.startswith("replay_buffer_")} <= shown


def test_no_two_panels_lie_on_each_other_and_none_leaves_the_page(drawn: list[dict[str, Any]]) -> None:
    places = [(p["gridPos"]["x"], p["gridPos"]["y"], p["gridPos"]["w"], p["gridPos"]["h"]) for p in drawn]
    assert all(x + w <= 24 for x, _, w, _ in places)
    for (ax, ay, aw, ah), (bx, by, bw, bh) in combinations(places, 2):
        assert ax + aw <= bx or bx + bw <= ax or ay + ah <= by or by + bh <= ay


def test_panels_have_names_of_their_own_and_a_source_that_can_be_chosen(drawn: list[dict[str, Any]]) -> None:
    shown = [panel for panel in drawn if panel["type"] != "row"]
    assert len({panel["id"] for panel in drawn}) == len(drawn)
    assert len({panel["title"] for panel in shown}) == len(shown)
    assert all(panel["datasource"]["uid"] == "${datasource}" for panel in shown)
    assert {variable["name"] for variable in json.loads(DASHBOARD.read_text())["templating"]["list"]} == {
        "datasource",
        "namespace",
    }


def test_a_number_that_may_be_bad_says_from_where(drawn: list[dict[str, Any]]) -> None:
    by_title = {panel["title"]: panel for panel in drawn}
    for shown in PANELS:
        if shown.shape is Shape.NUMBER:
            steps = by_title[shown.title]["fieldConfig"]["defaults"]["thresholds"]["steps"]
            may_be_bad = shown.warn_above is not None or shown.warn_below is not None
            assert (len(steps) == 2) is may_be_bad
