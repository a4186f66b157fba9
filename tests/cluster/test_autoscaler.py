"""spec.minReplicas of the fleet's autoscaler, on the real API server."""

from __future__ import annotations

import json
from collections.abc import AsyncIterator
from typing import Any

import pytest

from replay_operator.cluster.autoscaler import FloorOutcome, set_floor
from replay_operator.cluster.gateway import KubernetesGateway
from replay_operator.cluster.resources import AUTOSCALERS
from tests.testbed.audit import AuditRecord, audit_log_size, audit_records
from tests.testbed.controlplane import ControlPlane

pytestmark = pytest.mark.cluster

NAME = "livekit-egress"

Json = dict[str, Any]


@pytest.fixture
async def gateway(control_plane: ControlPlane) -> AsyncIterator[KubernetesGateway]:
    connected = await KubernetesGateway.connect(control_plane.kubeconfig)
    yield connected
    await connected.close()


def autoscaler(**spec: Any) -> str:
    body = {
        "apiVersion": AUTOSCALERS.api_version,
        "kind": AUTOSCALERS.kind,
        "metadata": {"name": NAME},
        "spec": {
            "scaleTargetRef": {"apiVersion": "apps/v1", "kind": "Deployment", "name": NAME},
            "maxReplicas": 20,
        }
        | spec,
    }
    return json.dumps(body)


def git_applies(control_plane: ControlPlane, namespace: str, **spec: Any) -> None:
    flags = ("--server-side", "--field-manager=git", "-n", namespace, "-f", "-")
    control_plane.kubectl("apply", *flags, input=autoscaler(**spec))


async def stored(gateway: KubernetesGateway, namespace: str) -> Json:
    found = await gateway.get(AUTOSCALERS, namespace, NAME)
    assert found is not None
    return found


def owners_of_the_floor(body: Json) -> set[tuple[str, str]]:
    return {
        (entry["manager"], entry["operation"])
        for entry in body["metadata"]["managedFields"]
        if "f:minReplicas" in entry["fieldsV1"].get("f:spec", {})
    }


def writes_since(control_plane: ControlPlane, offset: int, namespace: str) -> list[AuditRecord]:
    control_plane.flush_audit_log()
    return [
        record
        for record in audit_records(control_plane.audit_log, offset=offset)
        if record.is_write
        and (record.namespace, record.resource) == (namespace, AUTOSCALERS.plural)
        and record.user == "admin"  # the autoscaler's own controller writes its status
    ]


@pytest.mark.parametrize("made_by", ["create", "client-side apply", "server-side apply"])
async def test_the_default_floor_is_taken_over_however_the_autoscaler_was_made(
    control_plane: ControlPlane, gateway: KubernetesGateway, namespace: str, made_by: str
) -> None:
    if made_by == "server-side apply":
        git_applies(control_plane, namespace)
    else:
        verb = "create" if made_by == "create" else "apply"
        control_plane.kubectl(verb, "-n", namespace, "-f", "-", input=autoscaler())
    assert (await stored(gateway, namespace))["spec"]["minReplicas"] == 1

    assert (await set_floor(gateway, namespace, NAME, 3)).outcome is FloorOutcome.SET
    after = await stored(gateway, namespace)
    assert after["spec"]["minReplicas"] == 3
    assert ("replay-operator", "Apply") in owners_of_the_floor(after)


async def test_a_floor_that_git_declares_is_left_alone(
    control_plane: ControlPlane, gateway: KubernetesGateway, namespace: str
) -> None:
    git_applies(control_plane, namespace, minReplicas=5)
    before = await stored(gateway, namespace)
    control_plane.flush_audit_log()
    offset = audit_log_size(control_plane.audit_log)
    assert (await set_floor(gateway, namespace, NAME, 3)).outcome is FloorOutcome.HANDS_OFF
    assert writes_since(control_plane, offset, namespace) == []
    after = await stored(gateway, namespace)
    assert after["spec"] == before["spec"]
    assert owners_of_the_floor(after) == {("git", "Apply")}


