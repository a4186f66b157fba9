"""A release from install to uninstall, with a buffer that records all the time."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import pytest

from replay_operator.domain.fleet import DELETION_COST
from tests.helm.chart import CHART, RELEASE, render
from tests.helm.release import MORE_RIGHTS, Release, chart_before, now_text
from tests.stack.images import stack_images
from tests.stack.rights import Use, denied, granted, requests_of, used
from tests.stack.stack import Stack
from tests.testbed.audit import audit_log_size
from tests.testbed.binaries import ControlPlaneBinaries
from tests.testbed.controlplane import ControlPlane
from tests.testbed.node import NodeStandIn

pytestmark = [pytest.mark.cluster, pytest.mark.usefixtures("helm_binary")]

SMALL_ENCODING = {
    "advanced": {"width": 320, "height": 180, "framerate": 15, "videoKbps": 200, "audioKbps": 64}
}


@pytest.fixture(scope="module")
def release(
    control_plane_binaries: ControlPlaneBinaries, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Release]:
    """A cluster of its own: a release owns definitions and roles of the whole cluster."""
    with (
        ControlPlane(control_plane_binaries) as plane,
        NodeStandIn(plane.kubeconfig, tmp_path_factory.mktemp("node"), stack_images()) as node,
    ):
        release = Release(Stack(plane, node, "helm"))
        release.prepare()
        yield release


def buffer() -> dict[str, Any]:
    participant = {"identity": "alice", "video": "ScreenShare", "audio": "Microphone"}
    return {
        "apiVersion": "replaybuffer.dev/v1alpha1",
        "kind": "ReplayBuffer",
        "metadata": {"name": "alice"},
        "spec": {
            "room": "standup",
            "source": {"participant": participant},
            "windowSeconds": 300,
            "segmentSeconds": 2,
            "encoding": SMALL_ENCODING,
        },
    }


def capture(name: str, start: str, end: str, **spec: Any) -> dict[str, Any]:
    return {
        "apiVersion": "replaybuffer.dev/v1alpha1",
        "kind": "ReplayCapture",
        "metadata": {"name": name},
        "spec": {"bufferRef": {"name": "alice"}, "range": {"between": {"start": start, "end": end}}, **spec},
    }


def rights(role: str, values: Mapping[str, Any] = MORE_RIGHTS) -> frozenset[Use]:
    (found,) = (o for o in render(values) if (o["kind"], o["metadata"]["name"]) == ("Role", role))
    return granted(found)


def busy_workers(stack: Stack) -> list[str]:
    """The workers that the autoscaler takes last."""
    pods = stack.list_all("pods", labels="app.kubernetes.io/name=livekit-egress")
    return [
        pod["metadata"]["name"] for pod in pods if DELETION_COST in pod["metadata"].get("annotations", {})
    ]


def test_an_upgrade_loses_no_second_and_an_uninstall_leaves_what_was_recorded_and_nothing_else(
    release: Release, tmp_path: Path
) -> None:
    stack = release.stack
    before = chart_before(tmp_path)
    print(f"upgrading from {'an earlier chart' if before else 'this very chart: the history has no other'}")

    release.install(before or CHART)
    stack.apply(buffer())
    stack.wait_for_condition("rb", "alice", "Recording", seconds=60)
    stack.wait_for("a first segment", lambda: any(b.runs for b in stack.coverage().buffers), seconds=60)
    start = now_text()
    old = release.generation()
    token = release.token()

    # A setting rolls the operator, a new configuration the workers.
    offset = audit_log_size(stack.plane.audit_log)
    notes = release.upgrade(recording={"segmentSeconds": 4}, **MORE_RIGHTS)
    assert f"helm test {RELEASE} --namespace {stack.namespace}\n" in notes, "the next command"
    stack.wait_for("the end of the old workers", lambda: not release.workers_of(old), seconds=120)
    end = now_text()
    assert release.token() == token, "a new one would lock the operator out until the agent reads it"

    stack.apply(capture("across", start, end, holes="Fail", whenShort="Fail", deletionPolicy="Delete"))
    clip = stack.wait_for_condition("rcap", "across", "Ready", seconds=60)["status"]["clip"]
    assert clip["runs"] > 1, "the recording went to another worker"
    assert clip["holes"] == []

    saved = release.save("alice", start, end)
    stack.wait_for_condition("rcap", saved, "Ready", seconds=60)
    stack.wait_for("a price on the busy worker", lambda: busy_workers(stack), seconds=60)
    requests = requests_of(stack, "replay-operator", offset=offset)
    assert denied(requests) == []
    assert used(requests) <= rights("replay-operator")
    assert used(requests) >= rights("replay-operator") - rights("replay-operator", {})

    said = release.test()
    assert "Phase:          Succeeded" in said
    assert '"level": "PASS"' in said, "the report is in the log"
    requests = requests_of(stack, "replay-doctor")
    assert denied(requests) == []
    assert used(requests) == rights("replay-doctor")

    file = stack.archive() / clip["path"]
    claims = {
        f"persistentvolumeclaim/{claim['metadata']['name']}"
        for claim in stack.list_all("persistentvolumeclaims")
    }
    assert release.recordings()
    release.uninstall()

    assert release.recordings() == []
    requests = requests_of(stack, "replay-drain")
    assert denied(requests) == []
    unused = rights("replay-drain") - used(requests)
    assert unused == {("create", "leases")}, "for an install in which nobody has led yet"
    # helm does not wait for pods: the collector deletes them after their Deployment.
    workers = "app.kubernetes.io/part-of=replay-operator,!replaybuffer.dev/capture-uid"
    stack.wait_for("the end of all pods", lambda: not stack.list_all("pods", labels=workers), seconds=60)
    jobs = {
        f"job.batch/{job['metadata']['name']}"
        for job in stack.list_all("jobs", labels="replaybuffer.dev/capture-uid")
    }
    pods = {
        name for name in release.left() if name.startswith("pod/") and ("across" in name or saved in name)
    }
    assert release.left() - jobs - pods - claims == {
        "replaybuffer.replaybuffer.dev/alice",
        "replaycapture.replaybuffer.dev/across",
        f"replaycapture.replaybuffer.dev/{saved}",
    }
    assert file.stat().st_size == clip["bytes"]
    stack.kubectl("delete", "rb,rcap", "--all", "--timeout=60s")
    assert file.exists(), "nobody is there to delete it any more, and nothing waits for somebody"
