"""The overlays of README and docs/install: kustomize builds them, and the real API server takes them."""

import os
import re
from pathlib import Path
from typing import Any

import pytest
import yaml

from tests.testbed.controlplane import ControlPlane

pytestmark = pytest.mark.cluster

ROOT = Path(__file__).parents[2]
FENCE = re.compile(r"^```yaml\n# my-install/kustomization\.yaml\n(.+?)^```", re.DOTALL | re.MULTILINE)
OVERLAYS = [
    pytest.param(found[1], id=page.relative_to(ROOT).with_suffix("").as_posix())
    for page in (ROOT / "README.md", *sorted((ROOT / "docs" / "install").glob("*.md")))
    for found in FENCE.finditer(page.read_text())
]


@pytest.mark.parametrize("overlay", OVERLAYS)
def test_what_an_install_page_shows_is_taken_whole_and_all_processes_run_one_image(
    control_plane: ControlPlane, namespace: str, tmp_path: Path, overlay: str
) -> None:
    manifests = os.path.relpath(ROOT / "manifests", tmp_path.resolve())
    (tmp_path / "kustomization.yaml").write_text(overlay.replace("../manifests", manifests))
    text = control_plane.kubectl("kustomize", str(tmp_path))

    strict = ("--dry-run=server", "--validate=strict", "--warnings-as-errors")
    said = control_plane.kubectl("apply", "-n", namespace, *strict, "-f", "-", input=text)

    objects: list[dict[str, Any]] = [found for found in yaml.safe_load_all(text) if found]
    assert len(said.splitlines()) == len(objects)
    settings = next(o["data"] for o in objects if o["metadata"]["name"] == "replay-operator-settings")
    images = {
        container["image"]
        for o in objects
        if o["kind"] == "Deployment" and o["metadata"]["name"] != "livekit-egress"
        for container in o["spec"]["template"]["spec"]["containers"]
    }
    assert images == {settings["REPLAY_CAPTURE_IMAGE"]}
    (worker,) = [o for o in objects if (o["kind"], o["metadata"]["name"]) == ("ConfigMap", "livekit-egress")]
    redis = yaml.safe_load(worker["data"]["config.yaml"])["redis"]["address"]
    assert redis != "redis:6379", "the base's, which is in no cluster"
    classes = {o["metadata"]["name"] for o in objects if o["kind"] == "StorageClass"}
    wanted = {settings["REPLAY_BUFFER_STORAGE_CLASS"], settings["REPLAY_ARCHIVE_STORAGE_CLASS"]} - {""}
    assert wanted <= classes


def test_there_is_an_overlay_for_each_kind_of_cluster() -> None:
    pages = {str(overlay.id).removeprefix("docs/install/") for overlay in OVERLAYS}
    assert {"README", "bare-metal", "eks", "gke", "nfs"} <= pages
