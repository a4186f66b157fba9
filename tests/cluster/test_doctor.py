"""`replay-operator doctor` with a kubeconfig, on a real API server without a node: little is well there."""

from __future__ import annotations

import json
import subprocess
import sys
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
import yaml

from tests.testbed.controlplane import ControlPlane

pytestmark = [pytest.mark.cluster, pytest.mark.usefixtures("crds")]

MANIFESTS = Path(__file__).parents[2] / "manifests"
SETTINGS = "replay-operator-settings"
OPERATOR = {"app.kubernetes.io/name": "replay-operator", "app.kubernetes.io/component": "operator"}

Json = dict[str, Any]


class Doctor:
    """Runs the command for one namespace."""

    def __init__(self, plane: ControlPlane, namespace: str) -> None:
        self.plane = plane
        self.namespace = namespace

    def apply(self, *objects: Json, manager: str = "kubectl") -> None:
        flags = ("--server-side", f"--field-manager={manager}", "-n", self.namespace, "-f", "-")
        self.plane.kubectl("apply", *flags, input=yaml.safe_dump_all(objects))

    def base(self, *kinds: str) -> list[Json]:
        rendered = self.plane.kubectl("kustomize", str(MANIFESTS / "base"))
        return [o for o in yaml.safe_load_all(rendered) if o and o["kind"] in kinds]

    def run(self, *arguments: str, kubeconfig: Path | None = None) -> subprocess.CompletedProcess[str]:
        command = [sys.executable, "-m", "replay_operator", "doctor", "-n", self.namespace, *arguments]
        access = ("--kubeconfig", str(kubeconfig or self.plane.kubeconfig))
        return subprocess.run([*command, *access], check=False, capture_output=True, text=True, timeout=60)

    def report(self) -> dict[str, Json]:
        return by_name(self.run("-o", "json").stdout)


def by_name(report: str) -> dict[str, Json]:
    return {check["name"]: check for check in json.loads(report)["checks"]}


@pytest.fixture
def doctor(control_plane: ControlPlane, namespace: str) -> Doctor:
    return Doctor(control_plane, namespace)


def running_operator(doctor: Doctor, started_at: datetime) -> None:
    """A pod of the operator as a kubelet would tell of it."""
    (deployment,) = [o for o in doctor.base("Deployment") if o["metadata"]["name"] == "replay-operator"]
    spec = deployment["spec"]["template"]["spec"] | {"serviceAccountName": "default"}
    doctor.apply(
        {"apiVersion": "v1", "kind": "Pod", "metadata": {"name": "op", "labels": OPERATOR}, "spec": spec}
    )
    state = {"running": {"startedAt": started_at.strftime("%Y-%m-%dT%H:%M:%SZ")}}
    container = {"name": "operator", "image": "x", "imageID": "x", "ready": True, "restartCount": 0}
    status = {
        "phase": "Running",
        "conditions": [{"type": "Ready", "status": "True"}],
        "containerStatuses": [container | {"state": state, "started": True}],
    }
    flags = ("--subresource=status", "--type=merge", "-p", json.dumps({"status": status}))
    doctor.plane.kubectl("-n", doctor.namespace, "patch", "pod", "op", *flags)


def test_in_an_empty_namespace_everything_that_is_missing_is_named(doctor: Doctor) -> None:
    answer = doctor.run("-o", "json")
    report = by_name(answer.stdout)
    assert answer.returncode == 1
    failed = {name for name, check in report.items() if check["level"] == "FAIL"}
    assert {"settings", "operator", "agent", "lease", "workers-ready"} <= failed
    assert "does not exist" in report["settings"]["message"]
    assert "settings are not valid" in report["claims"]["message"]


def test_the_definitions_of_this_version_are_known_again_on_a_real_api_server(doctor: Doctor) -> None:
    check = doctor.report()["definitions"]
    assert check["level"] == "PASS", check


def test_pods_that_find_no_node_and_claims_that_nobody_made_fail(doctor: Doctor) -> None:
    doctor.apply(*doctor.base("ConfigMap", "HorizontalPodAutoscaler", "PodDisruptionBudget"))
    labels = {"app.kubernetes.io/name": "livekit-egress", "app.kubernetes.io/component": "fleet"}
    container = {"name": "egress", "image": "livekit/egress:v1.13.0"}
    worker = {"metadata": {"name": "worker", "labels": labels}, "spec": {"containers": [container]}}
    doctor.apply({"apiVersion": "v1", "kind": "Pod"} | worker)

    report = doctor.report()

    levels = {name: check["level"] for name, check in report.items()}
    assert levels["settings"] == "PASS"
    assert "there is no claim replay-buffers" in report["claims"]["message"]
    for name in ("workers-ready", "workers-version", "workers-resources", "volume-shared", "claims", "lease"):
        assert levels[name] == "FAIL", report[name]
    assert levels["disruption-budget"] == "PASS"
    assert levels["workers-grace"] == "WARN"
    assert "minReplicas is 1" in report["autoscaler"]["message"]


