"""The Applications fit this repository, the chart, the project that they are in, and each other."""

from __future__ import annotations

import re
from fnmatch import fnmatch
from pathlib import Path
from typing import Any

import pytest
import yaml

from replay_operator import __version__
from replay_operator.api.replaybuffer import ReplayBuffer
from replay_operator.api.replaycapture import ReplayCapture
from replay_operator.cluster.gateway import FIELD_MANAGER
from replay_operator.domain.capture_end import gitops_mark
from tests.argocd.customizations import KINDS, MANIFESTS, action_names
from tests.builders import BUFFER_UID, NOW, rfc3339
from tests.helm.chart import render

Json = dict[str, Any]

ROOT = MANIFESTS.parent
FOLDER = MANIFESTS / "argocd"
WAVE = "argocd.argoproj.io/sync-wave"


def read(name: str) -> Json:
    return dict(yaml.safe_load((FOLDER / name).read_text()))


def specs(name: str) -> list[Json]:
    """The specs of an Application, or of the Applications that a set makes."""
    body = read(name)
    if body["kind"] == "Application":
        return [body["spec"]]
    text = yaml.safe_dump(body["spec"]["template"]["spec"], width=1000)
    made = []
    for element in body["spec"]["generators"][0]["list"]["elements"]:
        # As Go writes a boolean.
        words = {k: str(v).lower() if isinstance(v, bool) else v for k, v in element.items()}
        made.append(yaml.safe_load(re.sub(r"\{\{ \.(\w+) \}\}", lambda m, w=words: w[m[1]], text)))
    return made


def values_of(spec: Json) -> Json:
    helm = spec["source"]["helm"]
    return dict(helm["valuesObject"] if "valuesObject" in helm else yaml.safe_load(helm["values"]))


INSTALLS = ("application-git.yaml", "application-oci.yaml", "applicationset.yaml")
ALL = [(name, spec) for name in (*INSTALLS, "application-buffers.yaml") for spec in specs(name)]
INSTALL_SPECS = [(name, spec) for name, spec in ALL if name in INSTALLS]


@pytest.mark.parametrize(("name", "spec"), ALL, ids=[f"{n}-{s['destination']['namespace']}" for n, s in ALL])
def test_the_project_allows_each_application(name: str, spec: Json) -> None:
    project = read("project.yaml")
    assert spec["project"] == project["metadata"]["name"]
    assert spec["source"]["repoURL"] in project["spec"]["sourceRepos"]
    (destination,) = project["spec"]["destinations"]
    assert fnmatch(spec["destination"]["namespace"], destination["namespace"])
    assert fnmatch(spec["destination"]["server"], destination["server"])


def test_the_project_allows_what_the_chart_has_outside_of_the_namespace() -> None:
    allowed = {each["kind"] for each in read("project.yaml")["spec"]["clusterResourceWhitelist"]}
    cluster_wide = ("CustomResourceDefinition", "Namespace", "PriorityClass", "StorageClass")
    kinds = {body["kind"] for body in render()}
    assert {kind for kind in kinds if kind.startswith("Cluster") or kind in cluster_wide} <= allowed


def test_the_project_names_only_actions_that_there_are() -> None:
    (role,) = read("project.yaml")["spec"]["roles"]
    actions = re.findall(r"action/replaybuffer\.dev/(\w+)/(\S+),", "\n".join(role["policies"]))
    there = {kind.name: action_names(kind) for kind in KINDS}
    assert {kind for kind, _ in actions} == set(there)
    for kind, action in actions:
        assert action == "*" or action in there[kind]


