"""What the chart renders, without a cluster."""

import ast
import base64
import json
import re
import shutil
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest
import yaml

from replay_operator import __version__
from replay_operator.cluster.jobs import CAPTURE_UID_LABEL
from replay_operator.cluster.upload_jobs import UPLOAD_PODS, upload_job_body
from replay_operator.domain.checks.objects import secret_uses
from replay_operator.domain.signed_address import SigningKey
from tests.builders import capture
from tests.helm.__main__ import differing
from tests.helm.base_manifests import base_manifests
from tests.helm.chart import CHART, ROOT, Json, objects_of, render, render_text
from tests.helm.snapshots import SNAPSHOTS, snapshots
from tests.helm.values_comments import read_values
from tests.helm.variants import VARIANTS
from tests.unit.test_upload_jobs import UPLOAD_REQUEST, UPLOAD_SETTINGS

pytestmark = pytest.mark.usefixtures("helm_binary")

OF_HELM = (
    "helm.sh/",
    "checksum/",
    "app.kubernetes.io/instance",
    "app.kubernetes.io/managed-by",
    "app.kubernetes.io/version",
)
ONLY_IN_THE_CHART = {("Secret", "replay-operator-agent")}
"""Users of `manifests/` make it themselves, as README.md says."""


def of_any_tool(tree: Any) -> Any:
    """An object without what only Helm needs."""
    if isinstance(tree, list):
        return [of_any_tool(item) for item in tree]
    if not isinstance(tree, dict):
        return tree
    cleaned = {key: of_any_tool(value) for key, value in tree.items() if not key.startswith(OF_HELM)}
    return {key: value for key, value in cleaned.items() if not (key == "annotations" and not value)}


def by_name(objects: list[Json]) -> dict[tuple[str, str], Json]:
    return {(found["kind"], found["metadata"]["name"]): of_any_tool(found) for found in objects}


def is_hook(found: Json) -> bool:
    return "helm.sh/hook" in (found["metadata"].get("annotations") or {})


def test_the_manifests_are_what_the_chart_renders() -> None:
    assert differing(base_manifests()) == []


def test_variants_render_what_is_written_down() -> None:
    assert differing(snapshots()) == []
    assert set(SNAPSHOTS.iterdir()) == snapshots().keys(), "a file that nobody writes any more"


def test_the_chart_by_default_is_the_base_object_by_object(kustomized: dict[str, list[Json]]) -> None:
    chart = by_name([o for o in render() if not is_hook(o) and o["kind"] != "ClusterRole"])
    base = by_name(kustomized["base"])
    assert chart.keys() - base.keys() == ONLY_IN_THE_CHART
    for (kind, name), found in base.items():
        if kind == "RoleBinding":
            for subject in chart[kind, name]["subjects"]:
                del subject["namespace"]
        assert chart[kind, name] == found, (kind, name)


def in_any_order(tree: Any) -> Any:
    """An object whose lists of named things are in the order of their names: a patch can only append."""
    if isinstance(tree, list):
        items = [in_any_order(item) for item in tree]
        named = all(isinstance(item, dict) and "name" in item for item in items)
        return sorted(items, key=lambda item: str(item["name"])) if named else items
    return {key: in_any_order(value) for key, value in tree.items()} if isinstance(tree, dict) else tree


def test_the_preview_of_the_manifests_is_the_charts(kustomized: dict[str, list[Json]]) -> None:
    values = {"preview": {"enabled": True, "url": "https://replay.example.org"}}
    chart, manifests = by_name(render(values)), by_name(kustomized["preview"])
    data = chart["ConfigMap", "replay-operator-settings"]["data"]
    assert data.pop("REPLAY_PREVIEW_URL") == values["preview"]["url"], "the manifests leave it to the user"
    changed = manifests.keys() - by_name(kustomized["base"]).keys()
    assert changed == {("Service", "replay-preview"), ("Service", "replay-addresses")}
    for kind, name in manifests:
        if kind != "RoleBinding":
            assert in_any_order(chart[kind, name]) == in_any_order(manifests[kind, name]), (kind, name)


