"""What manifests/argocd gives to a cluster, on a real API server: the patch, the samples, what actions do."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
import yaml

from tests.testbed.controlplane import ControlPlane

pytestmark = [pytest.mark.cluster, pytest.mark.usefixtures("crds")]

ARGOCD = Path(__file__).parents[2] / "manifests" / "argocd"
KINDS = ARGOCD / "resource_customizations" / "replaybuffer.dev"
STRICT = ("--dry-run=server", "--validate=strict", "--warnings-as-errors")

Json = dict[str, Any]


def read(path: Path) -> Any:
    return yaml.safe_load(path.read_text())


def test_the_patch_adds_keys_to_argocd_cm_and_changes_no_other(
    control_plane: ControlPlane, namespace: str
) -> None:
    control_plane.kubectl("-n", namespace, "create", "configmap", "argocd-cm", "--from-literal=url=https://a")
    patch = ARGOCD / "argocd-cm.yaml"
    control_plane.kubectl("-n", namespace, "patch", "configmap", "argocd-cm", "--patch-file", str(patch))
    after = json.loads(control_plane.kubectl("-n", namespace, "get", "configmap", "argocd-cm", "-o", "json"))
    assert after["data"] == {"url": "https://a"} | read(patch)["data"]


def test_the_samples_are_admitted(control_plane: ControlPlane, namespace: str) -> None:
    said = control_plane.kubectl("apply", "-n", namespace, *STRICT, "-f", str(ARGOCD / "buffers"))
    assert said.count(" created") == 2


@pytest.mark.parametrize(
    "path", sorted((KINDS / "ReplayCapture" / "actions").glob("testdata/*-retried.yaml"))
)
def test_a_retry_is_admitted(control_plane: ControlPlane, namespace: str, path: Path) -> None:
    (made,) = read(path)
    body = made["unstructuredObj"]
    body["metadata"]["namespace"] = namespace
    answer = control_plane.kubectl("create", *STRICT, "-o", "json", "-f", "-", input=json.dumps(body))
    assert json.loads(answer)["spec"] == body["spec"], "nothing is pruned, and nothing defaulted otherwise"


@pytest.mark.parametrize(
    ("before", "after"),
    [
        ("recording", "recording-suspended"),
        ("suspended", "suspended-resumed"),
        ("recording", "recording-forgotten"),
    ],
)
def test_what_an_action_changes_is_admitted_as_a_change(
    control_plane: ControlPlane, namespace: str, before: str, after: str
) -> None:
    testdata = KINDS / "ReplayBuffer" / "actions" / "testdata"
    old, new = read(testdata / f"{before}.yaml"), read(testdata / f"{after}.yaml")
    made = {**old, "metadata": {"name": "alice-screen", "namespace": namespace}}
    control_plane.kubectl("create", "-f", "-", input=json.dumps(made))
    change: Json = {"spec": new["spec"], "metadata": {"annotations": new["metadata"].get("annotations", {})}}
    patched = control_plane.kubectl(
        *(
            "-n",
            namespace,
            "patch",
            "rb",
            "alice-screen",
            "--type=merge",
            "-o",
            "json",
            "-p",
            json.dumps(change),
        )
    )
    found = json.loads(patched)
    assert found["spec"] == new["spec"]
    assert change["metadata"]["annotations"].items() <= found["metadata"].get("annotations", {}).items()
