"""The one door to the Kubernetes API, against the real API server."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator
from contextlib import suppress
from pathlib import Path
from typing import Any

import pytest
import yaml

from replay_operator.api.replaybuffer import ReplayBuffer, ReplayBufferStatus
from replay_operator.api.replaycapture import ReplayCapture
from replay_operator.cluster import gateway as gateway_module
from replay_operator.cluster.events import Event, EventType, post_event
from replay_operator.cluster.gateway import (
    ClusterError,
    ClusterUnreachable,
    Conflict,
    Forbidden,
    KubernetesGateway,
)
from replay_operator.cluster.jobs import job_body
from replay_operator.cluster.resources import BUFFERS, CAPTURES, CLAIMS, EVENTS, JOBS, ResourceType
from replay_operator.controller.store import ObjectStore
from replay_operator.controller.writer import StatusWriter
from tests.builders import NOW, buffer_body, capture
from tests.testbed.audit import audit_log_size, audit_records
from tests.testbed.controlplane import ControlPlane
from tests.testbed.ports import free_ports
from tests.unit.test_jobs import JOB_SETTINGS, REQUEST

pytestmark = [pytest.mark.cluster, pytest.mark.usefixtures("crds")]

Json = dict[str, Any]

CONFIG_MAPS = ResourceType("", "v1", "configmaps", "ConfigMap")
UNSERVED = ResourceType("replaybuffer.dev", "v9", "replaybuffers", "ReplayBuffer")


@pytest.fixture
async def gateway(control_plane: ControlPlane) -> AsyncIterator[KubernetesGateway]:
    connected = await KubernetesGateway.connect(control_plane.kubeconfig)
    yield connected
    await connected.close()


@pytest.fixture
async def guest(
    control_plane: ControlPlane, namespace: str, tmp_path: Path
) -> AsyncIterator[KubernetesGateway]:
    """A gateway with the token of a service account that has no rights."""
    control_plane.kubectl("create", "serviceaccount", "guest", "-n", namespace)
    token = control_plane.kubectl("create", "token", "guest", "-n", namespace).strip()
    connected = await KubernetesGateway.connect(_with_user(control_plane, tmp_path, {"token": token}))
    yield connected
    await connected.close()


def _with_user(
    control_plane: ControlPlane, directory: Path, user: Json, *, server: str | None = None
) -> Path:
    config = yaml.safe_load(control_plane.kubeconfig.read_text())
    config["users"] = [{"name": config["users"][0]["name"], "user": user}]
    if server is not None:
        config["clusters"][0]["cluster"]["server"] = server
    path = directory / "kubeconfig"
    path.write_text(json.dumps(config))
    return path


def a_buffer(name: str = "one", **spec: Any) -> Json:
    body = buffer_body(name=name, **spec)
    body["metadata"] = {"name": name}
    return body


def config_map(name: str, **labels: str) -> Json:
    return {
        "apiVersion": "v1",
        "kind": "ConfigMap",
        "metadata": {"name": name, "labels": labels},
        "data": {"key": "value"},
    }


async def test_what_does_not_exist_is_none(gateway: KubernetesGateway, namespace: str) -> None:
    assert await gateway.get(BUFFERS, namespace, "missing") is None
    assert await gateway.patch_status(BUFFERS, namespace, "missing", {"status": {}}) is None
    await gateway.delete(BUFFERS, namespace, "missing")


async def test_a_kind_that_is_not_installed_is_told_apart_from_one_without_objects(
    gateway: KubernetesGateway, namespace: str
) -> None:
    assert await gateway.exists(CAPTURES, namespace)
    assert not await gateway.exists(UNSERVED, namespace)
    with pytest.raises(ClusterError, match="does not know the object or its type") as missing:
        await gateway.create(UNSERVED, namespace, a_buffer() | {"apiVersion": UNSERVED.api_version})
    assert missing.value.code == 404


async def test_what_was_created_is_read_back(gateway: KubernetesGateway, namespace: str) -> None:
    created = await gateway.create(BUFFERS, namespace, a_buffer())
    assert created["spec"]["windowSeconds"] == 600, "the answer holds the server's defaults"
    assert await gateway.get(BUFFERS, namespace, "one") == created


async def test_a_name_that_is_taken_is_a_conflict(gateway: KubernetesGateway, namespace: str) -> None:
    await gateway.create(CONFIG_MAPS, namespace, config_map("one"))
    with pytest.raises(Conflict, match='"one" already exists') as conflict:
        await gateway.create(CONFIG_MAPS, namespace, config_map("one"))
    assert conflict.value.code == 409


async def test_what_admission_refuses_is_an_error_with_the_servers_words(
    gateway: KubernetesGateway, namespace: str
) -> None:
    with pytest.raises(ClusterError, match="windowSeconds must hold at least three segments") as refused:
        await gateway.create(BUFFERS, namespace, a_buffer(windowSeconds=30, segmentSeconds=15))
    assert refused.value.code == 422
    assert not isinstance(refused.value, Conflict | Forbidden | ClusterUnreachable)


async def test_a_right_that_is_missing_is_named(guest: KubernetesGateway, namespace: str) -> None:
    with pytest.raises(Forbidden, match=r"serviceaccount:.*:guest.* cannot get resource") as forbidden:
        await guest.get(CLAIMS, namespace, "replay-buffers")
    assert forbidden.value.code == 403


async def test_an_object_is_read_by_its_name_with_the_right_to_list_alone(
    control_plane: ControlPlane, gateway: KubernetesGateway, guest: KubernetesGateway, namespace: str
) -> None:
    wanted = await gateway.create(BUFFERS, namespace, a_buffer("one"))
    for neighbour in ("on", "one-more", "a-one"):
        await gateway.create(BUFFERS, namespace, a_buffer(neighbour))
    rights = ["--verb=list", "--resource=replaybuffers.replaybuffer.dev"]
    control_plane.kubectl("create", "role", "lister", "-n", namespace, *rights)
    account = f"--serviceaccount={namespace}:guest"
    control_plane.kubectl("create", "rolebinding", "lister", "-n", namespace, "--role=lister", account)

    with pytest.raises(Forbidden):
        await guest.get(BUFFERS, namespace, "one")
    found = await _once_it_may(guest, namespace, "one")

    assert found == wanted
    assert await guest.named(BUFFERS, namespace, "missing") is None
    with pytest.raises(Forbidden, match="cannot list resource"):
        await guest.named(CAPTURES, namespace, "one")


async def _once_it_may(guest: KubernetesGateway, namespace: str, name: str) -> Json | None:
    """Read a buffer; the API server hears of a new right by a watch of its own."""
    async with asyncio.timeout(10):
        while True:
            with suppress(Forbidden):
                return await guest.named(BUFFERS, namespace, name)
            await asyncio.sleep(0.05)


async def test_a_token_that_is_not_valid_is_forbidden_and_never_told(
    control_plane: ControlPlane, namespace: str, tmp_path: Path
) -> None:
    stranger = await KubernetesGateway.connect(_with_user(control_plane, tmp_path, {"token": "wr0ng-t0ken"}))
    try:
        with pytest.raises(Forbidden) as forbidden:
            await stranger.get(CLAIMS, namespace, "replay-buffers")
    finally:
        await stranger.close()
    assert forbidden.value.code == 401
    assert "wr0ng" not in str(forbidden.value)


async def test_an_api_server_that_is_away_is_unreachable_without_a_code(
    control_plane: ControlPlane, namespace: str, tmp_path: Path
) -> None:
    (port,) = free_ports(1)
    path = _with_user(control_plane, tmp_path, {}, server=f"https://127.0.0.1:{port}")
    gone = await KubernetesGateway.connect(path)
    try:
        with pytest.raises(ClusterUnreachable, match=f"GET .*{namespace}.*did not answer") as unreachable:
            await gone.get(CLAIMS, namespace, "replay-buffers")
    finally:
        await gone.close()
    assert unreachable.value.code == 0


async def test_a_long_list_comes_in_pages(
    control_plane: ControlPlane, gateway: KubernetesGateway, namespace: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(gateway_module, "_PAGE", 2)
    for number in range(5):
        label = {"odd": str(number % 2)}
        await gateway.create(CONFIG_MAPS, namespace, config_map(f"map-{number}", **label))
    offset = audit_log_size(control_plane.audit_log)
    found = await gateway.list(CONFIG_MAPS, namespace, labels="odd")
    control_plane.flush_audit_log()
    pages = [
        record
        for record in audit_records(control_plane.audit_log, offset=offset)
        if (record.verb, record.resource, record.namespace) == ("list", "configmaps", namespace)
        and "labelSelector=odd" in record.request_uri
    ]
    assert sorted(body["metadata"]["name"] for body in found) == [f"map-{number}" for number in range(5)]
    assert len(pages) == 3


async def test_a_list_holds_only_what_its_labels_select(gateway: KubernetesGateway, namespace: str) -> None:
    for name, odd in (("one", "yes"), ("two", "no")):
        await gateway.create(CONFIG_MAPS, namespace, config_map(name, odd=odd))
    found = await gateway.list(CONFIG_MAPS, namespace, labels="odd=yes")
    assert [body["metadata"]["name"] for body in found] == ["one"]
    assert await gateway.list(CONFIG_MAPS, namespace, labels="odd=perhaps") == ()


async def test_a_status_reaches_neither_a_namesake_nor_an_object_that_has_changed(
    control_plane: ControlPlane, gateway: KubernetesGateway, namespace: str
) -> None:
    """The API server ignores a uid in a patch of a custom resource's status: only the version guards."""
    buffers, captures = ObjectStore(ReplayBuffer), ObjectStore(ReplayCapture)
    writer = StatusWriter(gateway, buffers, captures, lambda: NOW)
    status = ReplayBufferStatus(observed_generation=1)
    old = buffers.put(await gateway.create(BUFFERS, namespace, a_buffer()))
    await gateway.delete(BUFFERS, namespace, "one")
    buffers.put(await gateway.create(BUFFERS, namespace, a_buffer()))
    with pytest.raises(Conflict):
        await writer.write_buffer(old, status)

    namesake = buffers.by_name("one")
    assert namesake is not None
    control_plane.kubectl("label", "replaybuffer", "one", "-n", namespace, "changed=yes")
    with pytest.raises(Conflict):
        await writer.write_buffer(namesake, status)

    found = await gateway.get(BUFFERS, namespace, "one")
    assert found is not None
    assert "status" not in found
    buffers.drop(old.metadata.uid)
    written = await writer.write_buffer(buffers.put(found), status)
    assert written.status == status
    again = await writer.write_buffer(written, ReplayBufferStatus(observed_generation=2))
    assert again.status.observed_generation == 2, "the answer to a write holds the version for the next one"


