"""The buffer volume's claim grows with the demand, on the real API server with the real volume binder.

The storage itself is played by the test: it makes the volume, and reports how its growth goes.
"""

from __future__ import annotations

import json
from collections.abc import AsyncIterator
from dataclasses import dataclass, field
from typing import Any

import pytest

from replay_operator.cluster.gateway import KubernetesGateway
from replay_operator.cluster.resources import CLAIMS, EVENTS
from replay_operator.controller.assembly import utc_now
from replay_operator.controller.claims import ClaimKeeper, ClaimSettings
from replay_operator.domain.claims import ClaimPlan, ClaimState
from replay_operator.domain.quantity import GIB
from replay_operator.metrics import OperatorMetrics
from tests.testbed.audit import audit_log_size, audit_records
from tests.testbed.controlplane import ControlPlane
from tests.waiting import until

pytestmark = pytest.mark.cluster

NAME = "replay-buffers"
PLAN = ClaimPlan(NAME, 20 * GIB, 200 * GIB, "ReadWriteMany", "REPLAY_BUFFER_CLAIM_MAX")

Json = dict[str, Any]


@dataclass
class Storage:
    """A storage class of the test's own, a claim, and what keeps it."""

    plane: ControlPlane
    gateway: KubernetesGateway
    namespace: str
    metrics: OperatorMetrics = field(default_factory=OperatorMetrics)

    def __post_init__(self) -> None:
        self.keeper = self.new_keeper()

    def new_keeper(self) -> ClaimKeeper:
        """What a restarted operator knows: nothing."""
        return ClaimKeeper(
            ClaimSettings(PLAN, self.name),
            namespace=self.namespace,
            gateway=self.gateway,
            metrics=self.metrics,
            clock=utc_now,
        )

    @property
    def name(self) -> str:
        """Of the class and of the volume, which belong to the cluster."""
        return f"fast-{self.namespace}"

    def create(self, body: Json, *, namespaced: bool = True) -> None:
        scope = ("-n", self.namespace) if namespaced else ()
        self.plane.kubectl("create", *scope, "-f", "-", input=json.dumps(body))

    def make_class(self, *, expands: bool) -> None:
        body = {
            "apiVersion": "storage.k8s.io/v1",
            "kind": "StorageClass",
            "metadata": {"name": self.name},
            "provisioner": "test.replaybuffer.dev/by-hand",
            "allowVolumeExpansion": expands,
        }
        self.create(body, namespaced=False)

    def make_volume(self) -> None:
        body = {
            "apiVersion": "v1",
            "kind": "PersistentVolume",
            "metadata": {"name": self.name},
            "spec": {
                "capacity": {"storage": "20Gi"},
                "accessModes": ["ReadWriteMany"],
                "storageClassName": self.name,
                "persistentVolumeReclaimPolicy": "Retain",
                "hostPath": {"path": "/nowhere"},
            },
        }
        self.create(body, namespaced=False)

    def remove(self) -> None:
        for kind in ("storageclass", "persistentvolume"):
            self.plane.kubectl("delete", kind, self.name, "--ignore-not-found", "--wait=false")

    async def claim(self) -> Json:
        found = await self.gateway.get(CLAIMS, self.namespace, NAME)
        assert found is not None
        return found

    async def requested(self) -> str:
        return str((await self.claim())["spec"]["resources"]["requests"]["storage"])

    async def bound(self) -> None:
        """The claim is made, a volume appears, and the real controller brings the two together."""
        await self.keeper.look(0)
        self.make_volume()
        await until("a bound claim", lambda: self.is_in_phase("Bound"))

    async def is_in_phase(self, phase: str) -> bool:
        return bool((await self.claim())["status"].get("phase") == phase)

    def make_quota(self, size: str) -> None:
        body = {
            "apiVersion": "v1",
            "kind": "ResourceQuota",
            "metadata": {"name": "storage"},
            "spec": {"hard": {"requests.storage": size}},
        }
        self.create(body)

    def has_quota(self) -> bool:
        """Whether the real controller has counted what there is."""
        found = self.plane.kubectl("get", "quota", "storage", "-n", self.namespace, "-o", "json")
        return "used" in json.loads(found).get("status", {})

    def reports(self, **status: Any) -> None:
        """The storage says how the growth goes."""
        patch = json.dumps({"status": status})
        self.plane.kubectl(
            "patch", "pvc", NAME, "-n", self.namespace, "--subresource=status", "--type=merge", "-p", patch
        )

    def state(self) -> ClaimState:
        """What the metric says."""
        value = self.metrics.registry.get_sample_value
        (now,) = [s for s in ClaimState if value("replay_claim_state", {"claim": NAME, "state": s}) == 1]
        return now

    async def events(self) -> list[Json]:
        found = await self.gateway.list(EVENTS, self.namespace)
        return [event for event in found if event.get("source", {}).get("component") == "replay-operator"]

    def operator_writes(self, offset: int) -> list[str]:
        """What was asked of the API server besides kubectl and the controllers."""
        self.plane.flush_audit_log()
        return [
            f"{record.verb} {record.resource}"
            for record in audit_records(self.plane.audit_log, offset=offset)
            if record.is_write
            and (record.namespace, record.user) == (self.namespace, "admin")
            and not record.user_agent.startswith("kubectl")
        ]