def test_a_floor_that_git_declares_is_told_with_its_owner(doctor: Doctor) -> None:
    (autoscaler,) = doctor.base("HorizontalPodAutoscaler")
    autoscaler["spec"]["minReplicas"] = 3
    doctor.apply(*doctor.base("ConfigMap"))
    doctor.apply(autoscaler, manager="argocd-controller")

    check = doctor.report()["autoscaler"]

    assert check["level"] == "WARN"
    assert "argocd-controller declares minReplicas" in check["message"]


@pytest.mark.parametrize(
    ("mode", "words"), [("ReadWriteOncePod", "share it"), ("ReadWriteMany", "without need")]
)
def test_a_claim_with_another_access_mode_than_the_settings_say_is_found(
    doctor: Doctor, mode: str, words: str
) -> None:
    doctor.apply(*doctor.base("ConfigMap"))
    spec = {"accessModes": [mode], "resources": {"requests": {"storage": "1Gi"}}, "storageClassName": "x"}
    meta = {"name": "replay-buffers"}
    doctor.apply({"apiVersion": "v1", "kind": "PersistentVolumeClaim", "metadata": meta, "spec": spec})

    report = doctor.report()

    assert words in report["access-mode"]["message"]
    assert "replay-buffers is Pending" in report["claims"]["message"]


def test_a_setting_that_is_misspelt_or_changed_after_the_start_is_found(doctor: Doctor) -> None:
    (settings,) = [o for o in doctor.base("ConfigMap") if o["metadata"]["name"] == SETTINGS]
    running_operator(doctor, datetime.now(UTC) + timedelta(minutes=1))
    doctor.apply(settings)
    assert doctor.report()["settings"]["level"] == "PASS"

    settings["data"]["REPLAY_FLEET_MAXX"] = "30"
    doctor.plane.kubectl("-n", doctor.namespace, "delete", "pod", "op", "--force", "--grace-period=0")
    running_operator(doctor, datetime.now(UTC) - timedelta(minutes=1))
    doctor.apply(settings)

    check = doctor.report()["settings"]
    assert check["level"] == "WARN"
    assert "did you mean REPLAY_FLEET_MAX" in check["mend"]
    assert "rollout restart" in check["mend"]


def test_a_setting_that_is_not_valid_fails_with_its_name(doctor: Doctor) -> None:
    (settings,) = [o for o in doctor.base("ConfigMap") if o["metadata"]["name"] == SETTINGS]
    settings["data"]["REPLAY_WORKERS"] = "many"
    doctor.apply(settings)
    check = doctor.report()["settings"]
    assert check["level"] == "FAIL"
    assert "REPLAY_WORKERS" in check["message"]


def test_a_secret_without_the_key_that_a_pod_needs_fails_by_name(doctor: Doctor) -> None:
    running_operator(doctor, datetime.now(UTC))
    doctor.apply(
        {
            "apiVersion": "v1",
            "kind": "Secret",
            "metadata": {"name": "replay-operator-livekit"},
            "stringData": {"url": "ws://x", "api-key": "k"},
        }
    )
    check = doctor.report()["secrets"]
    assert check["level"] == "FAIL"
    assert "replay-operator-livekit has no key 'api-secret'" in check["message"]
    assert "there is no Secret replay-operator-agent" in check["message"]


def test_somebody_without_any_right_is_told_so_and_gets_no_exit_code_of_a_pass(
    doctor: Doctor, tmp_path: Path
) -> None:
    doctor.plane.kubectl("-n", doctor.namespace, "create", "serviceaccount", "nobody")
    token = doctor.plane.kubectl("-n", doctor.namespace, "create", "token", "nobody").strip()
    access = yaml.safe_load(doctor.plane.kubeconfig.read_text())
    access["users"][0]["user"] = {"token": token}
    kubeconfig = tmp_path / "kubeconfig"
    kubeconfig.write_text(yaml.safe_dump(access))

    answer = doctor.run(kubeconfig=kubeconfig)

    assert answer.returncode == 2
    assert "needs list on pods" in answer.stderr
    assert answer.stdout == ""


def test_the_job_is_admitted_under_pod_security_and_reads_only(doctor: Doctor) -> None:
    rendered = doctor.plane.kubectl("kustomize", str(MANIFESTS / "doctor"))
    objects = [o for o in yaml.safe_load_all(rendered) if o]
    (role,) = [o for o in objects if o["kind"] == "Role"]
    assert {verb for rule in role["rules"] for verb in rule["verbs"]} == {"get", "list"}
    label = "pod-security.kubernetes.io/warn=restricted"
    doctor.plane.kubectl("label", "namespace", doctor.namespace, label)
    strict = ("--dry-run=server", "--validate=strict", "--warnings-as-errors")
    doctor.plane.kubectl("apply", "-n", doctor.namespace, *strict, "-f", "-", input=rendered)
