"""What a user may set: values.yaml, its schema and the table in the README are one."""

import json
import re
from collections.abc import Iterator, Mapping
from typing import Any

import pytest
import yaml

from replay_operator.agent.settings import AgentSettings
from replay_operator.settings import OperatorSettings, UploadSettings
from tests.helm.__main__ import differing, from_values
from tests.helm.chart import CHART, KUBERNETES_VERSION, HelmError, helm, render, render_text
from tests.helm.values_comments import UncommentedValue, read_values
from tests.helm.variants import VARIANTS

pytestmark = pytest.mark.usefixtures("helm_binary")

BY_THE_POD = {
    "bind_address",
    "port",
    "agent_token_directory",
    "catalogue_api_token_directory",
    "preview_api_token_directory",
    "kubeconfig",
    "notify_secret",
    "quota_cache_url",
}
"""Settings that the chart's own templates decide, or that come from a Secret."""


def test_schema_and_readme_say_what_values_yaml_says() -> None:
    assert differing(from_values()) == []


def test_a_value_without_a_comment_is_noticed(tmp_path: Any) -> None:
    file = tmp_path / "values.yaml"
    file.write_text("a:\n  # -- One.\n  b: 1\n  c: 2\n")
    with pytest.raises(UncommentedValue, match=r"a\.c has no comment"):
        read_values(file)


def test_helm_lint_has_nothing_to_say() -> None:
    said = helm("lint", "--strict", "--kube-version", KUBERNETES_VERSION, str(CHART))
    assert "WARNING" not in said


def sections(schema: Mapping[str, Any]) -> Iterator[Mapping[str, Any]]:
    if "properties" in schema:
        yield schema
        for below in schema["properties"].values():
            yield from sections(below)


def test_no_section_takes_a_value_that_it_does_not_know() -> None:
    found = list(sections(json.loads((CHART / "values.schema.json").read_text())))
    assert len(found) > 20
    assert all(section["additionalProperties"] is False for section in found)


@pytest.mark.parametrize("name", VARIANTS)
def test_each_variant_is_accepted(name: str) -> None:
    assert render(VARIANTS[name])


@pytest.mark.parametrize(
    ("values", "complaint"),
    [
        ({"operater": {}}, "operater"),
        ({"storage": {"buffers": {"sizes": "20Gi"}}}, "sizes"),
        ({"storage": {"buffers": {"accessMode": "ReadWriteOncePod"}}}, "accessMode"),
        ({"storage": {"buffers": {"size": "much"}}}, "size"),
        ({"storage": {"buffers": {"mountPath": "buffer"}}}, "mountPath"),
        ({"operator": {"replicas": 2}}, "take Postgres or None"),
        ({"catalogue": {"database": "MySQL"}}, "database"),
        ({"recording": {"segmentSeconds": 16}}, "segmentSeconds"),
        ({"recording": {"segmentSeconds": "10"}}, "segmentSeconds"),
        ({"captures": {"maxJobs": 0}}, "maxJobs"),
        ({"limits": {"maxBuffers": -1}}, "maxBuffers"),
        ({"image": {"digest": "latest"}}, "digest"),
        ({"image": {"pullPolicy": "Sometimes"}}, "pullPolicy"),
        ({"imagePullSecrets": ["registry"]}, "imagePullSecrets"),
        ({"fleet": {"existing": {"selector": "a=b,c=d"}}}, "selector"),
        ({"fleet": {"pdb": {"minAvailable": 1}}}, "minAvailable"),
        ({"operator": {"extraSettings": {"LIVEKIT_API_SECRET": "x"}}}, "LIVEKIT_API_SECRET"),
        ({"operator": {"extraSettings": {"REPLAY_FLEET_MAX": 3}}}, "REPLAY_FLEET_MAX"),
        ({"notify": {"url": "backend.example"}}, "url"),
        ({"preview": {"url": "replay.example"}}, "url"),
        ({"preview": {"url": "https://replay.example/?a=b"}}, "url"),
        ({"preview": {"addressSeconds": 86400}}, "addressSeconds"),
        ({"preview": {"origins": ["https://app.example/path"]}}, "origins"),
        ({"preview": {"enabled": True}}, "preview.url"),
        ({"preview": {"enabled": True, "url": "https://a.example", "ingress": {"enabled": True}}}, "host"),
        ({"commonLabels": {"a": 1}}, "commonLabels"),
        ({"fleet": {"min": 30, "max": 20}}, "fleet.min is 30 and fleet.max is 20"),
        ({"fleet": {"existing": {"name": "Egress"}}}, "name"),
        ({"storage": {"buffers": {"size": "1.2.3Gi"}}}, "size"),
        ({"storage": {"buffers": {"claimName": "a b"}}}, "claimName"),
        ({"agent": {"freeSpaceFloor": "60%"}}, "freeSpaceFloor"),
        ({"operator": {"logLevels": "livekit"}}, "logLevels"),
        ({"objectStorage": {"bucket": "a..b"}}, "bucket"),
        ({"objectStorage": {"prefix": "team/clips/"}}, "prefix"),
        ({"objectStorage": {"prefix": "team/../clips"}}, "prefix"),
        ({"objectStorage": {"tags": {"tier": "a,b"}}}, "/objectStorage/tags/tier"),
        ({"objectStorage": {"tags": {"replay-owner": "a"}}}, "/objectStorage/tags/replay-owner"),
        ({"captures": {"nodeLabels": {"a=b": "c"}}}, "/captures/nodeLabels"),
        ({"preview": {"origins": ["*", "https://app.example"]}}, "origins"),
        ({"monitoring": {"rules": {"runbookUrl": "https://docs.example/runbooks"}}}, "runbookUrl"),
    ],
    ids=lambda part: part if isinstance(part, str) else "",
)
def test_a_value_that_cannot_be_right_is_refused_by_name(values: Mapping[str, Any], complaint: str) -> None:
    with pytest.raises(HelmError, match=complaint):
        render(values)


