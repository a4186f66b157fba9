"""Every object of the kind path, taken by a real API server in namespaces that enforce `restricted`."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import yaml

from tests.helm.chart import render
from tests.stack.images import stack_images
from tests.testbed.controlplane import ControlPlane

pytestmark = pytest.mark.cluster

ROOT = Path(__file__).parents[2]
KIND = ROOT / "manifests" / "kind"
STRICT = ("--dry-run=server", "--validate=strict", "--warnings-as-errors")
NAMESPACES = ("livekit", "replay")

Json = dict[str, Any]


def rendered(plane: ControlPlane, folder: Path) -> list[Json]:
    return list(yaml.safe_load_all(plane.kubectl("kustomize", str(folder))))


@pytest.fixture(scope="module")
def plane(control_plane: ControlPlane, crds: None) -> Iterator[ControlPlane]:
    """A control plane with the two namespaces."""
    control_plane.kubectl("apply", "-f", str(KIND / "namespaces.yaml"))
    yield control_plane
    control_plane.kubectl("delete", "namespace", *NAMESPACES, "--wait=false")


@pytest.fixture(scope="module")
def chart() -> list[Json]:
    """What the chart makes with the values for kind."""
    return render(yaml.safe_load((KIND / "values.yaml").read_text()))


@pytest.fixture(params=["livekit", "demo", "chart"])
def objects(request: pytest.FixtureRequest, plane: ControlPlane) -> list[Json]:
    if request.param == "chart":
        found: list[Json] = request.getfixturevalue("chart")
        return found
    return rendered(plane, KIND if request.param == "livekit" else KIND / "demo")


def test_each_object_is_taken_without_a_warning(plane: ControlPlane, objects: list[Json]) -> None:
    texts = yaml.safe_dump_all(objects)
    # LiveKit's objects name their namespace, the others go where they are applied to.
    there = [] if any("namespace" in body["metadata"] for body in objects) else ["--namespace=replay"]
    said = plane.kubectl("apply", *there, *STRICT, "-f", "-", input=texts)
    assert len(said.splitlines()) == len(objects)


def test_each_pod_passes_pod_security_restricted(plane: ControlPlane, objects: list[Json]) -> None:
    templates = [body for body in objects if body["kind"] in ("Deployment", "Job")]
    assert templates
    for body in templates:
        pod = {
            "apiVersion": "v1",
            "kind": "Pod",
            "metadata": {"name": body["metadata"]["name"]},
            "spec": body["spec"]["template"]["spec"] | {"serviceAccountName": "default"},
        }
        namespace = body["metadata"].get("namespace", "replay")
        said = plane.kubectl("create", "-n", namespace, *STRICT, "-f", "-", input=json.dumps(pod))
        assert " created" in said


def test_the_capture_of_the_demo_is_admitted(plane: ControlPlane) -> None:
    capture = KIND / "demo" / "replaycapture.yaml"
    assert " created" in plane.kubectl("create", "-n", "replay", *STRICT, "-f", str(capture))


def test_the_images_are_those_that_the_other_tests_speak_for(plane: ControlPlane, chart: list[Json]) -> None:
    deployments = [o for o in [*rendered(plane, KIND), *chart] if o["kind"] == "Deployment"]
    images = {c["image"] for o in deployments for c in o["spec"]["template"]["spec"]["containers"]}
    assert all(":" in image and not image.endswith(":latest") for image in images), images
    names = {image.split(":")[0] for image in images}
    assert set(stack_images()) <= names
    assert names - set(stack_images()) == {"redis"}


def test_workers_and_livekit_share_the_redis_that_is_there(plane: ControlPlane, chart: list[Json]) -> None:
    objects = rendered(plane, KIND)
    services = {
        f"{o['metadata']['name']}.{o['metadata']['namespace']}:{o['spec']['ports'][0]['port']}"
        for o in objects
        if o["kind"] == "Service"
    }
    (egress,) = [o for o in chart if o["kind"] == "ConfigMap" and "config.yaml" in o["data"]]
    address = yaml.safe_load(egress["data"]["config.yaml"])["redis"]["address"]
    assert address in services
    (livekit,) = [o for o in objects if o["kind"] == "ConfigMap"]
    assert yaml.safe_load(livekit["data"]["config.yaml"])["redis"]["address"] == address.replace(
        ".livekit", ""
    )
    assert "livekit.livekit:7880" in services, "the address that kind.sh puts into the Secret"
    assert "ws://livekit.livekit:7880" in (KIND / "kind.sh").read_text()