def test_nothing_is_shown_to_anybody_unless_it_is_asked_for() -> None:
    text = render_text({"networkPolicy": {"enabled": True}})
    named = [line for line in text.splitlines() if "preview" in line.lower() and "#" not in line]
    assert named == []


def test_only_who_asks_for_it_lets_the_operator_make_captures() -> None:
    def verbs(**api: bool) -> list[str]:
        values = {"preview": {"enabled": True, "url": "https://replay.example.org", "api": api}}
        rules = by_name(render(values))["Role", "replay-operator"]["rules"]
        (found,) = [rule["verbs"] for rule in rules if rule["resources"] == ["replaycaptures"]]
        return list(found)

    assert "create" not in verbs()
    assert set(verbs(captures=True)) - set(verbs()) == {"create"}


def test_people_reach_the_port_of_the_preview_and_no_other() -> None:
    values = {"networkPolicy": {"enabled": True, "previewFrom": [{"ipBlock": {"cidr": "192.0.2.0/24"}}]}}
    everything = by_name(render({**VARIANTS["everything"], **values}))
    rules = everything["NetworkPolicy", "replay-agent"]["spec"]["ingress"]
    assert [rule["ports"] for rule in rules if values["networkPolicy"]["previewFrom"][0] in rule["from"]] == [
        [{"port": "preview"}]
    ]
    (container,) = everything["Deployment", "replay-agent"]["spec"]["template"]["spec"]["containers"]
    assert {port["name"]: port["containerPort"] for port in container["ports"]} == {
        "http": 8480,
        "preview": 8481,
    }
    (path,) = everything["Ingress", "replay-preview"]["spec"]["rules"][0]["http"]["paths"]
    assert path["backend"]["service"] == {"name": "replay-preview", "port": {"name": "preview"}}
    assert [port["targetPort"] for port in everything["Service", "replay-preview"]["spec"]["ports"]] == [
        "preview"
    ]


LISTS = ("metricsFrom", "webhooksFrom", "catalogueApiFrom", "previewFrom", "previewApiFrom")


def ingress_rules(empty: tuple[str, ...]) -> dict[tuple[str, str], Json]:
    """The rules with everything switched on, by the policy and the port, where some lists have nobody."""
    policies = {"enabled": True, **{name: [] for name in empty}}
    found = render({**VARIANTS["everything"], "networkPolicy": policies})
    return {
        (policy["metadata"]["name"], port["port"]): rule
        for policy in found
        if policy["kind"] == "NetworkPolicy"
        for rule in policy["spec"]["ingress"]
        for port in rule["ports"]
    }


@pytest.mark.parametrize("empty", [(), *((name,) for name in LISTS), LISTS], ids="+".join)
def test_a_list_with_nobody_in_it_opens_no_port_to_everybody(empty: tuple[str, ...]) -> None:
    rules = ingress_rules(empty)
    assert [key for key, rule in rules.items() if not rule["from"]] == []
    others = {"namespaceSelector": {}}
    open_to_others = {port for (_, port), rule in rules.items() if others in rule["from"]}
    ports = {
        "metricsFrom": {"metrics", "http"},
        "webhooksFrom": {"webhooks"},
        "catalogueApiFrom": {"catalogue-api"},
        "previewFrom": {"preview"},
        "previewApiFrom": {"preview-api"},
    }
    assert open_to_others == set().union(*(ports[name] for name in LISTS if name not in empty))


def test_the_checklist_reaches_what_it_asks_from_its_own_pod_and_from_the_operators() -> None:
    rules = ingress_rules(LISTS)
    asked = {("replay-agent", "http"), ("replay-agent", "preview"), ("livekit-egress", "health")}
    assert rules.keys() == asked
    for key, rule in rules.items():
        names = [peer["podSelector"]["matchLabels"]["app.kubernetes.io/name"] for peer in rule["from"]]
        assert set(names) == {"replay-operator", "replay-doctor"}, key


