"""How facts are read: pods, claims, autoscalers, Secrets, settings, definitions, answers of workers."""

from __future__ import annotations

from copy import deepcopy
from datetime import UTC, datetime
from typing import Any

import pytest

from replay_operator.api.crd import custom_resource_definitions
from replay_operator.api.model import GROUP, VERSION
from replay_operator.cli.doctor.network import worker_answer
from replay_operator.cli.doctor.settings import (
    choices_of,
    config_maps_of,
    declared_variables,
    given_settings,
    read_settings,
)
from replay_operator.domain.checks.definitions import differences
from replay_operator.domain.checks.objects import (
    MountFacts,
    budget_facts,
    config_map_facts,
    pod_facts,
    secret_uses,
)
from replay_operator.settings import OperatorSettings

GIVEN = {"POD_NAMESPACE": "replay", "REPLAY_CAPTURE_IMAGE": "replay-operator:1"}


def body(**spec: Any) -> dict[str, Any]:
    container = {
        "name": "egress",
        "image": "livekit/egress:v1.14.1",
        "volumeMounts": [{"name": "b", "mountPath": "/buffer/"}, {"name": "tmp", "mountPath": "/tmp"}],
        "env": [
            {"name": "LIVEKIT_API_KEY", "valueFrom": {"secretKeyRef": {"name": "lk", "key": "api-key"}}},
            {"name": "X", "valueFrom": {"secretKeyRef": {"name": "no", "key": "k", "optional": True}}},
        ],
    }
    volumes = [
        {"name": "b", "persistentVolumeClaim": {"claimName": "replay-buffers"}},
        {"name": "tmp", "emptyDir": {}},
        {"name": "extra", "secret": {"secretName": "extra"}},
        {"name": "agent-token", "secret": {"secretName": "token"}},
    ]
    return {
        "metadata": {"name": "worker-1"},
        "spec": {"containers": [{"name": "mesh", "image": "proxy:1"}, container], "volumes": volumes, **spec},
        "status": {"containerStatuses": [{"name": "egress", "state": {"running": {}}}]},
    }


def test_the_container_that_works_is_judged_and_not_its_sidecar() -> None:
    facts = pod_facts(body())
    assert facts.image == "livekit/egress:v1.14.1"
    assert facts.mounts == (MountFacts("replay-buffers", "/buffer", read_only=False),)


def test_a_pod_that_cannot_be_scheduled_says_why() -> None:
    pod = body()
    message = "0/1 nodes are available"
    pod["status"] = {
        "conditions": [
            {"type": "PodScheduled", "status": "False", "reason": "Unschedulable", "message": message}
        ]
    }
    assert pod_facts(pod).trouble == f"Unschedulable: {message}"


def test_a_container_that_is_only_being_made_is_no_trouble() -> None:
    pod = body()
    pod["status"]["containerStatuses"] = [
        {"name": "e", "state": {"waiting": {"reason": "ContainerCreating"}}}
    ]
    assert pod_facts(pod).trouble == ""
    pod["status"]["containerStatuses"][0]["state"]["waiting"] = {"reason": "ErrImagePull", "message": "no"}
    assert pod_facts(pod).trouble == "ErrImagePull: no"


def test_groups_come_from_the_pod_and_its_container() -> None:
    facts = pod_facts(body(securityContext={"runAsGroup": 7, "fsGroup": 0, "supplementalGroups": [3]}))
    assert (facts.run_as_group, facts.groups) == (7, frozenset({0, 3}))


def test_only_secrets_that_a_pod_cannot_do_without_count() -> None:
    assert [(use.secret, use.key, use.started) for use in secret_uses(body())] == [
        ("extra", None, True),
        ("token", "token", True),
        ("lk", "api-key", True),
    ]


def test_a_pod_whose_container_waits_has_not_proved_its_secrets() -> None:
    pod = body()
    pod["status"]["containerStatuses"][0]["state"] = {"waiting": {"reason": "CreateContainerConfigError"}}
    assert not any(use.started for use in secret_uses(pod))


