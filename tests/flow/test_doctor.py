"""`replay-operator doctor` on the whole stack: what a healthy install hears, and what a broken one does."""

from __future__ import annotations

import json
import subprocess
import sys
import uuid
from collections.abc import Mapping, Sequence
from typing import Any

import pytest
import yaml

from replay_operator.domain.checks.checklist import CHECKS
from tests.stack.images import CHECKOUT
from tests.stack.stack import Stack
from tests.testbed.audit import audit_log_size, audit_records

DOCTOR = CHECKOUT / "manifests" / "doctor"

KNOWN_WARNINGS = {
    "metrics": "the bed has no Prometheus",
    "autoscaler-metrics": "the bed has no metrics-server",
    "mount-options": "the bed's volumes are directories of this machine",
    "file-system": "the same",
    "free-space": "the same",
    "clocks": "a busy machine answers too slowly to tell",
}
UNSEEN_BY_THE_OPERATOR = {"secrets", "disruption-budget", "metrics"}
ONLY_INSIDE = {
    *("agent", "livekit-rooms", "livekit-egress", "workers-health", "workers-work"),
    *("volume-writable", "file-system", "mount-options", "free-space", "free-inodes"),
}

Json = dict[str, Any]
Report = Mapping[str, Json]


@pytest.fixture
def ready(stack: Stack) -> Stack:
    """The fleet is as large as the settings want it."""
    stack.wait_for("two workers", lambda: _workers_ready(stack) >= 2, seconds=60)
    return stack


def _workers_ready(stack: Stack) -> int:
    return int((stack.get("deployment", "livekit-egress") or {})["status"].get("readyReplicas", 0))


def doctor_job(stack: Stack, *, account: str = "replay-doctor", **variables: str) -> tuple[str, Report]:
    """Run the Job of `manifests/doctor`; give how it ended, and its report by the names of the checks.

    Args:
        stack: The install.
        account: Whose rights it has.
        variables: Of its container, over those of its ConfigMap.
    """
    objects = [o for o in yaml.safe_load_all(stack.plane.kubectl("kustomize", str(DOCTOR))) if o]
    job = next(o for o in objects if o["kind"] == "Job")
    job["metadata"]["name"] = name = f"doctor-{uuid.uuid4().hex[:8]}"
    spec = job["spec"]["template"]["spec"]
    spec["serviceAccountName"] = account
    container = spec["containers"][0]
    kept = [entry for entry in container["env"] if entry["name"] not in variables]
    container["env"] = [*kept, *({"name": k, "value": v} for k, v in variables.items())]
    stack.apply(*objects)
    ended = stack.wait_for("the end of the doctor", lambda: _ended(stack, name), seconds=60)
    log = stack.kubectl("logs", f"job/{name}")
    stack.kubectl("delete", "job", name, "--wait=false")
    return ended, report(log)


def _ended(stack: Stack, job: str) -> str:
    conditions = (stack.get("job", job) or {}).get("status", {}).get("conditions", [])
    return next((c["type"] for c in conditions if c["type"] in ("Complete", "Failed")), "")


def report(text: str) -> Report:
    told = json.loads(text)
    assert told["schema"] == 1
    return {check["name"]: check for check in told["checks"]}


def at_level(found: Report, level: str) -> set[str]:
    return {name for name, check in found.items() if check["level"] == level}


def from_outside(stack: Stack, *arguments: str) -> subprocess.CompletedProcess[str]:
    """Run it on this machine, as an administrator with a kubeconfig would."""
    command = [sys.executable, "-m", "replay_operator", "doctor", "-n", stack.namespace, *arguments]
    return subprocess.run(
        [*command, "--kubeconfig", str(stack.plane.kubeconfig)],
        check=False,
        capture_output=True,
        text=True,
        timeout=60,
    )


def writes_of(stack: Stack, user: str, offset: int) -> Sequence[str]:
    stack.plane.flush_audit_log()
    records = audit_records(stack.plane.audit_log, offset=offset)
    return [f"{r.verb} {r.resource}" for r in records if r.user.endswith(user) and r.is_write]


