"""manifests/ against the real API server: admission, Pod Security, rights, and whether its parts agree."""

import json
import re
import time
import uuid
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import yaml

from replay_operator.agent.settings import AgentSettings
from replay_operator.settings import OperatorSettings, UploadSettings
from tests.testbed.access import Right, may
from tests.testbed.controlplane import ControlPlane, KubectlError

pytestmark = pytest.mark.cluster

MANIFESTS = Path(__file__).parents[2] / "manifests"
DEPLOYMENTS = ("replay-operator", "replay-agent", "livekit-egress")
RBAC_DEADLINE_SECONDS = 60.0

Json = dict[str, Any]


@pytest.fixture(scope="module")
def base(control_plane: ControlPlane) -> list[Json]:
    rendered = control_plane.kubectl("kustomize", str(MANIFESTS / "base"))
    return list(yaml.safe_load_all(rendered))


@pytest.fixture(scope="module")
def restricted_namespace(control_plane: ControlPlane, base: list[Json]) -> Iterator[str]:
    """A namespace that enforces Pod Security `restricted`, with the base's accounts and rights in it.

    One for all tests here: they only read it and ask for dry runs.
    """
    name = f"test-{uuid.uuid4().hex[:12]}"
    control_plane.kubectl("create", "namespace", name)
    labels = [f"pod-security.kubernetes.io/{mode}=restricted" for mode in ("enforce", "warn")]
    control_plane.kubectl("label", "namespace", name, *labels)
    accounts = [o for o in base if o["kind"] in ("ServiceAccount", "Role", "RoleBinding")]
    control_plane.kubectl("apply", "-n", name, "-f", "-", input=yaml.safe_dump_all(accounts))
    yield name
    control_plane.kubectl("delete", "namespace", name, "--wait=false", "--ignore-not-found")


def find(base: list[Json], kind: str, name: str) -> Json:
    return next(o for o in base if o["kind"] == kind and o["metadata"]["name"] == name)


def pod_spec(base: list[Json], deployment: str) -> Json:
    spec: Json = find(base, "Deployment", deployment)["spec"]["template"]["spec"]
    return spec


def container(base: list[Json], deployment: str) -> Json:
    (only,) = pod_spec(base, deployment)["containers"]
    return dict(only)


def environment(base: list[Json], deployment: str) -> dict[str, str]:
    """The variables with a literal value; one that refers to the pod's address gets one."""
    variables = {e["name"]: e["value"] for e in container(base, deployment)["env"] if "value" in e}
    return {name: value.replace("$(POD_IP)", "127.77.0.1") for name, value in variables.items()}


def create_dry(control_plane: ControlPlane, namespace: str, body: Json) -> str:
    strict = ("--dry-run=server", "--validate=strict", "--warnings-as-errors")
    return control_plane.kubectl("create", "-n", namespace, *strict, "-f", "-", input=json.dumps(body))


@pytest.fixture
def settings(base: list[Json], monkeypatch: pytest.MonkeyPatch) -> OperatorSettings:
    """The operator's settings as its pod would read them."""
    monkeypatch.setenv("POD_NAMESPACE", "anywhere")
    data = find(base, "ConfigMap", "replay-operator-settings")["data"]
    for name, value in (data | environment(base, "replay-operator")).items():
        monkeypatch.setenv(name, value)
    return OperatorSettings()


def test_the_api_server_accepts_every_object_without_a_warning(
    control_plane: ControlPlane, restricted_namespace: str, base: list[Json]
) -> None:
    strict = ("--dry-run=server", "--validate=strict", "--warnings-as-errors")
    rendered = yaml.safe_dump_all(base)
    said = control_plane.kubectl("apply", "-n", restricted_namespace, *strict, "-f", "-", input=rendered)
    assert len(said.splitlines()) == len(base)


@pytest.mark.parametrize("deployment", DEPLOYMENTS)
def test_a_pod_of_each_deployment_passes_pod_security_restricted(
    control_plane: ControlPlane, restricted_namespace: str, base: list[Json], deployment: str
) -> None:
    pod = {
        "apiVersion": "v1",
        "kind": "Pod",
        "metadata": {"name": deployment},
        "spec": pod_spec(base, deployment),
    }
    assert create_dry(control_plane, restricted_namespace, pod).startswith(f"pod/{deployment} created")

    loosened = dict(pod, spec=pod_spec(base, deployment) | {"securityContext": {}})
    with pytest.raises(KubectlError, match="violates PodSecurity"):
        create_dry(control_plane, restricted_namespace, loosened)


