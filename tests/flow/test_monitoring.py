"""A real Prometheus reads the whole stack: every query of dashboard and alerts finds what it asks for."""

from __future__ import annotations

import math
import os
import re
import subprocess
import urllib.request
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.flow.conftest import buffers_of_a_while, capture_object
from tests.flow.test_record_and_save import wait_for_window
from tests.monitoring.panel_page import kept, line_name
from tests.monitoring.panels import ROWS
from tests.monitoring.rules import alerts, program
from tests.monitoring.server import Prometheus, prometheus
from tests.stack.stack import Stack

NOTHING_WHILE_ALL_IS_WELL = {
    "Failures by reason": "no capture has failed",
    "Writes to the buffer volume: budget": "the install has none",
    "Catalogue: captures refused by a quota, last hour": "no owner has a quota here",
    "Time to object storage: 95 %": "the install has no bucket",
    "Failed attempts to upload, by reason": "the same",
}
"""Lines of the dashboard that are empty by design, and why."""

ABSENT_WHILE_ALL_IS_WELL = {
    'replay_operator_buffers{state="WaitingForCapacity"}': "a state that no buffer was ever in",
    'replay_buffer_capture_errors_total{error_type="QuotaExceeded"}': "no owner has a quota here",
}


@pytest.fixture(scope="module")
def scraped(stack: Stack, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Prometheus]:
    ports = {"replay-operator": 8080, "replay-agent": 8480}
    targets = {
        f"{stack.address(name)}:{port}": {"namespace": stack.namespace, "pod": stack.pod(name)}
        for name, port in ports.items()
    }
    folder = tmp_path_factory.mktemp("prometheus")
    with prometheus(program("prometheus"), folder, targets) as server:
        stack.wait_for("a first scrape", lambda: len(server.values("up == 1")) == len(targets), seconds=60)
        yield server


@pytest.fixture(scope="module", autouse=True)
def clip(stack: Stack, scraped: Prometheus) -> Iterator[None]:
    """A buffer records, and a clip of it was saved while Prometheus looked."""
    scraped.values("up")  # it looks already
    with buffers_of_a_while(stack) as new_buffer:
        buffer = new_buffer()
        stack.wait_for_condition("rb", buffer, "Recording", seconds=60)
        wait_for_window(stack, buffer, 6)
        stack.apply(capture_object("measured", buffer))
        stack.wait_for_condition("rcap", "measured", "Ready", seconds=60)
        yield
        stack.kubectl("delete", "rcap", "measured", "--ignore-not-found")


def test_every_query_of_dashboard_and_alerts_finds_what_it_asks_for(
    stack: Stack, scraped: Prometheus
) -> None:
    queries = {
        f"{shown.title}{f': {query.legend}' if len(shown.queries) > 1 else ''}": query.expr
        for panels in ROWS.values()
        for shown in panels
        for query in shown.queries
    }
    selectors = {
        found for rule in alerts().values() for found in re.findall(r"replay_\w+(?:{[^}]*})?", rule["expr"])
    }
    wanted = {name: expr.replace("$namespace", stack.namespace) for name, expr in queries.items()}
    wanted |= {selector: selector for selector in selectors}
    assert len(wanted) > 60

    def lacking() -> dict[str, list[float]]:
        found = {name: scraped.values(expr) for name, expr in wanted.items()}
        return {name: values for name, values in found.items() if not any(not math.isnan(v) for v in values)}

    by_design = NOTHING_WHILE_ALL_IS_WELL.keys() | ABSENT_WHILE_ALL_IS_WELL.keys()
    try:
        stack.wait_for("data for every query", lambda: lacking().keys() <= by_design, seconds=45)
    except AssertionError as error:
        raise AssertionError(f"nothing is found for {lacking()}") from error
    if recording := os.environ.get("REPLAY_RECORD_PANELS"):
        Path(recording).write_text(kept(_answers(scraped, stack.namespace)), encoding="utf-8")
    assert scraped.values("sum(replay_buffer_active_sessions)")[0] >= 1
    assert scraped.values("sum(replay_fleet_workers)")[0] >= 1


def _answers(scraped: Prometheus, namespace: str) -> dict[str, list[tuple[str, float]]]:
    return {
        query.expr: [
            (line_name(query.legend, labels), value)
            for labels, value in scraped.series(query.expr.replace("$namespace", namespace))
        ]
        for panels in ROWS.values()
        for shown in panels
        for query in shown.queries
    }


def test_an_install_that_is_well_raises_no_alert_and_every_rule_can_be_evaluated(
    stack: Stack, scraped: Prometheus
) -> None:
    def evaluated() -> bool:
        rules = [rule for group in scraped.ask("rules")["groups"] for rule in group["rules"]]
        return len(rules) == len(alerts()) and all(rule["health"] == "ok" for rule in rules)

    stack.wait_for("an evaluation of every rule", evaluated, seconds=60)
    firing = [
        alert["labels"]["alertname"]
        for alert in scraped.ask("alerts")["alerts"]
        if alert["state"] == "firing"
    ]
    assert firing == []


def test_no_series_of_the_whole_stack_names_a_buffer_a_room_or_a_person(
    stack: Stack, scraped: Prometheus
) -> None:
    series = scraped.ask("series", **{"match[]": '{job="replay"}'})
    buffers = [found["metadata"] for found in stack.list_all("rb")]
    names = {"alice", *(name for meta in buffers for name in (meta["name"], meta["uid"]))}
    assert len(series) > 150
    assert len(series) < 600, "so many series for two processes: has a label become unbounded?"
    values = {value for found in series for value in found.values()}
    assert {value for value in values if any(name in value for name in names)} == set()


@pytest.mark.parametrize(("component", "port"), [("replay-operator", 8080), ("replay-agent", 8480)])
def test_a_page_of_metrics_is_as_prometheus_wants_it(stack: Stack, component: str, port: int) -> None:
    with urllib.request.urlopen(f"http://{stack.address(component)}:{port}/metrics", timeout=60) as answer:
        page = answer.read()
    checked = subprocess.run(
        [program("promtool"), "check", "metrics"], input=page, capture_output=True, check=False
    )
    assert (checked.returncode, checked.stdout + checked.stderr) == (0, b"")
