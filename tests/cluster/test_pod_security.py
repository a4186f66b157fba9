"""Every pod of the system, also one that code builds, passes Pod Security `restricted` where that is on."""

from __future__ import annotations

import copy
import json
import re
import uuid
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import yaml

from replay_operator.cluster.jobs import job_body
from replay_operator.cluster.removal_jobs import capture_removal_body
from replay_operator.cluster.upload_jobs import upload_job_body
from replay_operator.kubectl.agent_pod import read_agent_pod
from replay_operator.kubectl.download_pod import reader_pod
from tests.builders import CAPTURE_UID, capture
from tests.testbed.controlplane import ControlPlane, KubectlError
from tests.unit.test_jobs import JOB_SETTINGS, REQUEST
from tests.unit.test_removal_jobs import REQUEST as REMOVAL_REQUEST
from tests.unit.test_upload_jobs import UPLOAD_REQUEST, UPLOAD_SETTINGS

pytestmark = pytest.mark.cluster

MANIFESTS = Path(__file__).parents[2] / "manifests"
WITH_TOKEN = {"replay-operator", "replay-doctor"}
WITH_USER = {"livekit-egress"}
PODS = (
    "replay-operator",
    "replay-agent",
    "livekit-egress",
    "replay-doctor",
    "capture",
    "capture-placed",
    "upload",
    "removal",
    "download",
    "benchmark",
)

Json = dict[str, Any]


@pytest.fixture(scope="module")
def specs(control_plane: ControlPlane) -> dict[str, Json]:
    """The pods, by name."""
    found: dict[str, Json] = {}
    for folder in ("base", "doctor"):
        for body in yaml.safe_load_all(control_plane.kubectl("kustomize", str(MANIFESTS / folder))):
            if body["kind"] in ("Deployment", "Job", "CronJob", "DaemonSet", "StatefulSet"):
                found[body["metadata"]["name"]] = body["spec"]["template"]["spec"]
    placed = replace(
        JOB_SETTINGS,
        beside_agent=True,
        node_labels=(("disk", "fast"),),
        priority_class="system-cluster-critical",
    )
    for name, settings in (("capture", JOB_SETTINGS), ("capture-placed", placed)):
        found[name] = job_body(capture().metadata, REQUEST, settings)["spec"]["template"]["spec"]
    upload = replace(UPLOAD_SETTINGS, credentials_secret="bucket", ca_config_map="our-ca", beside_agent=True)
    found["upload"] = upload_job_body(capture().metadata, 1, UPLOAD_REQUEST, upload)["spec"]["template"][
        "spec"
    ]
    removal = capture_removal_body(capture().metadata, REMOVAL_REQUEST, upload, deadline_seconds=300)
    found["removal"] = removal["spec"]["template"]["spec"]
    (benchmark,) = _yaml_of("capacity.md", "kind: Job")
    found["benchmark"] = benchmark["spec"]["template"]["spec"]
    agent = {"metadata": {"name": "replay-agent-0"}, "spec": found["replay-agent"] | {"nodeName": "node-1"}}
    asked = {"metadata": {"name": "goal", "uid": CAPTURE_UID}}
    found["download"] = reader_pod(read_agent_pod(agent), asked)["spec"]
    return found


def _yaml_of(page: str, saying: str) -> list[Json]:
    text = (MANIFESTS.parent / "docs" / page).read_text()
    blocks = re.findall(r"^```yaml\n(.+?)^```", text, flags=re.DOTALL | re.MULTILINE)
    return [yaml.safe_load(block) for block in blocks if saying in block]


@pytest.fixture(scope="module")
def restricted(control_plane: ControlPlane) -> Iterator[str]:
    """A namespace that enforces it, with the accounts that the pods name."""
    name = f"test-{uuid.uuid4().hex[:12]}"
    control_plane.kubectl("create", "namespace", name)
    control_plane.kubectl("label", "namespace", name, "pod-security.kubernetes.io/enforce=restricted")
    for account in ("replay-operator", "replay-capture", "replay-upload", "replay-doctor"):
        control_plane.kubectl("-n", name, "create", "serviceaccount", account)
    yield name
    control_plane.kubectl("delete", "namespace", name, "--wait=false", "--ignore-not-found")


def containers(spec: Json) -> list[Json]:
    return [*spec.get("initContainers", []), *spec["containers"]]


def create(plane: ControlPlane, namespace: str, spec: Json) -> str:
    body = {"apiVersion": "v1", "kind": "Pod", "metadata": {"name": "pod"}, "spec": spec}
    strict = ("--dry-run=server", "--validate=strict", "--warnings-as-errors")
    return plane.kubectl("create", "-n", namespace, *strict, "-f", "-", input=json.dumps(body))


def test_the_list_of_pods_is_complete(specs: dict[str, Json]) -> None:
    assert specs.keys() == set(PODS)


@pytest.mark.parametrize("name", PODS)
def test_a_pod_is_admitted_where_restricted_is_enforced_and_not_without_what_it_says(
    control_plane: ControlPlane, restricted: str, specs: dict[str, Json], name: str
) -> None:
    assert create(control_plane, restricted, specs[name]).startswith("pod/pod created")
    for number, _ in enumerate(containers(specs[name])):
        loosened = copy.deepcopy(specs[name])
        del containers(loosened)[number]["securityContext"]
        with pytest.raises(KubectlError, match="violates PodSecurity"):
            create(control_plane, restricted, loosened)


@pytest.mark.parametrize("name", PODS)
def test_a_container_writes_only_to_mounts_and_brings_no_service_variables(
    specs: dict[str, Json], name: str
) -> None:
    assert all(c["securityContext"]["readOnlyRootFilesystem"] is True for c in containers(specs[name]))
    assert specs[name]["enableServiceLinks"] is False


@pytest.mark.parametrize("name", PODS)
def test_a_token_is_mounted_only_where_somebody_talks_to_the_api_server(
    specs: dict[str, Json], name: str
) -> None:
    assert specs[name]["automountServiceAccountToken"] is (name in WITH_TOKEN)


@pytest.mark.parametrize("name", PODS)
def test_no_user_is_named_where_openshift_would_assign_one(specs: dict[str, Json], name: str) -> None:
    contexts = [specs[name]["securityContext"], *(c["securityContext"] for c in containers(specs[name]))]
    assert any("runAsUser" in context for context in contexts) is (name in WITH_USER)
    assert not any("runAsUser" in context for context in contexts[1:])


def test_on_openshift_each_pod_with_a_group_may_have_it_or_loses_it(specs: dict[str, Json]) -> None:
    (binding,) = _yaml_of("install/openshift.md", "kind: RoleBinding")
    (patches,) = _yaml_of("install/openshift.md", "op: remove")
    may = {subject["name"] for subject in binding["subjects"]}
    lose = {patch["target"]["name"] for patch in patches if "/securityContext/fsGroup" in patch["patch"]}
    accounts = {
        name: spec.get("serviceAccountName", "default")
        for name, spec in specs.items()
        if "fsGroup" in spec["securityContext"]
    }
    assert {name for name, account in accounts.items() if account not in may} == lose
