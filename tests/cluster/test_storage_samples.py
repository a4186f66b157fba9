"""manifests/storage against the real API server, volume binder and scheduler."""

import json
import os
import re
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
import yaml

from replay_operator.api.capture_job import CaptureRequest
from replay_operator.cluster.claims import ClaimRequest, claim_body
from replay_operator.cluster.jobs import job_body
from replay_operator.controller.part_settings import job_settings
from replay_operator.domain.quantity import parse_quantity
from replay_operator.settings import OperatorSettings
from tests.builders import CAPTURE_UID, NOW, at, capture
from tests.testbed.controlplane import ControlPlane

pytestmark = pytest.mark.cluster

ROOT = Path(__file__).parents[2]
MANIFESTS = ROOT / "manifests"
SAMPLES = sorted(path.parent.name for path in (MANIFESTS / "storage").glob("*/kustomization.yaml"))
SHOWN = [
    pytest.param(block, id=f"{page.stem}-{number}")
    for page in sorted((ROOT / "docs" / "storage").glob("*.md"))
    for number, block in enumerate(
        re.findall(r"^```yaml\n(.+?)^```", page.read_text(), re.DOTALL | re.MULTILINE)
    )
]
WORKERS = ("worker-a", "worker-b")
PLACE = "replay.test/place"
NODE_SIZE = {"cpu": "16", "memory": "64Gi", "pods": "110"}
TOLERATIONS = [{"key": key, "operator": "Exists"} for key in (PLACE, "node.kubernetes.io/not-ready")]
ALL_PODS = ("agent", *WORKERS, "capture")

REQUEST = CaptureRequest(
    capture_uid=CAPTURE_UID,
    buffer_directory="/buffer/team/b",
    start=at(-60),
    end=NOW,
    archive_directory="/archive",
    clip_path="team/goal.mp4",
)

Json = dict[str, Any]
Key = tuple[str, str]


def rendered(control_plane: ControlPlane, overlay: Path, text: str) -> dict[Key, Json]:
    """What kustomize makes of an overlay, by kind and name."""
    overlay.mkdir(exist_ok=True)
    manifests = os.path.relpath(MANIFESTS, overlay.resolve())
    (overlay / "kustomization.yaml").write_text(text.replace("../manifests", manifests))
    objects = [
        found for found in yaml.safe_load_all(control_plane.kubectl("kustomize", str(overlay))) if found
    ]
    return {(body["kind"], body["metadata"]["name"]): body for body in objects}


def with_samples(*samples: str) -> str:
    components = [f"../manifests/storage/{sample}" for sample in samples]
    return yaml.safe_dump({"resources": ["../manifests/base"], "components": components})


@pytest.fixture
def install(control_plane: ControlPlane, tmp_path: Path) -> Callable[..., dict[Key, Json]]:
    """Renders the base with samples."""
    return lambda *samples: rendered(control_plane, tmp_path / "overlay", with_samples(*samples))


@pytest.mark.parametrize("sample", SAMPLES)
def test_the_api_server_accepts_what_a_sample_adds_and_changes(
    control_plane: ControlPlane, namespace: str, install: Callable[..., dict[Key, Json]], sample: str
) -> None:
    plain = install()
    changed = [body for key, body in install(sample).items() if plain.get(key) != body]
    kinds = {body["kind"] for body in changed}
    assert {"StorageClass", "ConfigMap"} <= kinds
    strict = ("--dry-run=server", "--validate=strict", "--warnings-as-errors")
    said = control_plane.kubectl(
        "apply", "-n", namespace, *strict, "-f", "-", input=yaml.safe_dump_all(changed)
    )
    assert len(said.splitlines()) == len(changed)