def test_an_older_cluster_than_the_operator_needs_is_refused() -> None:
    with pytest.raises(HelmError, match=r"incompatible with Kubernetes v1\.28\.0"):
        helm("template", "replay", str(CHART), "--kube-version", "1.28.0")


def test_each_value_is_used() -> None:
    templates = "\n".join(path.read_text() for path in (CHART / "templates").rglob("*") if path.is_file())
    unused = [
        ".".join(value.path)
        for value in read_values(CHART / "values.yaml")
        if value.path[-1] not in templates
    ]
    assert unused == []


def settings_of(values: Mapping[str, Any]) -> dict[str, str]:
    found = next(o for o in render(values) if o["metadata"]["name"] == "replay-operator-settings")
    data: dict[str, str] = found["data"]
    return data


def test_each_setting_of_the_operator_is_in_the_chart_or_offered_there() -> None:
    text = render_text(only=["settings.yaml"])
    names = {
        field.validation_alias or f"REPLAY_{name.upper()}"
        for name, field in OperatorSettings.model_fields.items()
        if name not in BY_THE_POD
    } - {"POD_NAMESPACE", "POD_NAME"}
    names |= {f"REPLAY_UPLOAD_{name.upper()}" for name in UploadSettings.model_fields}
    assert {name for name in names if f"{name}: " not in text} == set()


