"""What variants of the chart render, written down: a review then sees what a changed template changes."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import yaml

from tests.helm.chart import render
from tests.helm.variants import VARIANTS

SNAPSHOTS = Path(__file__).parent / "snapshots"
KEPT = ("as little as possible", "everything", "secrets of its own")
"""Of the default, all of it is kept: `manifests/base`."""


def snapshots() -> dict[Path, str]:
    """Render the files, by their path."""
    return {SNAPSHOTS / f"{name.replace(' ', '-')}.yaml": _snapshot(name, VARIANTS[name]) for name in KEPT}


def _snapshot(name: str, values: Mapping[str, Any]) -> str:
    objects = render(values)
    listed = {
        "objects": sorted(f"{found['kind']} {found['metadata']['name']}" for found in objects),
        "pods": {
            found["metadata"]["name"]: found["spec"]["template"]["spec"]
            for found in objects
            if found["kind"] in ("Deployment", "Job")
        },
    }
    return f"# Written by `make generate`: the chart's variant `{name}`.\n{yaml.safe_dump(listed, width=110)}"
