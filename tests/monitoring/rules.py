"""The alerts as they are shipped, and promtool."""

from __future__ import annotations

import re
import shutil
from pathlib import Path
from typing import Any

import pytest
import yaml

from replay_operator.agent.metrics import AgentMetrics
from replay_operator.metric_registry import MetricKind
from replay_operator.metrics import OperatorMetrics

ROOT = Path(__file__).parents[2]
FILES = ROOT / "helm" / "replay-operator" / "files"
RULES = FILES / "rules.yaml"
DASHBOARD = FILES / "dashboard.json"

_SUFFIXES = ("_bucket", "_count", "_sum")


def alerts() -> dict[str, dict[str, Any]]:
    """Each alerting rule by its name."""
    groups = yaml.safe_load(RULES.read_text())["groups"]
    rules = [rule for group in groups for rule in group["rules"]]
    assert len({rule["alert"] for rule in rules}) == len(rules)
    return {rule["alert"]: rule for rule in rules}


def named_metrics(expression: str) -> set[str]:
    """The metrics of this project that an expression names, as they are declared."""
    histograms = {d.name for d in declared() if d.kind is MetricKind.HISTOGRAM}
    found = set(re.findall(r"\breplay_[a-z_]+", expression))
    return {next((n.removesuffix(s) for s in _SUFFIXES if n.removesuffix(s) in histograms), n) for n in found}


def declared() -> list[Any]:
    """Every metric of operator and agent."""
    return [*OperatorMetrics().metrics.declared, *AgentMetrics().metrics.declared]


def program(name: str) -> str:
    """Find a program of Prometheus, or skip the test and say so."""
    found = shutil.which(name)
    if found is None:
        pytest.skip(f"{name} is not installed: Debian has it in the package prometheus")
    return found