async def test_a_status_patch_changes_nothing_but_the_status(
    control_plane: ControlPlane, gateway: KubernetesGateway, namespace: str
) -> None:
    created = await gateway.create(BUFFERS, namespace, a_buffer())
    control_plane.flush_audit_log()
    offset = audit_log_size(control_plane.audit_log)
    patch = {"status": {"observedGeneration": 1, "segmentSeconds": 6}, "spec": {"suspend": True}}
    patched = await gateway.patch_status(BUFFERS, namespace, "one", patch)
    assert patched is not None
    assert patched["spec"] == created["spec"]
    assert patched["status"] == {"observedGeneration": 1, "segmentSeconds": 6}
    control_plane.flush_audit_log()
    writes = [r for r in audit_records(control_plane.audit_log, offset=offset) if r.namespace == namespace]
    assert [(r.verb, r.subresource) for r in writes if r.is_write] == [("patch", "status")]
    owners = {entry["manager"] for entry in patched["metadata"]["managedFields"] if "subresource" in entry}
    assert owners == {"replay-operator"}


async def test_a_field_of_another_applier_is_a_conflict_unless_it_is_taken_over(
    control_plane: ControlPlane, gateway: KubernetesGateway, namespace: str
) -> None:
    theirs = config_map("one")
    flags = ("--server-side", "--field-manager=git", "-n", namespace, "-f", "-")
    control_plane.kubectl("apply", *flags, input=json.dumps(theirs))
    ours = theirs | {"data": {"key": "ours"}}
    with pytest.raises(Conflict, match="git"):
        await gateway.apply(CONFIG_MAPS, namespace, "one", ours, force=False)
    taken = await gateway.apply(CONFIG_MAPS, namespace, "one", ours, force=True)
    assert taken["data"] == {"key": "ours"}