@pytest.mark.parametrize("name", VARIANTS)
def test_a_secret_that_may_be_absent_holds_no_pod_up(name: str) -> None:
    said = {value.path: value.text for value in read_values(CHART / "values.yaml")}
    path = ("catalogue", "api", "existingSecret")
    assert "Without it nothing is served" in said[path]
    assert [other for other, text in said.items() if "Without it nothing" in text] == [path]
    needed = {
        use.secret
        for found in render(VARIANTS[name])
        if found["kind"] == "Deployment"
        for use in secret_uses({"metadata": found["metadata"], "spec": found["spec"]["template"]["spec"]})
    }
    assert "replay-catalogue-api" not in needed
    assert ("replay-preview-api" in needed) is VARIANTS[name].get("preview", {}).get("enabled", False)


def test_the_page_of_the_read_api_mounts_its_token_as_the_chart_does() -> None:
    page = (ROOT / "docs" / "catalogue-api.md").read_text()
    (patch,) = re.findall(r"```yaml\n# kustomization\.yaml(.*?)```", page, re.DOTALL)
    steps = yaml.safe_load(yaml.safe_load(patch.partition("\n")[2])["patches"][0]["patch"])
    operator = by_name(render({"catalogue": {"api": {"enabled": True}}}))["Deployment", "replay-operator"]
    volumes = operator["spec"]["template"]["spec"]["volumes"]
    assert [step["value"] for step in steps if step["path"].endswith("/volumes/-")] == [
        volume for volume in volumes if volume["name"] == "catalogue-api-token"
    ]


def test_the_secret_that_the_chart_makes_has_a_key_for_addresses_where_they_are_wanted() -> None:
    secret = by_name(render(VARIANTS["everything"]))["Secret", "replay-operator-agent"]["data"]
    assert secret.keys() == {"token", "preview-key"}
    assert secret["token"] != secret["preview-key"]
    SigningKey(base64.b64decode(secret["preview-key"]))
    assert by_name(render())["Secret", "replay-operator-agent"]["data"].keys() == {"token"}


def test_helm_test_is_the_doctor_of_the_manifests(kustomized: dict[str, list[Json]]) -> None:
    chart = by_name([o for o in render() if is_hook(o)])
    for key, found in by_name(kustomized["doctor"]).items():
        if key[0] == "RoleBinding":
            for subject in chart[key]["subjects"]:
                del subject["namespace"]
        assert chart[key] == found, key


def test_the_definitions_in_the_chart_are_the_generated_ones() -> None:
    chart = {path.name: path.read_text() for path in (CHART / "definitions").iterdir()}
    crds = {path.name: path.read_text() for path in (ROOT / "crds").iterdir() if path.name in chart}
    assert len(crds) == 2
    assert chart == crds


def test_the_definitions_stay_unless_somebody_wants_them_to_go() -> None:
    def policies(values: Mapping[str, Any]) -> set[str | None]:
        found = [o for o in render(values) if o["kind"] == "CustomResourceDefinition"]
        assert len(found) == 2
        return {(o["metadata"].get("annotations") or {}).get("helm.sh/resource-policy") for o in found}

    assert policies({}) == {"keep"}
    assert policies({"crds": {"keep": False}}) == {None}


def test_the_chart_is_of_the_packages_version() -> None:
    chart = yaml.safe_load((CHART / "Chart.yaml").read_text())
    assert chart["appVersion"] == __version__.partition(".dev")[0]


def test_the_number_of_workers_is_left_to_autoscaler_and_operator() -> None:
    objects = by_name(render())
    assert "replicas" not in objects["Deployment", "livekit-egress"]["spec"]
    assert "minReplicas" not in objects["HorizontalPodAutoscaler", "livekit-egress"]["spec"]


def test_without_a_fleet_of_the_chart_nothing_of_it_is_rendered() -> None:
    objects = by_name(render(VARIANTS["a fleet of one's own"]))
    assert not [key for key in objects if key[1] == "livekit-egress"]


def test_the_examples_that_are_shown_with_the_chart_are_the_samples() -> None:
    chart = yaml.safe_load((CHART / "Chart.yaml").read_text())
    examples = yaml.safe_load(chart["annotations"]["artifacthub.io/crdsExamples"])
    samples = [
        yaml.safe_load(path.read_text()) for path in sorted((ROOT / "manifests/samples").glob("*.yaml"))
    ]
    assert examples == samples


