"""The chart as helm renders it."""

import functools
import subprocess
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import yaml

from tests.testbed.binaries import helm_binary
from tests.testbed.errors import TestbedError

ROOT = Path(__file__).resolve().parents[2]
CHART = ROOT / "helm" / "replay-operator"
RELEASE = "replay"
NAMESPACE = "namespace-of-the-release"

KUBERNETES_VERSION = "1.35.0"
"""Without a cluster helm takes a version of its own, older than the chart's bound."""

Json = dict[str, Any]


class HelmError(TestbedError):
    """helm refused what it was asked."""


def helm(*arguments: str, stdin: str | None = None, kubeconfig: Path | None = None) -> str:
    """Run helm and give what it prints.

    Args:
        arguments: The command, without `helm`.
        stdin: What it reads.
        kubeconfig: The cluster; None: it needs none.

    Raises:
        HelmError: It failed; with what it said.
    """
    return run_helm(*arguments, stdin=stdin, kubeconfig=kubeconfig).stdout


def run_helm(
    *arguments: str, stdin: str | None = None, kubeconfig: Path | None = None
) -> subprocess.CompletedProcess[str]:
    """As `helm`, with what it says to standard error: the logs of hooks.

    Args:
        arguments: See `helm`.
        stdin: See `helm`.
        kubeconfig: See `helm`.

    Raises:
        HelmError: It failed; with what it said.
    """
    cluster = ["--kubeconfig", str(kubeconfig)] if kubeconfig else []
    done = subprocess.run(
        [str(helm_binary()), *arguments, *cluster], input=stdin, capture_output=True, text=True, check=False
    )
    if done.returncode != 0:
        raise HelmError(f"helm {' '.join(arguments)}: {done.stderr.strip()}{done.stdout.strip()}")
    return done


def render_text(
    values: Mapping[str, Any] | None = None, *, only: Sequence[str] = (), chart: Path = CHART
) -> str:
    """Render a chart as text, with its comments.

    Args:
        values: What differs from values.yaml.
        only: Templates, such as `fleet.yaml`; empty: all.
        chart: Its directory.
    """
    return _rendered(chart, yaml.safe_dump(dict(values or {})), tuple(only))


def objects_of(text: str) -> list[Json]:
    """Read what helm printed."""
    # In C: the definitions are long, and the chart is rendered often.
    return [found for found in yaml.load_all(text, Loader=yaml.CSafeLoader) if found]


def render(values: Mapping[str, Any] | None = None) -> list[Json]:
    """Render all objects of the chart, hooks too.

    Args:
        values: What differs from values.yaml.
    """
    return objects_of(render_text(values))


@functools.cache
def _rendered(chart: Path, values: str, only: tuple[str, ...]) -> str:
    shown = [argument for name in only for argument in ("--show-only", f"templates/{name}")]
    return helm(
        "template",
        RELEASE,
        str(chart),
        "--namespace",
        NAMESPACE,
        "--kube-version",
        KUBERNETES_VERSION,
        "--values",
        "-",
        *shown,
        stdin=values,
    )