@pytest.mark.parametrize(
    ("name", "spec"), INSTALL_SPECS, ids=[f"{n}-{s['destination']['namespace']}" for n, s in INSTALL_SPECS]
)
def test_the_chart_takes_the_values_of_each_install_and_leaves_the_operator_its_fields(
    name: str, spec: Json
) -> None:
    values = values_of(spec)
    objects = render(values)  # what the chart's schema does not know is refused
    kinds = {body["kind"] for body in objects}
    assert ("CustomResourceDefinition" in kinds) is values.get("crds", {}).get("enabled", True)
    claims = {body["metadata"]["name"] for body in objects if body["kind"] == "PersistentVolumeClaim"}
    assert not claims & {"replay-buffers", "replay-archive"}
    assert "Secret" not in kinds, "a token that the chart makes changes each time that Argo CD looks"
    fleet = {
        body["kind"]: body["spec"]
        for body in objects
        if body["metadata"]["name"] == "livekit-egress"
        if "spec" in body
    }
    assert "minReplicas" not in fleet["HorizontalPodAutoscaler"]
    assert "replicas" not in fleet["Deployment"]


def test_the_chart_of_an_install_is_where_it_says_and_its_version_too() -> None:
    (git,), (oci,) = specs("application-git.yaml"), specs("application-oci.yaml")
    chart = yaml.safe_load((ROOT / git["source"]["path"] / "Chart.yaml").read_text())
    assert oci["source"]["targetRevision"] == chart["version"]
    assert git["source"]["targetRevision"] == f"v{chart['version']}"
    assert __version__.startswith(chart["version"])
    assert {k: v for k, v in git.items() if k != "source"} == {k: v for k, v in oci.items() if k != "source"}


@pytest.mark.parametrize("name", INSTALLS)
def test_what_the_operator_owns_is_left_to_it(name: str) -> None:
    for spec in specs(name):
        ignored = {each["kind"]: each["managedFieldsManagers"] for each in spec["ignoreDifferences"]}
        assert ignored == {
            key: [FIELD_MANAGER] for key in ("HorizontalPodAutoscaler", "PersistentVolumeClaim")
        }
        assert {"ServerSideApply=true", "RespectIgnoreDifferences=true"} <= set(
            spec["syncPolicy"]["syncOptions"]
        )


def test_one_install_of_a_cluster_has_the_definitions() -> None:
    with_definitions = [values_of(spec)["crds"]["enabled"] for spec in specs("applicationset.yaml")]
    assert with_definitions.count(True) == 1


def test_operator_then_buffers_then_captures() -> None:
    waves = [
        int(body["metadata"]["annotations"][WAVE])
        for body in (
            read("application-git.yaml"),
            read("buffers/replaybuffer.yaml"),
            read("buffers/replaycapture.yaml"),
        )
    ]
    assert waves == sorted(set(waves))
    buffers = read("application-buffers.yaml")["metadata"]["annotations"][WAVE]
    assert int(buffers) > waves[0]


def tracked(name: str) -> Json:
    """An object of the samples as Argo CD would have made it."""
    body = read(f"buffers/{name}")
    body["metadata"] |= {"namespace": "replay", "uid": BUFFER_UID, "creationTimestamp": rfc3339(NOW)}
    body["metadata"]["annotations"]["argocd.argoproj.io/tracking-id"] = "replay-buffers:…"
    return body


def test_a_capture_in_git_names_its_moment_and_is_held_when_its_time_is_over() -> None:
    capture = ReplayCapture.model_validate(tracked("replaycapture.yaml"))
    wanted = capture.spec.range
    assert wanted.between is not None or (wanted.last is not None and wanted.last.until is not None)
    assert gitops_mark(capture.metadata) == "argocd.argoproj.io/tracking-id"
    buffer = ReplayBuffer.model_validate(tracked("replaybuffer.yaml"))
    assert capture.spec.buffer_ref.name == buffer.metadata.name


def test_suspend_is_ignored_where_the_actions_set_it() -> None:
    (ignored,) = read("application-buffers.yaml")["spec"]["ignoreDifferences"]
    assert ignored["kind"] == "ReplayBuffer"
    (pointer,) = ignored["jsonPointers"]
    for action in ("suspend", "resume"):
        script = Path(
            FOLDER / f"resource_customizations/replaybuffer.dev/ReplayBuffer/actions/{action}/action.lua"
        )
        assert f"obj{pointer.replace('/', '.')} = " in script.read_text()
