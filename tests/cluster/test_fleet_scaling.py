"""From buffers to workers: the whole operator, the real autoscaler controller, and no metrics server."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import yaml

from tests.cluster.small_install import SMALL, SmallInstall
from tests.testbed.audit import AuditRecord, audit_log_size, audit_records
from tests.waiting import until

pytestmark = [pytest.mark.cluster, pytest.mark.usefixtures("crds")]

BASE = Path(__file__).parents[2] / "manifests" / "base"
FLEET = "livekit-egress"
BUFFERS = 100
AUTOSCALER_USER = "system:serviceaccount:kube-system:horizontal-pod-autoscaler"
LOOKS = 4
"""How often the real controller looks at the fleet before we believe that it leaves it alone."""

GIT_SECONDS = 20

Json = dict[str, Any]


def autoscaler() -> Json:
    """As it is in manifests/base: without minReplicas."""
    body: Json = yaml.safe_load((BASE / "autoscaler.yaml").read_text())
    assert "minReplicas" not in body["spec"]
    return body


def fleet() -> Json:
    """A Deployment like the fleet's: no node is here to run its pods, which is no matter."""
    labels = {"app.kubernetes.io/name": FLEET}
    container = {"name": "egress", "image": "none", "resources": {"requests": {"cpu": "2", "memory": "2Gi"}}}
    return {
        "apiVersion": "apps/v1",
        "kind": "Deployment",
        "metadata": {"name": FLEET},
        "spec": {
            "selector": {"matchLabels": labels},
            "template": {"metadata": {"labels": labels}, "spec": {"containers": [container]}},
        },
    }


def claim(size: str) -> Json:
    return {
        "apiVersion": "v1",
        "kind": "PersistentVolumeClaim",
        "metadata": {"name": "replay-buffers"},
        "spec": {"accessModes": ["ReadWriteMany"], "resources": {"requests": {"storage": size}}},
    }


@pytest.fixture
def volume(install: SmallInstall) -> Iterator[None]:
    """A volume for the claim that Git declares; the real controller brings the two together."""
    name = f"volume-{install.namespace}"
    body = {
        "apiVersion": "v1",
        "kind": "PersistentVolume",
        "metadata": {"name": name},
        "spec": {
            "capacity": {"storage": "1Gi"},
            "accessModes": ["ReadWriteMany"],
            "claimRef": {"namespace": install.namespace, "name": "replay-buffers"},
            "hostPath": {"path": "/nowhere"},
        },
    }
    install.plane.kubectl("create", "-f", "-", input=json.dumps(body))
    yield
    install.plane.kubectl("delete", "pv", name, "--wait=false")


def buffer(number: int) -> Json:
    return {
        "apiVersion": "replaybuffer.dev/v1alpha1",
        "kind": "ReplayBuffer",
        "metadata": {"name": f"b{number}"},
        "spec": {
            "room": "standup",
            "source": {"participant": {"identity": "alice", "video": "ScreenShare"}},
            "windowSeconds": 60,
            "segmentSeconds": 15,
            "encoding": SMALL,
        },
    }


async def kubectl(install: SmallInstall, *arguments: str, objects: list[Json] | None = None) -> str:
    given = json.dumps({"apiVersion": "v1", "kind": "List", "items": objects}) if objects else None
    return await asyncio.to_thread(install.plane.kubectl, "-n", install.namespace, *arguments, input=given)


async def git_applies(install: SmallInstall, *objects: Json) -> None:
    """What a GitOps tool does, with the manager and the force that it uses."""
    flags = ("--server-side", "--force-conflicts", "--field-manager=argocd-controller", "-f", "-")
    await kubectl(install, "apply", *flags, objects=list(objects))


async def floor(install: SmallInstall) -> int:
    return int((await install.read("hpa", FLEET))["spec"]["minReplicas"])


async def workers(install: SmallInstall) -> int:
    return int((await install.read("deployment", FLEET))["spec"]["replicas"])


def records(install: SmallInstall, offset: int) -> list[AuditRecord]:
    install.plane.flush_audit_log()
    found = audit_records(install.plane.audit_log, offset=offset)
    return [record for record in found if record.namespace == install.namespace]


