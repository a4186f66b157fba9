"""Writes the Grafana dashboard of the chart, or checks that it is up to date.

`python -m tests.monitoring.dashboard [--check]`. It stands under tests/ beside the other generators of the
chart: it belongs to no process of the system, and nothing of it is shipped but what it writes.
"""

from __future__ import annotations

import argparse
import sys
from itertools import count

from grafana_foundation_sdk.builders import dashboard, prometheus, stat, timeseries
from grafana_foundation_sdk.builders.common import ReduceDataOptions, VizLegendOptions, VizTooltipOptions
from grafana_foundation_sdk.cog.encoder import JSONEncoder
from grafana_foundation_sdk.models.common import (
    BigValueColorMode,
    BigValueGraphMode,
    LegendDisplayMode,
    LegendPlacement,
    SortOrder,
    TooltipDisplayMode,
)
from grafana_foundation_sdk.models.dashboard import (
    DashboardCursorSync,
    DataSourceRef,
    Threshold,
    ThresholdsMode,
    VariableRefresh,
)

from tests.monitoring.panels import ROWS, Shape, Shown
from tests.monitoring.rules import DASHBOARD

SOURCE = DataSourceRef(type_val="prometheus", uid="${datasource}")
GOOD, BAD = "green", "red"
WIDTH = 24
NUMBER_HEIGHT = 4
LINES_WIDTH, LINES_HEIGHT = 8, 8


def text() -> str:
    """The dashboard as the chart ships it."""
    return JSONEncoder(sort_keys=True, indent=2).encode(_dashboard().build()) + "\n"


def _dashboard() -> dashboard.Dashboard:
    board = (
        dashboard.Dashboard("Replay")
        .uid("replay-operator")
        .description("Are moments lost, do captures succeed, will disks or workers run out, what costs most.")
        .tags(["replay-operator", "livekit"])
        .time("now-3h", "now")
        .refresh("30s")
        .timezone("browser")
        .tooltip(DashboardCursorSync.CROSSHAIR)
        .with_variable(dashboard.DatasourceVariable("datasource").label("Data source").type("prometheus"))
        .with_variable(
            dashboard.QueryVariable("namespace")
            .label("Namespace")
            .datasource(SOURCE)
            .query("label_values(replay_operator_leader, namespace)")
            .refresh(VariableRefresh.ON_TIME_RANGE_CHANGED)
            .include_all(True)
            .all_value(".*")
            .multi(True)
        )
    )
    ids = count(1)
    for question, panels in ROWS.items():
        board.with_row(dashboard.Row(question).id(next(ids)))
        numbers = sum(shown.shape is Shape.NUMBER for shown in panels)
        for shown in panels:
            width = WIDTH // numbers if shown.shape is Shape.NUMBER else LINES_WIDTH
            board.with_panel(_panel(shown).span(width).id(next(ids)))
    return board


def _panel(shown: Shown) -> stat.Panel | timeseries.Panel:
    panel = _number(shown) if shown.shape is Shape.NUMBER else _lines(shown)
    panel.title(shown.title).description(shown.meaning).unit(shown.unit).datasource(SOURCE)
    for letter, query in zip("ABCDEF", shown.queries, strict=False):
        target = prometheus.Dataquery().expr(query.expr).ref_id(letter).legend_format(query.legend)
        panel.with_target(target.instant() if shown.shape is Shape.NUMBER else target.range())
    return panel


def _number(shown: Shown) -> stat.Panel:
    return (
        stat.Panel()
        .height(NUMBER_HEIGHT)
        .color_mode(BigValueColorMode.VALUE)
        .graph_mode(BigValueGraphMode.NONE)
        .reduce_options(ReduceDataOptions().calcs(["lastNotNull"]))
        .thresholds(dashboard.ThresholdsConfig().mode(ThresholdsMode.ABSOLUTE).steps(_steps(shown)))
    )


def _steps(shown: Shown) -> list[Threshold]:
    if shown.warn_above is not None:
        # Grafana turns at the value itself, and 0 is fine where any more is not.
        return [Threshold(value=None, color=GOOD), Threshold(value=shown.warn_above or 1e-9, color=BAD)]
    if shown.warn_below is not None:
        return [Threshold(value=None, color=BAD), Threshold(value=shown.warn_below, color=GOOD)]
    return [Threshold(value=None, color=GOOD)]


def _lines(shown: Shown) -> timeseries.Panel:
    return (
        timeseries.Panel()
        .height(LINES_HEIGHT)
        .axis_soft_min(0)
        .legend(
            VizLegendOptions()
            .display_mode(LegendDisplayMode.LIST)
            .placement(LegendPlacement.BOTTOM)
            .show_legend(len(shown.queries) > 1 or bool(shown.queries[0].legend))
        )
        .tooltip(VizTooltipOptions().mode(TooltipDisplayMode.MULTI).sort(SortOrder.DESCENDING))
    )


def main() -> int:
    """Write the file, or check it."""
    parser = argparse.ArgumentParser(prog="tests.monitoring.dashboard", description=main.__doc__)
    parser.add_argument("--check", action="store_true", help="write nothing, fail if it is out of date")
    if not parser.parse_args().check:
        DASHBOARD.write_text(text(), encoding="utf-8")
        return 0
    if DASHBOARD.exists() and DASHBOARD.read_text(encoding="utf-8") == text():
        return 0
    sys.stderr.write(f"{DASHBOARD} is missing or out of date: run make generate\n")
    return 1


if __name__ == "__main__":
    sys.exit(main())