async def test_replacing_a_version_that_has_passed_is_a_conflict(
    gateway: KubernetesGateway, namespace: str
) -> None:
    first = await gateway.create(CONFIG_MAPS, namespace, config_map("one"))
    await gateway.replace(CONFIG_MAPS, namespace, "one", first | {"data": {"key": "newer"}})
    with pytest.raises(Conflict):
        await gateway.replace(CONFIG_MAPS, namespace, "one", first | {"data": {"key": "older"}})


async def test_what_was_deleted_is_gone(gateway: KubernetesGateway, namespace: str) -> None:
    await gateway.create(CONFIG_MAPS, namespace, config_map("one"))
    await gateway.delete(CONFIG_MAPS, namespace, "one")
    assert await gateway.get(CONFIG_MAPS, namespace, "one") is None


async def test_a_capture_job_is_taken_as_it_is_built_where_pods_must_be_restricted(
    control_plane: ControlPlane, gateway: KubernetesGateway, namespace: str
) -> None:
    labels = [f"pod-security.kubernetes.io/{mode}=restricted" for mode in ("enforce", "warn")]
    control_plane.kubectl("label", "namespace", namespace, *labels)
    body = job_body(capture().metadata, REQUEST, JOB_SETTINGS)
    strict = ("--dry-run=server", "--validate=strict", "--warnings-as-errors")
    control_plane.kubectl("create", "-n", namespace, *strict, "-f", "-", input=json.dumps(body))
    created = await gateway.create(JOBS, namespace, body)
    assert created["spec"]["template"]["spec"]["initContainers"][0]["args"][0] == "capture"