def test_the_policy_for_captures_selects_the_pods_of_the_jobs_that_the_operator_makes() -> None:
    policy = by_name(render({"networkPolicy": {"enabled": True}}))["NetworkPolicy", "replay-capture"]["spec"]
    source = (ROOT / "operator/replay_operator/cluster/jobs.py").read_text()
    assert policy["podSelector"]["matchExpressions"] == [
        {"key": CAPTURE_UID_LABEL, "operator": "Exists"},
        {"key": "app.kubernetes.io/name", "operator": "NotIn", "values": [UPLOAD_PODS]},
    ]
    for name, value in policy["podSelector"]["matchLabels"].items():
        assert f'"{name}": "{value}"' in source
    assert policy["ingress"] == policy["egress"] == []


def test_uploads_may_call_out_and_only_where_somebody_says_so_if_somebody_does() -> None:
    plain = {"objectStorage": {"bucket": "clips"}, "networkPolicy": {"enabled": True}}
    policy = by_name(render(plain))["NetworkPolicy", "replay-upload"]["spec"]
    labels = upload_job_body(capture().metadata, 1, UPLOAD_REQUEST, UPLOAD_SETTINGS)["metadata"]["labels"]
    assert policy["podSelector"]["matchLabels"].items() <= labels.items()
    assert (policy["policyTypes"], policy["ingress"]) == (["Ingress"], [])
    known = by_name(render(VARIANTS["everything"]))["NetworkPolicy", "replay-upload"]["spec"]
    assert known["policyTypes"] == ["Ingress", "Egress"]
    assert known["egress"][0] == {"to": [{"ipBlock": {"cidr": "192.0.2.0/24"}}]}


def test_upload_jobs_have_an_account_where_there_is_a_bucket_and_only_there() -> None:
    account = by_name(render({"objectStorage": {"bucket": "clips"}}))["ServiceAccount", "replay-upload"]
    assert account["automountServiceAccountToken"] is False
    names = {name for _, name in by_name(render({"networkPolicy": {"enabled": True}}))}
    assert "replay-upload" not in names


MONITORING = {"monitoring": {"rules": {"enabled": True}, "dashboard": {"enabled": True}}}


def test_alerts_and_dashboard_are_passed_on_as_they_are(tmp_path: Path) -> None:
    chart = tmp_path / CHART.name
    shutil.copytree(CHART, chart)
    (chart / "files").mkdir(exist_ok=True)
    rules = {
        "groups": [
            {"name": "a", "rules": [{"alert": "B", "expr": "up", "annotations": {"c": "{{ $value }}"}}]}
        ]
    }
    (chart / "files" / "rules.yaml").write_text(yaml.safe_dump(rules))
    (chart / "files" / "dashboard.json").write_text(json.dumps({"title": "{{ legend }}"}, indent=2))
    objects = by_name(objects_of(render_text(MONITORING, chart=chart)))
    assert objects["PrometheusRule", "replay-operator"]["spec"] == rules
    dashboard = objects["ConfigMap", "replay-operator-dashboard"]
    assert dashboard["metadata"]["labels"]["grafana_dashboard"] == "1"
    assert json.loads(dashboard["data"]["replay-operator.json"]) == {"title": "{{ legend }}"}


def annotations_of_alerts(**values: Any) -> dict[str, Mapping[str, str]]:
    rules = by_name(render({"monitoring": {"rules": {"enabled": True, **values}}}))
    groups = rules["PrometheusRule", "replay-operator"]["spec"]["groups"]
    return {rule["alert"]: rule["annotations"] for group in groups for rule in group["rules"]}


def test_an_alert_links_to_its_page_where_somebody_serves_the_pages_and_else_names_its_file() -> None:
    linked = annotations_of_alerts(runbookUrl="https://docs.example/runbooks/%s/")
    assert linked
    for alert, annotations in linked.items():
        assert annotations["runbook_url"] == f"https://docs.example/runbooks/{alert}/"
    for annotations in annotations_of_alerts().values():
        assert "runbook_url" not in annotations
        assert (ROOT / annotations["runbook"]).is_file()


