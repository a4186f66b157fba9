"""The end of captures on the real API server: finalizer, preconditions, Jobs that go, what is stored."""

from __future__ import annotations

import asyncio
import json
import subprocess
import sys
import time
from collections.abc import AsyncIterator, Callable
from dataclasses import replace
from typing import Any

import pytest

from replay_operator.api.meta import ConditionStatus, find_condition, set_condition
from replay_operator.api.replaybuffer import ReplayBuffer
from replay_operator.api.replaycapture import (
    CaptureSource,
    Notification,
    NotificationState,
    ReplayCapture,
)
from replay_operator.cli.capture_room import MOMENT_LABEL
from replay_operator.cluster.gateway import Conflict, KubernetesGateway
from replay_operator.cluster.jobs import expire_job, job_body
from replay_operator.cluster.kubeconfig import current_namespace
from replay_operator.cluster.resources import BUFFERS, CAPTURES, JOBS, PODS
from replay_operator.controller.store import ObjectStore
from replay_operator.controller.writer import StatusWriter
from replay_operator.domain.capture_end import FINALIZER
from tests.builders import BUFFER_UID, NOW, buffer_body, capture_body
from tests.testbed.controlplane import ControlPlane
from tests.unit.test_jobs import JOB_SETTINGS, REQUEST

pytestmark = [pytest.mark.cluster, pytest.mark.usefixtures("crds")]

Json = dict[str, Any]
DEADLINE_SECONDS = 60.0


@pytest.fixture
async def gateway(control_plane: ControlPlane) -> AsyncIterator[KubernetesGateway]:
    connected = await KubernetesGateway.connect(control_plane.kubeconfig)
    yield connected
    await connected.close()


async def make_capture(gateway: KubernetesGateway, namespace: str, **meta: Any) -> ReplayCapture:
    body = capture_body(deletionPolicy="Delete")
    body["metadata"] = {"name": "goal", **meta}
    return ReplayCapture.model_validate(await gateway.create(CAPTURES, namespace, body))


def eventually(what: str, look: Callable[[], bool]) -> None:
    deadline = time.monotonic() + DEADLINE_SECONDS
    while not look():
        assert time.monotonic() < deadline, f"{what} did not happen"
        time.sleep(0.2)


@pytest.fixture
def job_account(control_plane: ControlPlane, namespace: str) -> str:
    """The account of the Jobs' pods, without which none is made."""
    control_plane.kubectl("create", "serviceaccount", JOB_SETTINGS.service_account, "-n", namespace)
    return JOB_SETTINGS.service_account


def names(control_plane: ControlPlane, namespace: str, kind: str) -> list[str]:
    return control_plane.kubectl("get", kind, "-n", namespace, "-o", "name").split()


async def test_a_capture_with_our_finalizer_goes_when_we_take_it_off(
    gateway: KubernetesGateway, namespace: str
) -> None:
    made = await make_capture(gateway, namespace)
    meta = made.metadata
    body = {"metadata": {"resourceVersion": meta.resource_version, "finalizers": [FINALIZER]}}
    held = await gateway.patch(CAPTURES, namespace, "goal", body)
    assert held is not None
    with pytest.raises(Conflict):
        await gateway.patch(CAPTURES, namespace, "goal", body)

    await gateway.delete(CAPTURES, namespace, "goal")
    waiting = await gateway.get(CAPTURES, namespace, "goal")
    assert waiting is not None
    seen = ReplayCapture.model_validate(waiting).metadata
    assert seen.deletion_timestamp is not None
    assert seen.finalizers == (FINALIZER,)
    await gateway.patch(
        CAPTURES,
        namespace,
        "goal",
        {"metadata": {"resourceVersion": seen.resource_version, "finalizers": []}},
    )
    assert await gateway.get(CAPTURES, namespace, "goal") is None
    assert await gateway.patch(CAPTURES, namespace, "goal", {"metadata": {"finalizers": []}}) is None


async def test_whoever_is_being_deleted_may_still_change_the_deletion_policy(
    control_plane: ControlPlane, gateway: KubernetesGateway, namespace: str
) -> None:
    await make_capture(gateway, namespace, finalizers=[FINALIZER])
    await gateway.delete(CAPTURES, namespace, "goal")
    change = json.dumps({"spec": {"deletionPolicy": "Retain"}})
    control_plane.kubectl("patch", "rcap", "goal", "-n", namespace, "--type=merge", "-p", change)
    found = await gateway.get(CAPTURES, namespace, "goal")
    assert found is not None
    assert found["spec"]["deletionPolicy"] == "Retain"
    await gateway.patch(CAPTURES, namespace, "goal", {"metadata": {"finalizers": []}})


async def test_expiry_deletes_neither_a_changed_capture_nor_a_namesake(
    control_plane: ControlPlane, gateway: KubernetesGateway, namespace: str
) -> None:
    first = await make_capture(gateway, namespace)
    control_plane.kubectl("label", "rcap", "goal", "-n", namespace, "changed=yes")
    with pytest.raises(Conflict):
        await gateway.delete(CAPTURES, namespace, "goal", meta=first.metadata)
    await gateway.delete(CAPTURES, namespace, "goal")
    namesake = await make_capture(gateway, namespace)
    with pytest.raises(Conflict):
        await gateway.delete(CAPTURES, namespace, "goal", meta=first.metadata)
    await gateway.delete(CAPTURES, namespace, "goal", meta=namesake.metadata)
    assert await gateway.get(CAPTURES, namespace, "goal") is None
    await gateway.delete(CAPTURES, namespace, "goal", meta=namesake.metadata)


