import json
import threading
from pathlib import Path

import pytest

from tests.testbed.audit import AuditRecord, audit_log_size, audit_records
from tests.testbed.binaries import ControlPlaneBinaries
from tests.testbed.controlplane import ControlPlane, ControlPlaneError, KubectlError
from tests.testbed.tests.process_state import is_running

pytestmark = pytest.mark.cluster

RESTRICTED = "pod-security.kubernetes.io/enforce=restricted"


def pod(**security: object) -> str:
    container = {"name": "main", "image": "example/none", "securityContext": security}
    return json.dumps(
        {"apiVersion": "v1", "kind": "Pod", "metadata": {"name": "one"}, "spec": {"containers": [container]}}
    )


def writes(plane: ControlPlane, namespace: str, offset: int) -> list[AuditRecord]:
    plane.flush_audit_log()
    return [
        record
        for record in audit_records(plane.audit_log, offset=offset)
        if record.is_write and record.user == "admin" and record.namespace == namespace
    ]


def test_the_plane_is_ready_and_says_its_version(control_plane: ControlPlane) -> None:
    assert control_plane.kubectl("get", "--raw", "/readyz") == "ok"
    version = json.loads(control_plane.kubectl("version", "-o", "json"))
    assert version["serverVersion"]["gitVersion"].startswith("v1.")
    assert set(control_plane.pids) == {"etcd", "kube-apiserver", "kube-controller-manager", "kube-scheduler"}


def test_a_config_map_makes_the_round_trip(control_plane: ControlPlane, namespace: str) -> None:
    control_plane.kubectl("-n", namespace, "create", "configmap", "notes", "--from-literal=key=value")
    stored = json.loads(control_plane.kubectl("-n", namespace, "get", "configmap", "notes", "-o", "json"))
    assert stored["data"] == {"key": "value"}


def test_controllers_work(control_plane: ControlPlane, namespace: str) -> None:
    template = {"spec": {"containers": [{"name": "main", "image": "example/none"}], "restartPolicy": "Never"}}
    job = {
        "apiVersion": "batch/v1",
        "kind": "Job",
        "metadata": {"name": "one"},
        "spec": {"template": template},
    }
    control_plane.kubectl("-n", namespace, "create", "-f", "-", input=json.dumps(job))
    control_plane.kubectl(
        "-n", namespace, "wait", "job/one", "--for=jsonpath={.status.active}=1", "--timeout=60s"
    )
    pods = json.loads(control_plane.kubectl("-n", namespace, "get", "pods", "-o", "json"))["items"]
    assert [owned["metadata"]["ownerReferences"][0]["name"] for owned in pods] == ["one"]


def test_the_scheduler_looks_at_pods(control_plane: ControlPlane, namespace: str) -> None:
    control_plane.kubectl("-n", namespace, "create", "-f", "-", input=pod())
    # Whether or not some node is there: the scheduler has decided when the condition is.
    control_plane.kubectl(
        *("-n", namespace, "wait", "pod/one", "--timeout=60s"),
        "--for=jsonpath={.status.conditions[?(@.type=='PodScheduled')].type}=PodScheduled",
    )


def test_the_audit_log_counts_exactly_the_writes_made(control_plane: ControlPlane, namespace: str) -> None:
    control_plane.flush_audit_log()
    offset = audit_log_size(control_plane.audit_log)
    in_namespace = ("-n", namespace)
    control_plane.kubectl(*in_namespace, "create", "configmap", "notes")
    control_plane.kubectl(*in_namespace, "get", "configmap", "notes")
    control_plane.kubectl(*in_namespace, "patch", "configmap", "notes", "--patch", '{"data":{"key":"value"}}')
    control_plane.kubectl(*in_namespace, "delete", "configmap", "notes")
    with pytest.raises(KubectlError, match="not found"):
        control_plane.kubectl(*in_namespace, "patch", "configmap", "notes", "--patch", "{}")

    seen = [
        (record.verb, record.resource, record.name, record.code)
        for record in writes(control_plane, namespace, offset)
    ]
    assert seen == [
        ("create", "configmaps", "notes", 201),
        ("patch", "configmaps", "notes", 200),
        ("delete", "configmaps", "notes", 200),
    ]