async def autoscaler_has_looked(install: SmallInstall, times: int) -> None:
    """The real controller has read the fleet's size so often since now."""
    offset = audit_log_size(install.plane.audit_log)

    def looks() -> bool:
        seen = [r for r in records(install, offset) if r.user == AUTOSCALER_USER and r.subresource == "scale"]
        return len(seen) >= times

    await until(f"{times} looks of the autoscaler", looks)


def operator_writes(found: list[AuditRecord]) -> list[str]:
    """What the operator has asked for but its Lease. Pods are a node stand-in's, if there is one."""
    return [
        f"{record.verb} {record.resource} {record.name}"
        for record in found
        if record.is_write
        and record.user == "admin"
        and not record.user_agent.startswith("kubectl")
        and record.resource not in {"leases", "pods", "serviceaccounts"}
    ]


async def test_the_fleet_follows_a_hundred_buffers_up_and_is_never_made_smaller_without_metrics(
    install: SmallInstall,
) -> None:
    install.start_agent()
    await git_applies(install, fleet(), autoscaler())
    await install.leading_operator(REPLAY_FLEET_LOWER_AFTER_SECONDS=5)

    async def floor_is(wanted: int) -> bool:
        return await floor(install) == wanted

    async def workers_are(wanted: int) -> bool:
        return await workers(install) == wanted

    await until("the least floor", lambda: floor_is(2))
    await until("two workers", lambda: workers_are(2))

    install.livekit.rooms.join("standup", "alice", ["SCREEN_SHARE"])
    await kubectl(install, "create", "-f", "-", objects=[buffer(number) for number in range(BUFFERS)])
    await until("the highest floor", lambda: floor_is(20))
    await until("twenty workers, without a metrics server", lambda: workers_are(20))

    await kubectl(install, "delete", "rb", "--all", "--wait=false")
    await until("the least floor again", lambda: floor_is(2))
    await autoscaler_has_looked(install, LOOKS)
    assert await workers(install) == 20, "without metrics it cannot know that fewer would do"
    (active,) = [
        c for c in (await install.read("hpa", FLEET))["status"]["conditions"] if c["type"] == "ScalingActive"
    ]
    assert (active["status"], active["reason"]) == ("False", "FailedGetResourceMetric")

    await git_applies(install, autoscaler() | {"spec": autoscaler()["spec"] | {"maxReplicas": 15}})
    await until("as many workers as there may be", lambda: workers_are(15))

    owned = {
        entry["manager"]: entry["fieldsV1"]
        for entry in (await install.read("hpa", FLEET, "--show-managed-fields"))["metadata"]["managedFields"]
        if entry["operation"] == "Apply"
    }
    assert owned["replay-operator"] == {"f:spec": {"f:minReplicas": {}}}
    assert owned["argocd-controller"]["f:spec"].keys() == {
        "f:behavior",
        "f:maxReplicas",
        "f:metrics",
        "f:scaleTargetRef",
    }


@pytest.mark.usefixtures("volume")
async def test_a_gitops_tool_that_applies_its_files_all_the_time_and_the_operator_do_not_fight(
    install: SmallInstall,
) -> None:
    install.start_agent()
    files = (fleet(), autoscaler(), claim("1Gi"))
    await git_applies(install, *files)
    install.livekit.rooms.join("standup", "alice", ["SCREEN_SHARE"])
    operator = await install.leading_operator(REPLAY_FLEET_HEADROOM=5, REPLAY_BUFFER_CLAIM_SIZE="2Gi")

    async def settled() -> bool:
        return await floor(install) == 5 and "is TooSmall" in operator.said()

    await until("an operator that has said what it wants", settled)
    offset = audit_log_size(install.plane.audit_log)
    began = asyncio.get_running_loop().time()
    applied = 0
    while asyncio.get_running_loop().time() - began < GIT_SECONDS or applied <= GIT_SECONDS // 4:
        await git_applies(install, *files)
        applied += 1
        await asyncio.sleep(1)
    found = records(install, offset)
    print(f"{applied} rounds of GitOps; the operator wrote {operator_writes(found)}")
    assert operator_writes(found) == []
    looked = [r for r in found if r.resource == "horizontalpodautoscalers" and r.verb == "get"]
    assert [r for r in looked if not r.user_agent.startswith("kubectl")], "it has looked meanwhile"
    assert await floor(install) == 5
    size = (await install.read("pvc", "replay-buffers"))["spec"]["resources"]["requests"]["storage"]
    assert size == "1Gi"