@pytest.mark.parametrize("overlay", SHOWN)
def test_an_overlay_that_a_page_shows_can_be_built(
    control_plane: ControlPlane, tmp_path: Path, overlay: str
) -> None:
    found = rendered(control_plane, tmp_path / "overlay", overlay)
    classes = {name for kind, name in found if kind == "StorageClass"}
    settings = found["ConfigMap", "replay-operator-settings"]["data"]
    assert settings["REPLAY_BUFFER_STORAGE_CLASS"] in classes
    for body in (body for (kind, _), body in found.items() if kind == "PersistentVolume"):
        assert body["spec"]["storageClassName"] in classes


class Cluster:
    """Two nodes that no kubelet plays, and one install's volumes, claims and pods: enough for a scheduler."""

    def __init__(self, plane: ControlPlane, namespace: str, monkeypatch: pytest.MonkeyPatch) -> None:
        self.plane = plane
        self.namespace = namespace
        self._monkeypatch = monkeypatch
        self._made: list[str] = []

    def create(self, body: Json) -> None:
        """Make an object; those that belong to no namespace are remembered."""
        if body["kind"] in ("Node", "StorageClass", "PersistentVolume"):
            self._made.append(f"{body['kind']}/{body['metadata']['name']}")
        self.plane.kubectl("create", "-n", self.namespace, "-f", "-", input=json.dumps(body))

    def node(self, name: str) -> None:
        """Make a node. Its label keeps our pods here, its taint all others away."""
        labels = {"kubernetes.io/hostname": name, PLACE: self.namespace}
        self.create(
            {
                "apiVersion": "v1",
                "kind": "Node",
                "metadata": {"name": name, "labels": labels},
                "spec": {"taints": [{"key": PLACE, "effect": "NoSchedule"}]},
                "status": {"capacity": NODE_SIZE, "allocatable": NODE_SIZE},
            }
        )

    def claim(self, found: dict[Key, Json]) -> OperatorSettings:
        """Make the storage of a rendered install and the claims that its operator would make."""
        for (kind, _), body in found.items():
            if kind in ("StorageClass", "PersistentVolume"):
                self.create(body)
        data = found["ConfigMap", "replay-operator-settings"]["data"]
        for name, value in {**data, "POD_NAMESPACE": self.namespace}.items():
            self._monkeypatch.setenv(name, value)
        read = OperatorSettings()
        for name, size, storage_class, mode in (
            (read.buffer_claim, read.buffer_claim_size, read.buffer_storage_class, read.buffer_access_mode),
            (
                read.archive_claim,
                read.archive_claim_size,
                read.archive_storage_class,
                read.archive_access_mode,
            ),
        ):
            self.create(claim_body(ClaimRequest(name, parse_quantity(size), storage_class, mode)))
        return read

    def network_disk(self, storage_class: str, gibibytes: int) -> None:
        """Make a disk that can be attached to any node, as a cloud's driver would."""
        spec = {
            "storageClassName": storage_class,
            "capacity": {"storage": f"{gibibytes}Gi"},
            "accessModes": ["ReadWriteOnce"],
            "csi": {"driver": "ebs.csi.aws.com", "volumeHandle": f"vol-{storage_class}"},
        }
        body = {
            "apiVersion": "v1",
            "kind": "PersistentVolume",
            "metadata": {"name": storage_class},
            "spec": spec,
        }
        self.create(body)

    def pod(self, name: str, template: Json) -> None:
        """Make a pod that only our nodes may run."""
        spec = template["spec"] | {"nodeSelector": {PLACE: self.namespace}, "tolerations": TOLERATIONS}
        metadata = {"name": name, "labels": template["metadata"]["labels"]}
        self.create({"apiVersion": "v1", "kind": "Pod", "metadata": metadata, "spec": spec})

    def start(self, found: dict[Key, Json], settings: OperatorSettings) -> dict[str, str]:
        """Make the pods of an install, and give the node of each."""
        self.create(found["ServiceAccount", settings.capture_service_account])
        self.kubectl("wait", "--for=create", "serviceaccount/default", "--timeout=60s")
        fleet = found["Deployment", settings.fleet]["spec"]["template"]
        job = job_body(capture().metadata, REQUEST, job_settings(settings))["spec"]["template"]
        agent = found["Deployment", "replay-agent"]["spec"]["template"]
        for name, template in zip(ALL_PODS, (agent, fleet, fleet, job), strict=True):
            self.pod(name, template)
            self.kubectl("wait", "--for=condition=PodScheduled", f"pod/{name}", "--timeout=60s")
        pods = json.loads(self.kubectl("get", "pods", "-o", "json"))["items"]
        return {pod["metadata"]["name"]: pod["spec"]["nodeName"] for pod in pods}

    def bound(self) -> dict[str, str]:
        """Wait until both claims are bound, and give the volume of each."""
        self.kubectl("wait", "--for=jsonpath={.status.phase}=Bound", "pvc", "--all", "--timeout=60s")
        items = json.loads(self.kubectl("get", "pvc", "-o", "json"))["items"]
        return {item["metadata"]["name"]: item["spec"]["volumeName"] for item in items}

    def remove(self) -> None:
        """Remove everything, in the order in which Kubernetes lets it go."""
        self.kubectl("delete", "pods", "--all", "--grace-period=0", "--force")
        self.kubectl("delete", "pvc", "--all")
        for made in reversed(self._made):
            self.plane.kubectl("delete", made, "--ignore-not-found")

    def kubectl(self, *arguments: str) -> str:
        """Run kubectl in the namespace."""
        return self.plane.kubectl("-n", self.namespace, *arguments)