@pytest.mark.parametrize("deployment", DEPLOYMENTS)
def test_containers_write_only_to_mounts(base: list[Json], deployment: str) -> None:
    assert container(base, deployment)["securityContext"]["readOnlyRootFilesystem"] is True
    mounts = {mount["mountPath"]: mount["name"] for mount in container(base, deployment)["volumeMounts"]}
    volumes = {volume["name"]: volume for volume in pod_spec(base, deployment)["volumes"]}
    assert "emptyDir" in volumes[mounts["/tmp"]]


@pytest.mark.parametrize("deployment", DEPLOYMENTS)
def test_no_service_adds_variables_that_look_like_settings(base: list[Json], deployment: str) -> None:
    assert pod_spec(base, deployment)["enableServiceLinks"] is False


def test_only_the_operator_gets_a_service_account_token(base: list[Json]) -> None:
    mounted = {name: pod_spec(base, name)["automountServiceAccountToken"] for name in DEPLOYMENTS}
    assert mounted == {"replay-operator": True, "replay-agent": False, "livekit-egress": False}


def test_only_the_fleet_names_a_user(base: list[Json]) -> None:
    users = {name: pod_spec(base, name)["securityContext"].get("runAsUser") for name in DEPLOYMENTS}
    assert users == {"replay-operator": None, "replay-agent": None, "livekit-egress": 1001}


def test_the_pods_that_share_the_buffer_volume_share_its_group(base: list[Json]) -> None:
    groups = {name: pod_spec(base, name)["securityContext"].get("fsGroup") for name in DEPLOYMENTS[1:]}
    assert groups == {"replay-agent": 0, "livekit-egress": 0}


def test_rights_are_enumerated_and_end_at_the_namespace(base: list[Json]) -> None:
    assert not {o["kind"] for o in base} & {"ClusterRole", "ClusterRoleBinding"}
    rules = [rule for o in base if o["kind"] == "Role" for rule in o["rules"]]
    assert rules
    for rule in rules:
        assert "*" not in rule["verbs"] + rule["resources"] + rule["apiGroups"]
        assert "secrets" not in rule["resources"]


@pytest.mark.parametrize(
    ("right", "allowed"),
    [
        (Right("watch", "replaybuffer.dev", "replaybuffers"), True),
        (Right("patch", "replaybuffer.dev", "replaycaptures", "status"), True),
        (Right("patch", "replaybuffer.dev", "replaybuffers"), False),
        (Right("delete", "replaybuffer.dev", "replaybuffers"), False),
        (Right("patch", "replaybuffer.dev", "replaycaptures"), True),
        (Right("delete", "replaybuffer.dev", "replaycaptures"), True),
        (Right("create", "replaybuffer.dev", "replaycaptures"), False),
        (Right("patch", "batch", "jobs"), True),
        (Right("delete", "batch", "jobs"), True),
        (Right("create", "batch", "jobs"), True),
        (Right("create", "", "persistentvolumeclaims"), True),
        (Right("patch", "", "persistentvolumeclaims"), True),
        (Right("delete", "", "persistentvolumeclaims"), False),
        (Right("patch", "autoscaling", "horizontalpodautoscalers"), True),
        (Right("update", "coordination.k8s.io", "leases"), True),
        (Right("delete", "coordination.k8s.io", "leases"), False),
        (Right("get", "", "secrets"), False),
        (Right("create", "", "pods"), False),
        (Right("patch", "", "pods"), False),
    ],
)
def test_the_operators_account_may_do_its_work_and_no_more(
    control_plane: ControlPlane,
    restricted_namespace: str,
    right: Right,
    allowed: bool,
) -> None:
    user = f"system:serviceaccount:{restricted_namespace}:replay-operator"
    # The authorizer learns of a new RoleBinding through a watch, shortly after it was made.
    deadline = time.monotonic() + RBAC_DEADLINE_SECONDS
    while not may(control_plane, user, restricted_namespace, Right("list", "batch", "jobs")):
        assert time.monotonic() < deadline, "the RoleBinding gives its account nothing"
    assert may(control_plane, user, restricted_namespace, right) is allowed
    assert not may(control_plane, user, "default", right)


def test_the_operator_knows_each_of_its_settings(base: list[Json], settings: OperatorSettings) -> None:
    data = find(base, "ConfigMap", "replay-operator-settings")["data"]
    names = {name for name in data | environment(base, "replay-operator") if name.startswith("REPLAY_")}
    known = {f"REPLAY_{field.upper()}" for field in type(settings).model_fields}
    assert names <= known
    assert settings.bind_address == "127.77.0.1"


