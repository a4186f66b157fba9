"""What kustomize makes of `manifests/`."""

import subprocess

import pytest
import yaml

from tests.helm.chart import ROOT, Json
from tests.testbed.binaries import ControlPlaneBinaries


@pytest.fixture(scope="session")
def kustomized(control_plane_binaries: ControlPlaneBinaries) -> dict[str, list[Json]]:
    """The objects of `manifests/base` and `manifests/doctor`."""

    def build(name: str) -> list[Json]:
        command = [str(control_plane_binaries.kubectl), "kustomize", str(ROOT / "manifests" / name)]
        done = subprocess.run(command, check=True, capture_output=True, text=True)
        return [found for found in yaml.safe_load_all(done.stdout) if found]

    return {name: build(name) for name in ("base", "doctor")}