async def test_the_same_news_told_twice_is_one_event(gateway: KubernetesGateway, namespace: str) -> None:
    created = await gateway.create(BUFFERS, namespace, a_buffer())
    meta = ReplayBuffer.model_validate(created).metadata
    for _ in range(2):
        await post_event(gateway, Event(EventType.NORMAL, "Recording", "It runs."), BUFFERS, meta, NOW)
    (event,) = await gateway.list(EVENTS, namespace)
    assert (event["reason"], event["involvedObject"]["uid"]) == ("Recording", meta.uid)


async def test_each_call_is_told_with_its_outcome_and_one_without_an_answer_as_zero(
    control_plane: ControlPlane, tmp_path: Path
) -> None:
    told: list[tuple[str, str, int]] = []
    (port,) = free_ports(1)
    nowhere = _with_user(control_plane, tmp_path, {}, server=f"https://127.0.0.1:{port}")
    for kubeconfig in (control_plane.kubeconfig, nowhere):
        gateway = await KubernetesGateway.connect(
            kubeconfig, lambda method, resource, code, _: told.append((method, resource, code))
        )
        with suppress(ClusterUnreachable):
            await gateway.get(CLAIMS, "default", "nobody")
        await gateway.close()
    assert told == [("GET", "persistentvolumeclaims", 404), ("GET", "persistentvolumeclaims", 0)]