@pytest.mark.parametrize("name", VARIANTS)
def test_the_operator_takes_the_settings_of_each_variant(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("POD_NAMESPACE", "anywhere")
    monkeypatch.setenv("REPLAY_NOTIFY_SECRET", "from a Secret")
    data = settings_of(VARIANTS[name])
    known = {f"REPLAY_{field.upper()}" for field in OperatorSettings.model_fields}
    known |= {f"REPLAY_UPLOAD_{field.upper()}" for field in UploadSettings.model_fields}
    assert data.keys() <= known
    for variable, value in data.items():
        monkeypatch.setenv(variable, value)
    OperatorSettings()
    UploadSettings()


def test_what_everything_sets_arrives_in_the_settings(monkeypatch: pytest.MonkeyPatch) -> None:
    data = settings_of(VARIANTS["everything"])
    assert data["REPLAY_CAPTURE_IMAGE"] == f"registry.example/replay@sha256:{'a' * 64}"
    assert data["REPLAY_MAX_BUFFERS"] == "0", "nobody may record: zero is not the absence of a limit"
    assert data["REPLAY_CAPTURE_NODE_LABELS"] == "disk=fast"
    assert data["REPLAY_CAPTURE_SERVICE_ACCOUNT"] == "cutter"
    assert data["REPLAY_POD_DELETION_COST"] == "true"
    assert data["REPLAY_WEBHOOK_PORT"] == "8081"


@pytest.mark.parametrize(
    ("preview", "url"),
    [
        ({"url": "https://a.example/see"}, "https://a.example/see"),
        ({"ingress": {"enabled": True, "host": "b.example"}}, "http://b.example"),
        ({"ingress": {"enabled": True, "host": "b.example", "tlsSecret": "tls"}}, "https://b.example"),
        (
            {"url": "https://a.example", "ingress": {"enabled": True, "host": "b.example"}},
            "https://a.example",
        ),
    ],
)
def test_addresses_begin_with_the_url_or_else_with_the_ingress(preview: Mapping[str, Any], url: str) -> None:
    assert settings_of({"preview": {"enabled": True, **preview}})["REPLAY_PREVIEW_URL"] == url


def agents_variables(values: Mapping[str, Any]) -> dict[str, str]:
    agent = next(
        o for o in render(values) if o["kind"] == "Deployment" and o["metadata"]["name"] == "replay-agent"
    )
    (container,) = agent["spec"]["template"]["spec"]["containers"]
    return {entry["name"]: entry["value"] for entry in container["env"] if "value" in entry}


@pytest.mark.parametrize("name", VARIANTS)
def test_the_agent_takes_its_variables_of_each_variant(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    variables = agents_variables(VARIANTS[name])
    for variable, value in variables.items():
        monkeypatch.setenv(variable, value)
    known = {f"REPLAY_AGENT_{field.upper()}" for field in AgentSettings.model_fields}
    assert {variable for variable in variables if variable.startswith("REPLAY_")} <= known
    shows = AgentSettings().preview_port is not None
    assert shows is VARIANTS[name].get("preview", {}).get("enabled", False)


def test_a_bucket_arrives_in_the_settings_and_without_one_nothing_of_it_does(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    for variable, value in settings_of(VARIANTS["everything"]).items():
        monkeypatch.setenv(variable, value)
    uploads = UploadSettings()
    target = uploads.target()
    assert target is not None
    assert (target.bucket, target.endpoint, target.prefix) == (
        "clips",
        "https://s3.example.com",
        "team/clips",
    )
    assert set(target.tags) == {("tier", "cold"), ("team", "media")}
    assert not target.keep_local_copy
    assert (uploads.credentials_secret, uploads.ca_config_map) == ("replay-bucket", "bucket-ca")
    assert (uploads.deadline_seconds, uploads.max_jobs) == (7200, 2)
    without = {"objectStorage": {"endpoint": "https://s3.example.com", "keepLocalCopy": False}}
    assert not [name for name in settings_of(without) if name.startswith("REPLAY_UPLOAD_")]


def test_a_fleet_of_ones_own_is_described_to_the_operator() -> None:
    data = settings_of(VARIANTS["a fleet of one's own"])
    assert data["REPLAY_FLEET"] == "egress"
    assert data["REPLAY_FLEET_SELECTOR"] == "app.kubernetes.io/name=egress"
    assert data["REPLAY_FLEET_HEALTH_PORT"] == "8090"


def test_chart_and_package_have_one_version() -> None:
    chart = yaml.safe_load((CHART / "Chart.yaml").read_text())
    images = {
        image["name"]: image["image"]
        for image in yaml.safe_load(chart["annotations"]["artifacthub.io/images"])
    }
    values = yaml.safe_load((CHART / "values.yaml").read_text())
    assert images == {
        "replay-operator": f"{values['image']['repository']}:{chart['appVersion']}",
        "egress": f"{values['fleet']['image']['repository']}:{values['fleet']['image']['tag']}",
    }


def test_what_the_kind_script_sets_is_a_value_of_the_chart() -> None:
    kind = CHART.parents[1] / "manifests" / "kind"
    changes = re.findall(r"(--set\S*) (\S+)", (kind / "kind.sh").read_text())
    assert changes
    flags = [word for change in changes for word in change]
    version = ("--kube-version", KUBERNETES_VERSION)
    helm("template", "replay-operator", str(CHART), "-f", str(kind / "values.yaml"), *version, *flags)
