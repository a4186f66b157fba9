"""What kustomize makes of `manifests/`."""

import os
import subprocess
from pathlib import Path

import pytest
import yaml

from tests.helm.chart import ROOT, Json
from tests.testbed.binaries import ControlPlaneBinaries


@pytest.fixture(scope="session")
def kustomized(
    control_plane_binaries: ControlPlaneBinaries, tmp_path_factory: pytest.TempPathFactory
) -> dict[str, list[Json]]:
    """The objects of `manifests/base` and `manifests/doctor`, and of the base with `manifests/preview`."""

    def build(folder: Path) -> list[Json]:
        command = [str(control_plane_binaries.kubectl), "kustomize", str(folder)]
        done = subprocess.run(command, check=True, capture_output=True, text=True)
        return [found for found in yaml.safe_load_all(done.stdout) if found]

    overlay = tmp_path_factory.mktemp("overlay")
    manifests = os.path.relpath(ROOT / "manifests", overlay.resolve())
    (overlay / "kustomization.yaml").write_text(
        f"resources: [{manifests}/base]\ncomponents: [{manifests}/preview]\n"
    )
    shipped = {name: build(ROOT / "manifests" / name) for name in ("base", "doctor")}
    return shipped | {"preview": build(overlay)}