def test_the_audit_log_knows_subresources_and_user_agents(
    control_plane: ControlPlane, namespace: str
) -> None:
    offset = audit_log_size(control_plane.audit_log)
    control_plane.kubectl("-n", namespace, "create", "-f", "-", input=pod())
    control_plane.kubectl(
        *("-n", namespace, "patch", "pod", "one", "--subresource=status"),
        *("--type=merge", "--patch", '{"status":{"message":"seen"}}'),
    )
    # A node that other tests have brought up may write to the pod too.
    ours = [w for w in writes(control_plane, namespace, offset) if w.user_agent.startswith("kubectl/")]
    create, patch = ours
    assert (create.resource, create.subresource) == ("pods", "")
    assert (patch.resource, patch.subresource) == ("pods", "status")


def test_restricted_pod_security_refuses_a_bad_pod_and_takes_a_good_one(
    control_plane: ControlPlane, namespace: str
) -> None:
    control_plane.kubectl("label", "namespace", namespace, RESTRICTED)
    with pytest.raises(KubectlError) as refused:
        control_plane.kubectl("-n", namespace, "create", "-f", "-", input=pod(privileged=True))
    assert 'violates PodSecurity "restricted:latest": privileged' in refused.value.stderr
    good = pod(
        allowPrivilegeEscalation=False,
        capabilities={"drop": ["ALL"]},
        runAsNonRoot=True,
        seccompProfile={"type": "RuntimeDefault"},
    )
    control_plane.kubectl("-n", namespace, "create", "-f", "-", input=good)


def test_stop_leaves_no_process_and_no_file(control_plane_binaries: ControlPlaneBinaries) -> None:
    plane = ControlPlane(control_plane_binaries)
    plane.start()
    pids = list(plane.pids.values())
    assert len(pids) == 4
    assert all(map(is_running, pids))
    plane.stop()
    assert not any(map(is_running, pids))
    assert not plane.directory.exists()
    plane.stop()


def test_a_plane_that_cannot_start_says_why_and_leaves_no_process(
    control_plane_binaries: ControlPlaneBinaries, tmp_path: Path
) -> None:
    directory = tmp_path / "plane"
    (directory / "etcd").parent.mkdir()
    (directory / "etcd").touch()  # etcd wants to make a directory of that name
    plane = ControlPlane(control_plane_binaries, directory=directory, keep_directory=True)
    with pytest.raises(ControlPlaneError, match=r"(?s)etcd \(exit code 1\) ended by itself.*not a directory"):
        plane.start()
    pids = [int(line.split()[0]) for line in (directory / "processes" / "pids").read_text().splitlines()]
    assert len(pids) == 2
    assert not any(map(is_running, pids))


def test_kubectl_before_the_start_is_an_error_that_says_so(tmp_path: Path) -> None:
    plane = ControlPlane(directory=tmp_path / "plane")
    with pytest.raises(ControlPlaneError, match="has not been started"):
        plane.kubectl("version")


def test_a_plane_survives_the_end_of_the_thread_that_started_it(
    control_plane_binaries: ControlPlaneBinaries,
) -> None:
    plane = ControlPlane(control_plane_binaries)
    thread = threading.Thread(target=plane.start)
    thread.start()
    thread.join()
    try:
        assert plane.kubectl("get", "--raw", "/readyz") == "ok"
        plane.check()
    finally:
        plane.stop()


@pytest.mark.parametrize("component", ["kube-apiserver", "etcd"])
def test_what_was_stored_survives_a_kill_of_the_server_or_of_its_store(
    control_plane_binaries: ControlPlaneBinaries, component: str
) -> None:
    with ControlPlane(control_plane_binaries) as plane:
        plane.kubectl("create", "configmap", "notes", "--from-literal=key=value")
        first = plane.pids[component]
        plane.kill(component)
        plane.start_again(component)
        assert plane.pids[component] != first
        stored = json.loads(plane.kubectl("get", "configmap", "notes", "-o", "json"))
        assert stored["data"] == {"key": "value"}
        plane.check()
