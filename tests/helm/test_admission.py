"""Every variant of the chart before the real API server, where Pod Security `restricted` is enforced."""

import base64
import json
import time
import uuid
from collections.abc import Iterator
from typing import Any

import pytest
import yaml

from replay_operator.domain.signed_address import MIN_KEY_BYTES
from tests.helm.chart import CHART, KUBERNETES_VERSION, Json, helm, objects_of, render
from tests.helm.variants import VARIANTS
from tests.testbed.access import Right, may
from tests.testbed.controlplane import ControlPlane, KubectlError

pytestmark = [pytest.mark.cluster, pytest.mark.usefixtures("helm_binary")]

STRICT = ("--dry-run=server", "--validate=strict", "--warnings-as-errors")
MONITORS = {
    "podmonitors": "PodMonitor",
    "servicemonitors": "ServiceMonitor",
    "prometheusrules": "PrometheusRule",
}


@pytest.fixture(scope="module")
def monitors(control_plane: ControlPlane) -> None:
    """The kinds of the Prometheus operator, with any content: its own schemas are not at hand."""
    for plural, kind in MONITORS.items():
        schema = {"openAPIV3Schema": {"type": "object", "x-kubernetes-preserve-unknown-fields": True}}
        definition = {
            "apiVersion": "apiextensions.k8s.io/v1",
            "kind": "CustomResourceDefinition",
            "metadata": {"name": f"{plural}.monitoring.coreos.com"},
            "spec": {
                "group": "monitoring.coreos.com",
                "scope": "Namespaced",
                "names": {
                    "plural": plural,
                    "singular": kind.lower(),
                    "kind": kind,
                    "listKind": f"{kind}List",
                },
                "versions": [{"name": "v1", "served": True, "storage": True, "schema": schema}],
            },
        }
        control_plane.kubectl("apply", "-f", "-", input=json.dumps(definition))
        control_plane.kubectl(
            "wait", "--for=condition=Established", "--timeout=60s", f"crd/{plural}.monitoring.coreos.com"
        )


@pytest.fixture(scope="module")
def restricted(control_plane: ControlPlane) -> Iterator[str]:
    """A namespace with the accounts of the chart, because a pod needs its own even to be tried."""
    name = f"test-{uuid.uuid4().hex[:12]}"
    control_plane.kubectl("create", "namespace", name)
    labels = [f"pod-security.kubernetes.io/{mode}=restricted" for mode in ("enforce", "warn")]
    control_plane.kubectl("label", "namespace", name, *labels)
    accounts = [o for o in render() if o["kind"] == "ServiceAccount"]
    control_plane.kubectl("apply", "-n", name, "-f", "-", input=yaml.safe_dump_all(accounts))
    # What the pods name must be there: admission looks for the class.
    for priority in ("replay-workers", "replay-captures"):
        body = {
            "apiVersion": "scheduling.k8s.io/v1",
            "kind": "PriorityClass",
            "metadata": {"name": priority},
            "value": 1000,
        }
        control_plane.kubectl("apply", "-f", "-", input=json.dumps(body))
    yield name
    control_plane.kubectl("delete", "namespace", name, "--wait=false", "--ignore-not-found")


def in_namespace(objects: list[Json], namespace: str) -> str:
    """The objects as text, with the subjects of the bindings in the namespace."""
    for found in objects:
        for subject in found.get("subjects", []):
            subject["namespace"] = namespace
    return yaml.safe_dump_all(objects, sort_keys=False)


@pytest.mark.usefixtures("monitors")
@pytest.mark.parametrize("name", VARIANTS)
def test_the_api_server_accepts_every_object_without_a_warning(
    control_plane: ControlPlane, restricted: str, name: str
) -> None:
    objects = render(VARIANTS[name])
    text = in_namespace(objects, restricted)
    said = control_plane.kubectl("apply", "--server-side", "-n", restricted, *STRICT, "-f", "-", input=text)
    assert len(said.splitlines()) == len(objects)


def pods_of(objects: list[Json]) -> dict[str, Json]:
    """The pod of each object that makes pods, by its name."""
    return {
        found["metadata"]["name"]: found["spec"]["template"]["spec"]
        for found in objects
        if found["kind"] in ("Deployment", "Job")
    }


def pod(name: str, spec: Json) -> str:
    return json.dumps({"apiVersion": "v1", "kind": "Pod", "metadata": {"name": name}, "spec": spec})