@pytest.fixture
def cluster(
    control_plane: ControlPlane, namespace: str, monkeypatch: pytest.MonkeyPatch
) -> Iterator[Cluster]:
    made = Cluster(control_plane, namespace, monkeypatch)
    try:
        for name in ("another-node", "node-with-the-disk"):
            made.node(name)
        yield made
    finally:
        made.remove()


def test_a_disk_of_a_node_draws_everything_to_its_node(
    cluster: Cluster, install: Callable[..., dict[Key, Json]]
) -> None:
    found = install("local-nvme-xfs", "archive-hdd-local")
    places = cluster.start(found, cluster.claim(found))
    assert places == dict.fromkeys(ALL_PODS, "node-with-the-disk")
    assert cluster.bound() == {
        "replay-buffers": "replay-buffers-nvme-xfs",
        "replay-archive": "replay-archive-hdd",
    }


def test_everything_follows_the_agent_to_where_a_network_disk_is(
    cluster: Cluster, install: Callable[..., dict[Key, Json]]
) -> None:
    found = install("aws-ebs-gp3", "archive-aws-st1")
    settings = cluster.claim(found)
    cluster.network_disk(settings.buffer_storage_class, 100)
    cluster.network_disk(settings.archive_storage_class, 2048)
    places = cluster.start(found, settings)
    assert set(places.values()) == {places["agent"]}

    # One that fits only on the other, empty node waits: there it would hang for a disk that is attached here.
    worker = found["Deployment", settings.fleet]["spec"]["template"]
    worker["spec"]["containers"][0]["resources"] = {"requests": {"cpu": "14"}}
    cluster.pod("one-more", worker)
    cluster.kubectl("wait", "--for=condition=PodScheduled=False", "pod/one-more", "--timeout=60s")


def test_workers_spread_and_captures_are_free_when_the_volumes_are_shared(
    cluster: Cluster, install: Callable[..., dict[Key, Json]]
) -> None:
    found = install("nfs-static")
    settings = cluster.claim(found)
    assert cluster.bound() == {
        "replay-buffers": "replay-buffers-nfs",
        "replay-archive": "replay-archive-nfs",
    }, "each claim has the volume that is meant for it"
    places = cluster.start(found, settings)
    assert places[WORKERS[0]] != places[WORKERS[1]]
    assert not job_settings(settings).beside_agent