@pytest.fixture
async def storage(control_plane: ControlPlane, namespace: str) -> AsyncIterator[Storage]:
    gateway = await KubernetesGateway.connect(control_plane.kubeconfig)
    found = Storage(control_plane, gateway, namespace)
    yield found
    found.remove()
    await gateway.close()


def held(type_: str, message: str = "") -> Json:
    return {"type": type_, "status": "True", "message": message, "lastTransitionTime": None}


async def test_a_claim_grows_once_with_the_demand_and_each_step_of_the_storage_is_shown(
    storage: Storage,
) -> None:
    storage.make_class(expands=True)
    await storage.keeper.look(0)
    await storage.keeper.look(45 * GIB)
    assert (storage.state(), await storage.requested()) == (ClaimState.PENDING, "20Gi")
    assert "has no volume yet" in storage.keeper.why_no_volume()

    await storage.bound()
    offset = audit_log_size(storage.plane.audit_log)
    for _ in range(3):
        await storage.keeper.look(45 * GIB)
    assert (storage.state(), await storage.requested()) == (ClaimState.RESIZING, "50Gi")
    assert storage.keeper.why_no_volume() == ""

    storage.reports(conditions=[held("Resizing")])
    await storage.keeper.look(60 * GIB)
    assert storage.state() is ClaimState.RESIZING
    storage.reports(conditions=[held("FileSystemResizePending")])
    await storage.keeper.look(60 * GIB)
    assert storage.state() is ClaimState.FILE_SYSTEM_RESIZE_PENDING
    storage.reports(conditions=None, capacity={"storage": "50Gi"})
    await storage.keeper.look(60 * GIB)
    assert storage.state() is ClaimState.BOUND, "the next growth is minutes away"
    await storage.keeper.look(0)
    assert await storage.requested() == "50Gi", "it never shrinks"
    assert storage.operator_writes(offset) == ["patch persistentvolumeclaims"]
    assert await storage.events() == []


async def test_a_restart_remembers_when_the_claim_last_grew(storage: Storage) -> None:
    storage.make_class(expands=True)
    await storage.bound()
    await storage.keeper.look(25 * GIB)
    storage.reports(capacity={"storage": "30Gi"})
    offset = audit_log_size(storage.plane.audit_log)
    await storage.new_keeper().look(100 * GIB)
    assert storage.operator_writes(offset) == []
    assert await storage.requested() == "30Gi"