def test_each_setting_that_is_offered_in_a_comment_is_one_and_can_be_set(
    base: list[Json], settings: OperatorSettings, monkeypatch: pytest.MonkeyPatch
) -> None:
    text = (MANIFESTS / "base" / "settings.yaml").read_text()
    offered = yaml.safe_load("\n".join(re.findall(r"^ +# (REPLAY_[A-Z_]+: .+)$", text, flags=re.MULTILINE)))
    known = {
        f"{model.model_config['env_prefix']}{field}".upper()
        for model in (OperatorSettings, UploadSettings)
        for field in model.model_fields
    }
    assert offered.keys() <= known - find(base, "ConfigMap", "replay-operator-settings")["data"].keys()
    for name, value in offered.items():
        monkeypatch.setenv(name, value)
    monkeypatch.setenv("REPLAY_NOTIFY_SECRET", "from a Secret")
    assert OperatorSettings().webhook_port is not None
    assert UploadSettings().bucket is not None
    assert settings.webhook_port is None, "closed unless somebody wants it"


def test_the_operator_finds_the_workers_and_the_port_on_which_they_say_what_they_hold(
    base: list[Json], settings: OperatorSettings
) -> None:
    name, _, value = settings.fleet_selector.partition("=")
    assert find(base, "Deployment", settings.fleet)["spec"]["template"]["metadata"]["labels"][name] == value
    others = [pod for pod in DEPLOYMENTS if pod != settings.fleet]
    for other in others:
        labels = find(base, "Deployment", other)["spec"]["template"]["metadata"]["labels"]
        assert labels[name] != value
    config = yaml.safe_load(find(base, "ConfigMap", "livekit-egress")["data"]["config.yaml"])
    assert settings.fleet_health_port == config["health_port"]


def test_the_agent_knows_each_of_its_settings(base: list[Json], monkeypatch: pytest.MonkeyPatch) -> None:
    variables = environment(base, "replay-agent")
    for name, value in variables.items():
        monkeypatch.setenv(name, value)
    agent = AgentSettings()
    assert set(variables) <= {f"REPLAY_AGENT_{field.upper()}" for field in AgentSettings.model_fields}
    assert agent.bind_address == "127.77.0.1"
    mounts = {mount["mountPath"] for mount in container(base, "replay-agent")["volumeMounts"]}
    assert {str(agent.volume), str(agent.archive), str(agent.token_directory)} <= mounts
    assert container(base, "replay-agent")["ports"] == [{"name": "http", "containerPort": agent.port}]


def test_the_agent_holds_the_two_volumes_that_the_settings_name(
    base: list[Json], settings: OperatorSettings
) -> None:
    mounts = {m["mountPath"]: m["name"] for m in container(base, "replay-agent")["volumeMounts"]}
    volumes = {v["name"]: v for v in pod_spec(base, "replay-agent")["volumes"]}
    variables = environment(base, "replay-agent")
    held = {
        name: volumes[mounts[variables[name]]]["persistentVolumeClaim"]["claimName"]
        for name in ("REPLAY_AGENT_VOLUME", "REPLAY_AGENT_ARCHIVE")
    }
    assert held == {
        "REPLAY_AGENT_VOLUME": settings.buffer_claim,
        "REPLAY_AGENT_ARCHIVE": settings.archive_claim,
    }


def test_the_settings_name_the_fleet_its_autoscaler_and_its_mount(
    base: list[Json], settings: OperatorSettings
) -> None:
    autoscaler = find(base, "HorizontalPodAutoscaler", settings.fleet)["spec"]
    assert autoscaler["scaleTargetRef"]["name"] == settings.fleet
    assert autoscaler["maxReplicas"] == settings.fleet_max
    assert "minReplicas" not in autoscaler
    assert "replicas" not in find(base, "Deployment", settings.fleet)["spec"]
    mounts = {m["mountPath"]: m["name"] for m in container(base, settings.fleet)["volumeMounts"]}
    claims = {
        volume["name"]: volume["persistentVolumeClaim"]["claimName"]
        for volume in pod_spec(base, settings.fleet)["volumes"]
        if "persistentVolumeClaim" in volume
    }
    assert claims[mounts[settings.buffer_root]] == settings.buffer_claim


def test_workers_share_the_agents_node_when_the_volume_serves_one_node(
    base: list[Json], settings: OperatorSettings
) -> None:
    assert settings.buffer_access_mode == "ReadWriteOnce"
    (term,) = pod_spec(base, settings.fleet)["affinity"]["podAffinity"][
        "requiredDuringSchedulingIgnoredDuringExecution"
    ]
    agent_labels = find(base, "Deployment", "replay-agent")["spec"]["template"]["metadata"]["labels"]
    assert term["labelSelector"]["matchLabels"].items() <= agent_labels.items()