def test_a_healthy_install_passes_and_what_the_bed_lacks_is_a_warning_that_says_so(ready: Stack) -> None:
    offset = audit_log_size(ready.plane.audit_log)

    ended, found = doctor_job(ready)

    assert ended == "Complete", found
    assert set(found) == {check.name for check in CHECKS}
    assert at_level(found, "FAIL") == set()
    assert at_level(found, "WARN") <= KNOWN_WARNINGS.keys(), found
    assert {"metrics", "autoscaler-metrics"} <= at_level(found, "WARN")
    assert "metrics-server" in found["autoscaler-metrics"]["mend"]
    assert writes_of(ready, ":replay-doctor", offset) == []


def test_in_the_operators_pod_nothing_fails_and_what_its_account_may_not_see_is_named(ready: Stack) -> None:
    ended, found = doctor_job(ready, account="replay-operator")

    assert ended == "Complete", found
    assert at_level(found, "WARN") <= KNOWN_WARNINGS.keys() | UNSEEN_BY_THE_OPERATOR, found
    assert "list on poddisruptionbudgets" in found["disruption-budget"]["message"]
    assert found["livekit-egress"]["level"] == found["workers-health"]["level"] == "PASS"


def test_from_outside_only_what_kubernetes_tells_is_seen(ready: Stack) -> None:
    answer = from_outside(ready, "-o", "json")

    found = report(answer.stdout)
    assert answer.returncode == 0, answer.stdout
    assert at_level(found, "WARN") <= KNOWN_WARNINGS.keys() | ONLY_INSIDE, found
    assert all("exec deploy/replay-operator" in found[name]["mend"] for name in ONLY_INSIDE)
    assert found["secrets"]["level"] == found["settings"]["level"] == found["lease"]["level"] == "PASS"
    assert from_outside(ready, "--strict").returncode == 1


def test_no_value_of_a_secret_is_ever_printed(ready: Stack) -> None:
    answer = from_outside(ready)
    secrets = [
        value
        for s in ready.list_all("secrets")
        for value in (s.get("data") or {}).values()
        if len(value) > 12
    ]
    assert secrets
    assert not any(value in answer.stdout + answer.stderr for value in secrets)


def test_every_fault_of_a_wrong_set_of_settings_is_found_at_once(ready: Stack) -> None:
    """The operator's account cannot see the ConfigMap, so that the variables of the pod count."""
    ended, found = doctor_job(
        ready,
        account="replay-operator",
        LIVEKIT_API_SECRET="not the secret that LiveKit knows, by far",
        REPLAY_FLEET_HEALTH_PORT="1",
        REPLAY_BUFFER_ROOT="/elsewhere",
        REPLAY_BUFFER_ACCESS_MODE="ReadWriteMany",
        REPLAY_ARCHIVE_CLAIM="nobody-made-it",
        REPLAY_FLEET="nobody-made-it",
        REPLAY_LEASE="nobody-made-it",
        REPLAY_AGENT_URL="http://replay-agent:1",
        REPLAY_FLEET_MIN="30",
    )

    assert ended == "Failed"
    assert at_level(found, "FAIL") == {
        *("livekit-rooms", "livekit-egress", "workers-health", "volume-shared", "access-mode", "claims"),
        *("autoscaler", "lease", "combinations", "agent"),
    }
    assert "refused us" in found["livekit-egress"]["message"]
    assert "did not answer" in found["agent"]["message"]
    assert found["operator"]["level"] == "PASS"


def test_a_volume_that_is_not_writable_fails(ready: Stack) -> None:
    volume = ready.node.volume_path(ready.namespace, "replay-buffers")
    mode = volume.stat().st_mode & 0o7777
    volume.chmod(0o2555)
    try:
        _, found = doctor_job(ready)
    finally:
        volume.chmod(mode)
    assert found["volume-writable"]["level"] == "FAIL"
    assert "may not write to /buffer" in found["volume-writable"]["message"]