@pytest.mark.parametrize(
    ("spec", "labels"),
    [
        ({}, None),
        ({"selector": {}}, {}),
        ({"selector": {"matchLabels": {"app": "egress"}}}, {"app": "egress"}),
    ],
)
def test_a_budget_without_a_selector_takes_no_pod_and_an_empty_one_takes_all(
    spec: dict[str, Any], labels: dict[str, str] | None
) -> None:
    assert budget_facts({"metadata": {"name": "b"}, "spec": spec}).selector == labels


def test_settings_are_read_from_what_is_given_and_not_from_this_process(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setenv("REPLAY_FLEET", "another")
    assert given_settings(GIVEN).fleet == OperatorSettings.model_fields["fleet"].default


def test_a_setting_that_is_not_valid_is_named_as_its_variable() -> None:
    told, settings = read_settings(GIVEN | {"REPLAY_WORKERS": "many"}, "here")
    assert settings is None
    assert told.error.startswith("REPLAY_WORKERS: ")


def test_a_secret_setting_is_never_told() -> None:
    given = GIVEN | {"REPLAY_NOTIFY_URL": "http://x", "REPLAY_NOTIFY_SECRET": "whsec_%%%hush"}
    told, _ = read_settings(given, "here")
    assert "whsec_" in told.error
    assert "hush" not in told.error


def test_a_misspelt_setting_is_found_with_the_one_that_was_meant() -> None:
    told, _ = read_settings(GIVEN | {"REPLAY_BUFFER_CLAIMS": "b", "REPLAY_ZZZ": "1"}, "here")
    assert told.unknown == {"REPLAY_BUFFER_CLAIMS": "REPLAY_BUFFER_CLAIM", "REPLAY_ZZZ": ""}


def test_the_settings_of_uploads_are_known_and_judged_too(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("REPLAY_UPLOAD_BUCKET", "NOT_THIS_ONE")
    given = GIVEN | {"REPLAY_UPLOAD_BUCKET": "clips", "REPLAY_UPLOAD_MAX_JOBS": "3"}
    told, settings = read_settings(given, "here")
    assert (told.error, told.unknown) == ("", {})
    assert settings is not None
    wrong, _ = read_settings(given | {"REPLAY_UPLOAD_PREFIX": "/x", "REPLAY_UPLOAD_BUCKETS": "a"}, "here")
    assert "REPLAY_UPLOAD_PREFIX" in wrong.error
    assert wrong.unknown == {"REPLAY_UPLOAD_BUCKETS": "REPLAY_UPLOAD_BUCKET"}
    many, _ = read_settings(given | {"REPLAY_UPLOAD_MAX_JOBS": "many"}, "here")
    assert many.error.startswith("REPLAY_UPLOAD_MAX_JOBS: ")


@pytest.mark.parametrize("name", ["REPLAY_AGENT_SERVICE_HOST", "REPLAY_AGENT_PORT_8480_TCP"])
def test_what_a_service_adds_is_not_taken_for_a_setting(name: str) -> None:
    assert read_settings(GIVEN | {name: "10.0.0.1"}, "here")[0].unknown == {}


def test_a_config_map_was_changed_when_its_data_was_and_not_its_labels() -> None:
    entries = [
        {"time": "2026-11-23T12:00:00Z", "fieldsV1": {"f:data": {"f:REPLAY_FLEET": {}}}},
        {"time": "2026-11-23T13:00:00Z", "fieldsV1": {"f:metadata": {"f:labels": {}}}},
    ]
    facts = config_map_facts({"metadata": {"managedFields": entries}, "data": {"REPLAY_FLEET": "x"}})
    assert facts.changed_at == datetime(2026, 11, 23, 12, tzinfo=UTC)
    assert facts.data == {"REPLAY_FLEET": "x"}


def test_a_pod_has_started_when_the_last_of_its_containers_has() -> None:
    pod = body()
    first, last = "2026-11-23T12:00:00Z", "2026-11-23T12:00:09Z"
    pod["status"]["containerStatuses"] = [{"state": {"running": {"startedAt": t}}} for t in (last, first)]
    assert pod_facts(pod).started_at == datetime(2026, 11, 23, 12, 0, 9, tzinfo=UTC)
    pod["status"]["containerStatuses"][0]["state"] = {"waiting": {}}
    assert pod_facts(pod).started_at is None


def test_the_pod_s_own_variables_win_over_its_config_map() -> None:
    container = {
        "envFrom": [{"configMapRef": {"name": "settings"}}],
        "env": [
            {"name": "REPLAY_FLEET", "value": "mine"},
            {"name": "REPLAY_NOTIFY_SECRET", "valueFrom": {"secretKeyRef": {"name": "n", "key": "k"}}},
            {"name": "POD_IP", "valueFrom": {"fieldRef": {"fieldPath": "status.podIP"}}},
        ],
    }
    assert config_maps_of(container) == ("settings",)
    data = {"REPLAY_FLEET": "theirs", "REPLAY_CAPTURE_IMAGE": "x", "REPLAY_NOTIFY_URL": "http://x"}
    variables = declared_variables(container, [data], "replay")
    settings = read_settings(variables, "here")[1]
    assert settings is not None
    assert (settings.fleet, settings.namespace) == ("mine", "replay")
    assert choices_of(settings).fleet == "mine"


def served() -> dict[str, Any]:
    """The definitions as an API server tells of them."""
    schemas = {}
    for definition in custom_resource_definitions():
        kind = definition["spec"]["names"]["kind"]
        schema = deepcopy(definition["spec"]["versions"][0]["schema"]["openAPIV3Schema"])
        mark = {"group": GROUP, "version": VERSION, "kind": kind}
        schemas[kind] = schema | {"x-kubernetes-group-version-kind": [mark]}
    return {"components": {"schemas": schemas}}


def test_definitions_that_are_served_as_they_are_written_lack_nothing() -> None:
    assert differences(served()) == ()


def test_definitions_that_are_not_there_are_said_to_be_missing() -> None:
    assert differences(None) == (f"{GROUP}/{VERSION} is not known",)
    one = served()
    del one["components"]["schemas"]["ReplayCapture"]
    assert differences(one) == ("ReplayCapture is not known",)


def test_a_field_that_the_served_definition_lacks_is_named() -> None:
    old = served()
    del old["components"]["schemas"]["ReplayBuffer"]["properties"]["spec"]["properties"]["windowSeconds"]
    assert differences(old) == ("ReplayBuffer.spec.windowSeconds is missing",)


def test_a_newer_definition_does_no_harm() -> None:
    new = served()
    spec = new["components"]["schemas"]["ReplayBuffer"]["properties"]["spec"]
    spec["properties"]["colour"] = {"type": "string"}
    spec["description"] = "other words"
    assert differences(new) == ()


def test_a_field_of_another_shape_is_named_with_what_differs() -> None:
    other = served()
    spec = other["components"]["schemas"]["ReplayBuffer"]["properties"]["spec"]
    spec["properties"]["windowSeconds"]["maximum"] = 10
    assert differences(other) == ("ReplayBuffer.spec.windowSeconds has another maximum",)


def test_many_differences_are_counted_and_not_listed() -> None:
    old = served()
    old["components"]["schemas"]["ReplayBuffer"]["properties"]["spec"]["properties"] = {}
    found = differences(old)
    assert len(found) == 4
    assert found[-1].startswith("and ")


def test_an_answer_of_a_worker_tells_the_kind_of_each_request() -> None:
    answer = worker_answer(b'{"CpuLoad": 1.5, "EG_1": {"TrackComposite": {}}, "EG_2": {"Web": {}}}')
    assert answer is not None
    assert answer.kinds == {"EG_1": "TrackComposite", "EG_2": "Web"}
    assert answer.available_cores == 1.5


@pytest.mark.parametrize("text", [b"", b"ok", b"[]", b"{}", b'{"CpuLoad": "much"}'])
def test_what_is_no_egress_worker_is_not_taken_for_one(text: bytes) -> None:
    assert worker_answer(text) is None