def test_the_affinity_that_is_offered_for_a_shared_volume_is_one(
    control_plane: ControlPlane, restricted_namespace: str, base: list[Json], settings: OperatorSettings
) -> None:
    text = (MANIFESTS / "base" / "fleet.yaml").read_text()
    offered = yaml.safe_load("\n".join(re.findall(r"^ {6}# ( .+)$", text, flags=re.MULTILINE)))
    spec = pod_spec(base, settings.fleet) | {"affinity": offered}
    pod = {"apiVersion": "v1", "kind": "Pod", "metadata": {"name": "worker"}, "spec": spec}
    assert create_dry(control_plane, restricted_namespace, pod).startswith("pod/worker created")
    (term,) = offered["podAntiAffinity"]["preferredDuringSchedulingIgnoredDuringExecution"]
    labels = find(base, "Deployment", settings.fleet)["spec"]["template"]["metadata"]["labels"]
    assert term["podAffinityTerm"]["labelSelector"]["matchLabels"].items() <= labels.items()


def test_a_worker_cannot_fill_its_nodes_disk(base: list[Json], settings: OperatorSettings) -> None:
    scratch = [v["emptyDir"] for v in pod_spec(base, settings.fleet)["volumes"] if "emptyDir" in v]
    assert scratch
    assert all(directory["sizeLimit"] for directory in scratch)


def test_a_roll_out_of_the_fleet_brings_a_worker_before_it_takes_one(
    base: list[Json], settings: OperatorSettings
) -> None:
    rolling = find(base, "Deployment", settings.fleet)["spec"]["strategy"]["rollingUpdate"]
    assert (rolling["maxSurge"], rolling["maxUnavailable"]) == (1, 0)


def test_the_settings_lead_to_the_agents_service(base: list[Json], settings: OperatorSettings) -> None:
    service = find(base, "Service", "replay-agent")
    (port,) = service["spec"]["ports"]
    assert settings.agent_url == f"http://replay-agent:{port['port']}"
    assert port["port"] == port["targetPort"] == container(base, "replay-agent")["ports"][0]["containerPort"]
    labels = find(base, "Deployment", "replay-agent")["spec"]["template"]["metadata"]["labels"]
    assert service["spec"]["selector"].items() <= labels.items()


def test_capture_jobs_run_the_operators_image_under_an_account_that_exists(
    base: list[Json], settings: OperatorSettings
) -> None:
    assert settings.capture_image == container(base, "replay-operator")["image"]
    assert settings.capture_image == container(base, "replay-agent")["image"]
    assert (
        find(base, "ServiceAccount", settings.capture_service_account)["automountServiceAccountToken"]
        is False
    )


def test_operator_and_agent_read_the_same_token(base: list[Json], settings: OperatorSettings) -> None:
    for deployment in ("replay-operator", "replay-agent"):
        mounts = {m["mountPath"]: m["name"] for m in container(base, deployment)["volumeMounts"]}
        volumes = {v["name"]: v for v in pod_spec(base, deployment)["volumes"]}
        secret = volumes[mounts[str(settings.agent_token_directory)]]["secret"]["secretName"]
        assert secret == "replay-operator-agent"


def test_the_egress_configuration_holds_no_secret_and_opens_the_probed_port(base: list[Json]) -> None:
    config = yaml.safe_load(find(base, "ConfigMap", "livekit-egress")["data"]["config.yaml"])
    assert not {"api_key", "api_secret", "ws_url"} & set(config)
    assert "password" not in config["redis"]
    ports = {port["name"]: port["containerPort"] for port in container(base, "livekit-egress")["ports"]}
    assert ports == {"health": config["health_port"], "metrics": config["prometheus_port"]}


@pytest.mark.usefixtures("crds")
@pytest.mark.parametrize("sample", sorted(path.name for path in (MANIFESTS / "samples").glob("*.yaml")))
def test_each_sample_is_admitted(control_plane: ControlPlane, namespace: str, sample: str) -> None:
    body = yaml.safe_load((MANIFESTS / "samples" / sample).read_text())
    assert " created" in create_dry(control_plane, namespace, body)


def test_the_sample_capture_cuts_from_the_sample_buffer() -> None:
    buffer = yaml.safe_load((MANIFESTS / "samples" / "replaybuffer.yaml").read_text())
    capture = yaml.safe_load((MANIFESTS / "samples" / "replaycapture.yaml").read_text())
    assert capture["spec"]["bufferRef"]["name"] == buffer["metadata"]["name"]
    assert capture["spec"]["range"]["last"]["seconds"] < buffer["spec"]["windowSeconds"]