def annotations_of(values: Mapping[str, Any], deployment: str) -> Mapping[str, str]:
    found = next(
        o for o in render(values) if o["kind"] == "Deployment" and o["metadata"]["name"] == deployment
    )
    annotations: Mapping[str, str] = found["spec"]["template"]["metadata"].get("annotations") or {}
    return annotations


@pytest.mark.parametrize(
    ("values", "rolled"),
    [
        ({"recording": {"segmentSeconds": 4}}, {"replay-operator"}),
        ({"fleet": {"redis": {"address": "redis.livekit:6379"}}}, {"livekit-egress"}),
        ({"commonAnnotations": {"example.com/owner": "media"}}, set()),
    ],
    ids=["a setting", "the workers' configuration", "nothing that a pod reads"],
)
def test_a_change_rolls_the_pods_that_read_it_and_no_others(
    values: Mapping[str, Any], rolled: set[str]
) -> None:
    deployments = ("replay-operator", "replay-agent", "livekit-egress")
    changed = {name for name in deployments if annotations_of({}, name) != annotations_of(values, name)}
    assert changed == rolled


def test_a_new_key_of_livekit_rolls_what_holds_the_old_one() -> None:
    before, after = (
        {"livekit": {"create": True, "url": "ws://livekit:7880", "apiKey": "key", "apiSecret": secret}}
        for secret in ("one", "two")
    )
    for name in ("replay-operator", "livekit-egress"):
        assert annotations_of(before, name) != annotations_of(after, name)


def test_what_the_operators_surroundings_need_reaches_the_jobs_that_call_livekit_in_its_place() -> None:
    bundle = {"name": "ca", "configMap": {"name": "ca"}}
    mounted = {"name": "ca", "mountPath": "/etc/ca", "readOnly": True}
    variable = {"name": "SSL_CERT_FILE", "value": "/etc/ca/ca.crt"}
    own = {"extraEnv": [variable], "extraVolumes": [bundle], "extraVolumeMounts": [mounted]}
    objects = by_name(render({"operator": own}))
    for name in (("Deployment", "replay-operator"), ("Job", "replay-drain"), ("Job", "replay-doctor")):
        spec = objects[name]["spec"]["template"]["spec"]
        assert variable in spec["containers"][0]["env"], name
        assert mounted in spec["containers"][0]["volumeMounts"], name
        assert bundle in spec["volumes"], name


@pytest.mark.parametrize("name", VARIANTS)
def test_workers_and_agent_are_together_where_the_volume_serves_one_node(name: str) -> None:
    objects = by_name(render(VARIANTS[name]))
    if (fleet := objects.get(("Deployment", "livekit-egress"))) is None:
        return
    affinity = fleet["spec"]["template"]["spec"]["affinity"]
    shared = VARIANTS[name].get("storage", {}).get("buffers", {}).get("accessMode") == "ReadWriteMany"
    assert ("podAffinity" in affinity) is not shared
    assert ("podAntiAffinity" in affinity) is shared


@pytest.mark.parametrize("name", VARIANTS)
def test_rights_are_enumerated_and_no_secret_can_be_listed(name: str) -> None:
    rules = [
        rule for o in render(VARIANTS[name]) if o["kind"] in ("Role", "ClusterRole") for rule in o["rules"]
    ]
    assert rules
    for rule in rules:
        assert "*" not in rule["verbs"] + rule["resources"] + rule["apiGroups"]
        if "secrets" in rule["resources"]:
            assert rule["verbs"] == ["get"]
            assert rule["resourceNames"]


@pytest.mark.parametrize("name", VARIANTS)
def test_the_doctor_may_read_the_keys_of_each_secret_that_a_pod_cannot_do_without(name: str) -> None:
    objects = render(VARIANTS[name])
    pods = [
        {"metadata": found["metadata"], "spec": found["spec"]["template"]["spec"]}
        for found in objects
        if found["kind"] == "Deployment"
    ]
    needed = {use.secret for pod in pods for use in secret_uses(pod)}
    role = by_name(objects).get(("Role", "replay-doctor"), {"rules": []})
    readable = [rule["resourceNames"] for rule in role["rules"] if "secrets" in rule["resources"]]
    assert [set(names) for names in readable] == [needed] * len(readable)
    assert len(readable) == VARIANTS[name].get("doctor", {}).get("enabled", True)