async def test_growing_changes_the_size_and_one_annotation_and_nothing_of_anybody_else(
    storage: Storage,
) -> None:
    storage.make_class(expands=True)
    await storage.bound()
    storage.plane.kubectl("annotate", "pvc", NAME, "-n", storage.namespace, "backup=nightly")
    before = await storage.claim()
    await storage.keeper.look(25 * GIB)
    after = await storage.claim()
    assert after["spec"] | {"resources": None} == before["spec"] | {"resources": None}
    assert after["metadata"]["annotations"].keys() - before["metadata"]["annotations"].keys() == {
        "replaybuffer.dev/grown-at"
    }
    assert after["metadata"]["annotations"]["backup"] == "nightly"
    owned = {entry["manager"]: entry["fieldsV1"] for entry in after["metadata"]["managedFields"]}
    assert "f:storage" in owned["replay-operator"]["f:spec"]["f:resources"]["f:requests"]
    annotated = next(fields for manager, fields in owned.items() if manager.startswith("kubectl"))
    assert "f:backup" in annotated["f:metadata"]["f:annotations"]


async def test_a_class_that_does_not_expand_is_told_once_on_the_claim(storage: Storage) -> None:
    storage.make_class(expands=False)
    await storage.bound()
    offset = audit_log_size(storage.plane.audit_log)
    for _ in range(3):
        await storage.keeper.look(45 * GIB)
    assert (storage.state(), await storage.requested()) == (ClaimState.GROWTH_REFUSED, "20Gi")
    (event,) = await storage.events()
    assert (event["type"], event["reason"]) == ("Warning", "GrowthRefused")
    assert event["involvedObject"]["uid"] == (await storage.claim())["metadata"]["uid"]
    assert "must support resize" in event["message"]
    assert sorted(storage.operator_writes(offset)) == ["create events", "patch persistentvolumeclaims"]


async def test_a_quota_that_is_used_up_is_told_with_the_api_servers_words(storage: Storage) -> None:
    storage.make_class(expands=True)
    await storage.bound()
    storage.make_quota("30Gi")
    await until("a quota that is in force", storage.has_quota)
    await storage.keeper.look(45 * GIB)
    assert storage.state() is ClaimState.GROWTH_REFUSED
    (event,) = await storage.events()
    assert "exceeded quota" in event["message"]
    assert await storage.requested() == "20Gi"


async def test_a_quota_that_leaves_no_room_for_the_claim_is_told(storage: Storage) -> None:
    storage.make_quota("1Gi")
    await until("a quota that is in force", storage.has_quota)
    await storage.keeper.look(0)
    assert storage.state() is ClaimState.CREATION_REFUSED
    assert "exceeded quota" in storage.keeper.why_no_volume()
    assert await storage.gateway.get(CLAIMS, storage.namespace, NAME) is None


async def test_a_claim_of_somebody_else_is_used_and_not_fought_over(storage: Storage) -> None:
    storage.make_class(expands=True)
    theirs = {
        "apiVersion": "v1",
        "kind": "PersistentVolumeClaim",
        "metadata": {"name": NAME},
        "spec": {
            "accessModes": ["ReadWriteMany"],
            "storageClassName": storage.name,
            "resources": {"requests": {"storage": "20Gi"}},
        },
    }
    storage.create(theirs)
    await storage.bound()
    before = await storage.claim()
    offset = audit_log_size(storage.plane.audit_log)
    for _ in range(3):
        await storage.keeper.look(45 * GIB)
    assert storage.state() is ClaimState.TOO_SMALL
    assert await storage.claim() == before
    assert storage.operator_writes(offset) == ["create events"]


async def test_a_volume_that_is_lost_is_told(storage: Storage) -> None:
    storage.make_class(expands=True)
    await storage.bound()
    finalizers = json.dumps({"metadata": {"finalizers": None}})
    storage.plane.kubectl("delete", "pv", storage.name, "--wait=false")
    storage.plane.kubectl("patch", "pv", storage.name, "--type=merge", "-p", finalizers)
    await until("a lost volume", lambda: storage.is_in_phase("Lost"))
    await storage.keeper.look(0)
    assert storage.state() is ClaimState.LOST
    assert [event["reason"] for event in await storage.events()] == ["Lost"]
    assert "is gone" in storage.keeper.why_no_volume()
