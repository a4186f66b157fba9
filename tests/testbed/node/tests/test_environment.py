import pytest

from tests.testbed.node.environment import container_environment, expand, resource_value
from tests.testbed.node.errors import ContainerWaitingError
from tests.testbed.node.images import Image, find_image, repository_of
from tests.testbed.node.status import ContainerRecord, pod_phase

POD = {
    "metadata": {"name": "pod", "namespace": "space", "uid": "u-1", "labels": {"a/b": "c"}},
    "spec": {"nodeName": "standin-0"},
    "status": {"podIP": "127.77.0.9"},
}


@pytest.mark.parametrize(
    ("text", "expanded"),
    [
        ("$(A)-$(B)", "1-2"),
        ("$$(A)", "$(A)"),
        ("$(UNKNOWN)", "$(UNKNOWN)"),
        ("$A ${A} $", "$A ${A} $"),
        ("$$$(A)", "$1"),
    ],
)
def test_references_are_expanded_as_the_kubelet_does(text: str, expanded: str) -> None:
    assert expand(text, {"A": "1", "B": "2"}) == expanded


def test_a_variable_may_refer_to_those_before_it_and_wins_over_the_image() -> None:
    container = {
        "env": [
            {"name": "HOST", "valueFrom": {"fieldRef": {"fieldPath": "status.podIP"}}},
            {"name": "LABEL", "valueFrom": {"fieldRef": {"fieldPath": "metadata.labels['a/b']"}}},
            {"name": "URL", "value": "http://$(HOST):$(PORT)/$(LATER)"},
            {"name": "LATER", "value": "x"},
            {"name": "MODE", "value": "container"},
        ]
    }
    environment = container_environment(POD, container, {"PORT": "80", "MODE": "image"}, {})
    assert environment["URL"] == "http://127.77.0.9:80/$(LATER)"
    assert environment["LABEL"] == "c"
    assert environment["MODE"] == "container"


def test_secrets_and_config_maps_become_variables_with_their_prefix() -> None:
    container = {
        "envFrom": [
            {"configMapRef": {"name": "settings"}, "prefix": "P_"},
            {"secretRef": {"name": "absent", "optional": True}},
        ],
        "env": [{"name": "KEY", "valueFrom": {"secretKeyRef": {"name": "keys", "key": "k"}}}],
    }
    sources = {("ConfigMap", "settings"): {"a": b"1"}, ("Secret", "keys"): {"k": b"s"}}
    assert container_environment(POD, container, {}, sources) == {"P_a": "1", "KEY": "s"}


def test_a_missing_key_keeps_the_container_waiting_and_is_named() -> None:
    container = {"env": [{"name": "KEY", "valueFrom": {"secretKeyRef": {"name": "keys", "key": "k"}}}]}
    with pytest.raises(ContainerWaitingError, match="key k of Secret keys not found"):
        container_environment(POD, container, {}, {})


@pytest.mark.parametrize(
    ("resource", "divisor", "value"),
    [
        ("limits.cpu", "1", "2"),
        ("limits.cpu", "1m", "1500"),
        ("limits.memory", "1Mi", "64"),
        ("requests.cpu", "1", "0"),
    ],
)
def test_resources_are_told_in_their_divisor_and_rounded_up(resource: str, divisor: str, value: str) -> None:
    container = {"resources": {"limits": {"cpu": "1500m", "memory": "64Mi"}}}
    assert resource_value(container, {"resource": resource, "divisor": divisor}) == value


@pytest.mark.parametrize(
    ("reference", "repository"),
    [
        ("busybox", "busybox"),
        ("busybox:1.36", "busybox"),
        ("localhost:5000/acme/app:v1", "localhost:5000/acme/app"),
        ("ghcr.io/acme/app:v1@sha256:00", "ghcr.io/acme/app"),
    ],
)
def test_the_repository_is_the_reference_without_tag_and_digest(reference: str, repository: str) -> None:
    assert repository_of(reference) == repository


def test_the_longest_fitting_tail_of_a_repository_names_the_image() -> None:
    images = {"app": Image(("a",)), "acme/app": Image(("b",))}
    assert find_image("ghcr.io/acme/app:v1", images).entrypoint == ("b",)
    assert find_image("ghcr.io/other/app:v1", images).entrypoint == ("a",)
    with pytest.raises(ContainerWaitingError, match="known: acme/app, app"):
        find_image("ghcr.io/acme/happ", images)


def test_a_pod_whose_containers_never_ran_has_not_succeeded() -> None:
    assert pod_phase([], [ContainerRecord("a", "image", final=True)]) == "Failed"
    assert pod_phase([ContainerRecord("i", "image", final=True)], [ContainerRecord("a", "image")]) == "Failed"