@pytest.mark.usefixtures("job_account")
async def test_a_running_job_goes_with_its_capture(
    control_plane: ControlPlane, gateway: KubernetesGateway, namespace: str
) -> None:
    made = await make_capture(gateway, namespace)
    await gateway.create(JOBS, namespace, job_body(made.metadata, REQUEST, JOB_SETTINGS))
    eventually("a pod of the Job", lambda: bool(names(control_plane, namespace, "pods")))
    await gateway.delete(CAPTURES, namespace, "goal")
    eventually("the end of the Job", lambda: not names(control_plane, namespace, "jobs"))
    eventually("the end of its pod", lambda: not names(control_plane, namespace, "pods"))


@pytest.mark.usefixtures("job_account")
async def test_a_job_that_is_deleted_after_its_pods_is_there_as_long_as_they_are(
    control_plane: ControlPlane, gateway: KubernetesGateway, namespace: str
) -> None:
    made = await make_capture(gateway, namespace)
    job = await gateway.create(JOBS, namespace, job_body(made.metadata, REQUEST, JOB_SETTINGS))
    eventually("a pod of the Job", lambda: bool(names(control_plane, namespace, "pods")))
    (pod,) = await gateway.list(PODS, namespace)
    hold = {"metadata": {"finalizers": [*pod["metadata"].get("finalizers", []), "replaybuffer.dev/test"]}}
    await gateway.patch(PODS, namespace, pod["metadata"]["name"], hold)
    await gateway.delete(JOBS, namespace, job["metadata"]["name"], dependents_first=True)
    eventually(
        "the deletion of the pod",
        lambda: "deletionTimestamp" in control_plane.kubectl("get", "pods", "-n", namespace, "-o", "yaml"),
    )
    still = await gateway.get(JOBS, namespace, job["metadata"]["name"])
    assert still is not None
    assert "deletionTimestamp" in still["metadata"]
    await gateway.patch(PODS, namespace, pod["metadata"]["name"], {"metadata": {"finalizers": []}})
    eventually("the end of the Job", lambda: not names(control_plane, namespace, "jobs"))


async def test_a_finished_job_can_be_given_a_time_to_live(gateway: KubernetesGateway, namespace: str) -> None:
    made = await make_capture(gateway, namespace)
    job = await gateway.create(JOBS, namespace, job_body(made.metadata, REQUEST, JOB_SETTINGS))
    kept = await expire_job(gateway, namespace, job["metadata"]["name"], 60)
    assert kept is not None
    assert kept["spec"]["ttlSecondsAfterFinished"] == 60
    assert await expire_job(gateway, namespace, "missing", 60) is None


async def test_a_job_with_priority_and_nodes_is_taken_as_it_is_built(
    control_plane: ControlPlane, gateway: KubernetesGateway, namespace: str
) -> None:
    control_plane.kubectl("create", "priorityclass", f"media-{namespace}", "--value=10")
    made = await make_capture(gateway, namespace)
    settings = replace(
        JOB_SETTINGS,
        priority_class=f"media-{namespace}",
        node_labels=(("disk", "fast"), ("pool", "media")),
        beside_agent=True,
    )
    body = job_body(made.metadata, REQUEST, settings)
    strict = ("--dry-run=server", "--validate=strict", "--warnings-as-errors")
    control_plane.kubectl("create", "-n", namespace, *strict, "-f", "-", input=json.dumps(body))
    control_plane.kubectl("delete", "priorityclass", f"media-{namespace}")


async def test_nothing_that_the_status_of_a_capture_says_is_pruned(
    gateway: KubernetesGateway, namespace: str
) -> None:
    captures = ObjectStore(ReplayCapture)
    await make_capture(gateway, namespace)
    body = await gateway.get(CAPTURES, namespace, "goal")
    assert body is not None
    made = captures.put(body)
    conditions = set_condition(
        (), "TTLExpired", ConditionStatus.TRUE, reason="TTLHeld", message="m", generation=1, now=NOW
    )
    status = made.status.model_copy(
        update={
            "conditions": conditions,
            "source": CaptureSource(buffer_uid=BUFFER_UID, path="team/b", owner="user-42", room="standup"),
            "notification": Notification(state=NotificationState.DELIVERED),
        }
    )
    writer = StatusWriter(gateway, ObjectStore(ReplayBuffer), captures, lambda: NOW)
    written = await writer.write_capture(made, status)
    assert written.status == status
    assert find_condition(written.status.conditions, "TTLExpired") is not None


async def test_capture_room_makes_what_the_api_server_takes(
    control_plane: ControlPlane, gateway: KubernetesGateway, namespace: str
) -> None:
    for name in ("alice-screen", "bob-screen"):
        body = buffer_body(name=name)
        body["metadata"] = {"name": name}
        await gateway.create(BUFFERS, namespace, body)
    command = [sys.executable, "-m", "replay_operator", "capture-room", "standup", "--last", "60"]
    command += ["--name", "goal", "-n", namespace, "--kubeconfig", str(control_plane.kubeconfig)]
    done = await asyncio.to_thread(
        subprocess.run, command, capture_output=True, text=True, check=False, timeout=60
    )
    assert (done.returncode, done.stdout.split()) == (0, ["goal-alice-screen", "goal-bob-screen"]), (
        done.stderr
    )
    found = await gateway.list(CAPTURES, namespace, labels=f"{MOMENT_LABEL}=goal")
    ranges = [ReplayCapture.model_validate(body).spec.range for body in found]
    assert len(ranges) == 2
    assert ranges[0] == ranges[1]


def test_the_namespace_is_that_of_the_current_context(control_plane: ControlPlane) -> None:
    assert current_namespace(control_plane.kubeconfig) == "default"