GATEWAY_VERBS: Mapping[str, tuple[str, ...]] = {
    "get": ("get",),
    "list": ("list",),
    "named": ("list",),
    "pages": ("list",),
    "exists": ("list",),
    "create": ("create",),
    "apply": ("patch",),
    "patch": ("patch",),
    "replace": ("update",),
    "delete": ("delete",),
}
PLURALS: Mapping[str, tuple[str, ...]] = {
    "BUFFERS": ("replaybuffers",),
    "CAPTURES": ("replaycaptures",),
    "CLAIMS": ("persistentvolumeclaims",),
    "PODS": ("pods",),
    "EVENTS": ("events",),
    "JOBS": ("jobs",),
    "AUTOSCALERS": ("horizontalpodautoscalers",),
    "LEASES": ("leases",),
    "type_": ("replaybuffers", "replaycaptures"),
}
"""What is behind a name of a type in the code; `type_` goes through both kinds."""

WATCHED = ("replaybuffers", "replaycaptures", "jobs", "pods")
"""By kopf: controller/handlers.py."""


def used_by_the_operator() -> set[tuple[str, str]]:
    """Verb and resource of each call that the operator's process makes, as they stand in its source."""
    used = {(verb, plural) for plural in WATCHED for verb in ("list", "watch")}
    package = ROOT / "operator" / "replay_operator"
    for source in [*(package / "controller").rglob("*.py"), *(package / "cluster").rglob("*.py")]:
        if source.name != "gateway.py":
            used |= _calls(source)
    return used


def _calls(source: Path) -> set[tuple[str, str]]:
    found: set[tuple[str, str]] = set()
    for node in ast.walk(ast.parse(source.read_text())):
        match node:
            case ast.Call(func=ast.Attribute(value=owner, attr=method), args=[ast.Name(id=type_), *_]) if (
                ast.unparse(owner).endswith(("gateway", "office.objects"))
            ):
                if method == "patch_status":
                    found |= {("patch", f"{plural}/status") for plural in PLURALS[type_]}
                else:
                    found |= {(verb, plural) for verb in GATEWAY_VERBS[method] for plural in PLURALS[type_]}
    return found


def granted(values: Mapping[str, Any]) -> set[tuple[str, str]]:
    rules = by_name(render(values))["Role", "replay-operator"]["rules"]
    return {(verb, plural) for rule in rules for plural in rule["resources"] for verb in rule["verbs"]}


def test_the_operator_has_the_rights_that_its_code_uses_and_no_others() -> None:
    allowed = granted(VARIANTS["everything"])
    assert used_by_the_operator() - allowed == set()
    assert allowed - used_by_the_operator() == set()


def test_only_who_asks_for_more_gives_the_operator_a_right_more() -> None:
    more = {name: granted(values) - granted({}) for name, values in VARIANTS.items()}
    assert {name: rights for name, rights in more.items() if rights} == {
        "everything": {("patch", "pods"), ("create", "replaycaptures")}
    }
    assert granted({"fleet": {"podDeletionCost": True}}) - granted({}) == {("patch", "pods")}


@pytest.mark.parametrize("name", VARIANTS)
def test_only_those_who_ask_the_api_server_have_rights_there(name: str) -> None:
    objects = by_name(render(VARIANTS[name]))
    bound = {
        (subject["kind"], subject["name"], found["roleRef"]["kind"], found["roleRef"]["name"])
        for (kind, _), found in objects.items()
        if kind.endswith("RoleBinding")
        for subject in found["subjects"]
    }
    with_token = {
        spec["serviceAccountName"]
        for (kind, _), found in objects.items()
        if kind in ("Deployment", "Job")
        and (spec := found["spec"]["template"]["spec"])["automountServiceAccountToken"]
    }
    assert bound == {("ServiceAccount", account, "Role", account) for account in with_token}
    roles = {role for kind, role in objects if kind == "Role"}
    assert roles == with_token, "a Role that nobody has"