async def test_a_floor_that_a_client_side_apply_declares_is_left_alone(
    control_plane: ControlPlane, gateway: KubernetesGateway, namespace: str
) -> None:
    control_plane.kubectl("apply", "-n", namespace, "-f", "-", input=autoscaler(minReplicas=5))
    report = await set_floor(gateway, namespace, NAME, 3)
    assert (report.outcome, report.declared_by) == (FloorOutcome.HANDS_OFF, "kubectl apply")
    assert (await stored(gateway, namespace))["spec"]["minReplicas"] == 5


async def test_a_floor_that_may_not_be_lowered_is_only_raised(
    control_plane: ControlPlane, gateway: KubernetesGateway, namespace: str
) -> None:
    git_applies(control_plane, namespace)
    await set_floor(gateway, namespace, NAME, 4)
    lowered = await set_floor(gateway, namespace, NAME, 3, may_lower=False)
    assert lowered.outcome is FloorOutcome.UNCHANGED
    raised = await set_floor(gateway, namespace, NAME, 5, may_lower=False)
    assert raised.outcome is FloorOutcome.SET
    assert (await stored(gateway, namespace))["spec"]["minReplicas"] == 5


async def test_a_floor_that_is_right_already_costs_no_write(
    control_plane: ControlPlane, gateway: KubernetesGateway, namespace: str
) -> None:
    git_applies(control_plane, namespace)
    await set_floor(gateway, namespace, NAME, 3)
    control_plane.flush_audit_log()
    offset = audit_log_size(control_plane.audit_log)
    for _ in range(5):
        assert (await set_floor(gateway, namespace, NAME, 3)).outcome is FloorOutcome.UNCHANGED
    assert writes_since(control_plane, offset, namespace) == []
    assert (await set_floor(gateway, namespace, NAME, 4)).outcome is FloorOutcome.SET
    assert len(writes_since(control_plane, offset, namespace)) == 1


async def test_the_floor_is_the_only_field_that_is_ours(
    control_plane: ControlPlane, gateway: KubernetesGateway, namespace: str
) -> None:
    git_applies(control_plane, namespace, metrics=[cpu(70)])
    await set_floor(gateway, namespace, NAME, 3)
    await set_floor(gateway, namespace, NAME, 4)
    fields = {
        entry["manager"]: entry["fieldsV1"]
        for entry in (await stored(gateway, namespace))["metadata"]["managedFields"]
        if entry["operation"] == "Apply"
    }
    assert fields["replay-operator"] == {"f:spec": {"f:minReplicas": {}}}
    assert {"f:maxReplicas", "f:metrics", "f:scaleTargetRef"} <= fields["git"]["f:spec"].keys()


async def test_git_may_go_on_applying_what_is_its_own(
    control_plane: ControlPlane, gateway: KubernetesGateway, namespace: str
) -> None:
    git_applies(control_plane, namespace, metrics=[cpu(70)])
    await set_floor(gateway, namespace, NAME, 3)
    git_applies(control_plane, namespace, metrics=[cpu(60)], maxReplicas=30)
    spec = (await stored(gateway, namespace))["spec"]
    assert (spec["minReplicas"], spec["maxReplicas"]) == (3, 30)
    assert (await set_floor(gateway, namespace, NAME, 3)).outcome is FloorOutcome.UNCHANGED


async def test_an_autoscaler_that_is_not_there_is_not_made(
    gateway: KubernetesGateway, namespace: str
) -> None:
    assert (await set_floor(gateway, namespace, NAME, 3)).outcome is FloorOutcome.ABSENT
    assert await gateway.get(AUTOSCALERS, namespace, NAME) is None


async def test_a_floor_above_the_autoscalers_own_maximum_is_cut_to_it(
    control_plane: ControlPlane, gateway: KubernetesGateway, namespace: str
) -> None:
    git_applies(control_plane, namespace, maxReplicas=2)
    assert (await set_floor(gateway, namespace, NAME, 3)).outcome is FloorOutcome.SET
    found = await gateway.get(AUTOSCALERS, namespace, NAME) or {}
    assert found["spec"]["minReplicas"] == 2
    assert (await set_floor(gateway, namespace, NAME, 3)).outcome is FloorOutcome.UNCHANGED


def cpu(percent: int) -> Json:
    target = {"type": "Utilization", "averageUtilization": percent}
    return {"type": "Resource", "resource": {"name": "cpu", "target": target}}