@pytest.mark.parametrize("name", VARIANTS)
def test_each_pod_passes_pod_security_restricted_hooks_too(
    control_plane: ControlPlane, restricted: str, name: str
) -> None:
    pods = pods_of(render(VARIANTS[name]))
    hooks = {
        f"replay-{hook}" for hook in ("drain", "doctor") if VARIANTS[name].get(hook, {}).get("enabled", True)
    }
    assert {"replay-operator", "replay-agent", *hooks} <= pods.keys()
    for workload, spec in pods.items():
        body = pod(workload, spec)
        said = control_plane.kubectl("create", "-n", restricted, *STRICT, "-f", "-", input=body)
        assert said.startswith(f"pod/{workload} created")


def test_a_pod_that_may_do_more_is_refused_here(control_plane: ControlPlane, restricted: str) -> None:
    spec: Any = pods_of(render())["replay-operator"] | {"securityContext": {}}
    with pytest.raises(KubectlError, match="violates PodSecurity"):
        control_plane.kubectl("create", "-n", restricted, *STRICT, "-f", "-", input=pod("loose", spec))


@pytest.mark.parametrize("name", VARIANTS)
def test_no_root_file_system_can_be_written_and_no_user_is_named_but_the_workers(name: str) -> None:
    for workload, spec in pods_of(render(VARIANTS[name])).items():
        (container,) = spec["containers"]
        assert container["securityContext"]["readOnlyRootFilesystem"] is True
        assert ("runAsUser" in spec["securityContext"]) is (workload == "livekit-egress")
        token = workload in ("replay-operator", "replay-drain", "replay-doctor")
        assert spec["automountServiceAccountToken"] is token


@pytest.fixture
def aggregated(control_plane: ControlPlane) -> Iterator[None]:
    """The roles of the chart that the controller adds to view, edit and admin."""
    text = yaml.safe_dump_all([o for o in render() if o["kind"] == "ClusterRole"])
    control_plane.kubectl("apply", "-f", "-", input=text)
    yield
    control_plane.kubectl("delete", "-f", "-", input=text)


@pytest.mark.usefixtures("aggregated")
def test_who_may_view_or_edit_a_namespace_may_view_or_edit_both_kinds(
    control_plane: ControlPlane, restricted: str
) -> None:
    def allowed(role: str, *right: str) -> bool:
        account = f"system:serviceaccount:{restricted}:{role}"
        verb, *kind = right
        return may(control_plane, account, restricted, Right(verb, "replaybuffer.dev", *kind))

    for role in ("view", "edit"):
        account = f"--serviceaccount={restricted}:{role}"
        control_plane.kubectl(
            "create", "rolebinding", role, f"--clusterrole={role}", account, "-n", restricted
        )
    # The controller adds them shortly after they were made, to one role after the other.
    deadline = time.monotonic() + 60
    while not (allowed("edit", "create", "replaycaptures") and allowed("view", "list", "replaycaptures")):
        assert time.monotonic() < deadline, "view or edit has got nothing from the chart's roles"
    for kind in ("replaybuffers", "replaycaptures"):
        assert [allowed(role, "list", kind) for role in ("view", "edit")] == [True, True]
        assert [allowed(role, "delete", kind) for role in ("view", "edit")] == [False, True]
        assert not allowed("edit", "patch", kind, "status")


def test_what_the_agents_secret_holds_stays_and_what_it_lacks_is_added(
    control_plane: ControlPlane, namespace: str
) -> None:
    held = {"token": "kept", "previous-preview-key": "kept as well"}
    literals = [f"--from-literal={name}={value}" for name, value in held.items()]
    control_plane.kubectl("create", "secret", "generic", "replay-operator-agent", "-n", namespace, *literals)

    def rendered(preview: Json) -> dict[str, str]:
        text = helm(
            *("template", "replay", str(CHART), "--namespace", namespace, "--dry-run=server"),
            *("--kube-version", KUBERNETES_VERSION, "--show-only", "templates/secret-agent.yaml"),
            *("--values", "-"),
            stdin=json.dumps({"preview": preview}),
            kubeconfig=control_plane.kubeconfig,
        )
        (secret,) = objects_of(text)
        return {name: base64.b64decode(value).decode() for name, value in secret["data"].items()}

    shown = rendered({"enabled": True, "url": "https://replay.example"})
    assert rendered({}) == held
    assert shown.items() > held.items()
    assert shown.keys() - held.keys() == {"preview-key"}
    assert len(shown["preview-key"]) >= MIN_KEY_BYTES
