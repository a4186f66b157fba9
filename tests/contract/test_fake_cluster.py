"""The cluster in memory does what the real API server does, as far as the contract tests lean on it."""

from __future__ import annotations

import copy
from itertools import pairwise
from typing import Any

import pytest

from replay_operator.api.replaybuffer import ReplayBuffer
from replay_operator.cluster.gateway import ClusterError, Conflict, KubernetesGateway
from replay_operator.cluster.resources import BUFFERS
from tests.contract.fake_cluster import FakeCluster
from tests.testbed.controlplane import ControlPlane

pytestmark = pytest.mark.cluster

Json = dict[str, Any]


def a_buffer(name: str, label: str) -> Json:
    return {
        "apiVersion": BUFFERS.api_version,
        "kind": BUFFERS.kind,
        "metadata": {"name": name, "labels": {"replaybuffer.dev/test": label}},
        "spec": {
            "room": "standup",
            "source": {"tracks": {"video": "TR_VC1"}},
            "encoding": {"preset": "H264_720P_30"},
            "windowSeconds": 600,
            "keepAfterEndSeconds": 600,
            "suspend": False,
        },
        "status": {"observedGeneration": 9},
    }


def seen(body: Json | None) -> Json | None:
    """What both must agree on: everything but names that the server makes up."""
    if body is None:
        return None
    meta = body["metadata"]
    kept = {key: meta[key] for key in ("name", "namespace", "labels", "generation")}
    return {"metadata": kept, "spec": body["spec"], "status": body.get("status")}


async def current_version(gateway: KubernetesGateway, namespace: str) -> str:
    found = await gateway.get(BUFFERS, namespace, "one")
    assert found is not None
    return str(found["metadata"]["resourceVersion"])


async def story(gateway: KubernetesGateway, namespace: str) -> list[Any]:
    """Everything that the contract tests make a gateway do, with what came of it."""
    told: list[Any] = []

    async def refused(name: str, patch: Json) -> str:
        with pytest.raises(ClusterError) as error:
            await gateway.patch_status(BUFFERS, namespace, name, patch)
        return f"{type(error.value).__name__} {error.value.code}"

    async def patched(status: Json, **more: Any) -> Json:
        answer = await gateway.patch_status(BUFFERS, namespace, "one", {"status": status} | more)
        assert answer is not None
        return answer

    told.append(await gateway.get(BUFFERS, namespace, "one"))
    told.append(await gateway.patch_status(BUFFERS, namespace, "one", {"status": {}}))
    created = await gateway.create(BUFFERS, namespace, a_buffer("one", "a"))
    told.append(seen(created))
    with pytest.raises(ClusterError) as again:
        await gateway.create(BUFFERS, namespace, a_buffer("one", "a"))
    told.append((type(again.value).__name__, again.value.code))

    first = await patched({"segmentSeconds": 6, "egress": {"id": "EG_1", "run": "r1"}})
    second = await patched({"segmentSeconds": None, "egress": {"run": "r2"}}, spec={"suspend": True})
    third = await patched({"egress": {"run": "r2"}})
    fourth = await patched({"egress": None})
    own_field = {"apiVersion": BUFFERS.api_version, "kind": BUFFERS.kind, "spec": {"windowSeconds": 700}}
    applied = [await gateway.apply(BUFFERS, namespace, "one", own_field, force=True) for _ in range(2)]
    told += [seen(body) for body in (first, second, third, fourth, *applied)]
    versions = [int(body["metadata"]["resourceVersion"]) for body in (created, first, second, third, fourth)]
    told.append([later > earlier for earlier, later in pairwise(versions)])

    version = first["metadata"]["resourceVersion"]
    told.append(await refused("one", {"metadata": {"resourceVersion": version}, "status": {}}))
    await patched({"segmentSeconds": 7}, metadata={"uid": "another"})  # is taken: a uid guards nothing
    await patched(
        {"segmentSeconds": 8}, metadata={"resourceVersion": await current_version(gateway, namespace)}
    )
    told.append(seen(await gateway.get(BUFFERS, namespace, "one")))

    await gateway.create(BUFFERS, namespace, a_buffer("two", "b"))
    for labels in (None, "replaybuffer.dev/test=b", "replaybuffer.dev/test=c", "replaybuffer.dev/test", "x"):
        found = await gateway.list(BUFFERS, namespace, labels=labels)
        told.append(sorted(body["metadata"]["name"] for body in found))
    return [*told, *await story_of_an_end(gateway, namespace)]


async def story_of_an_end(gateway: KubernetesGateway, namespace: str) -> list[Any]:
    """A finalizer, a deletion that waits for it, and deletions under a condition."""
    told: list[Any] = [await gateway.patch(BUFFERS, namespace, "missing", {"metadata": {"finalizers": []}})]
    two = await gateway.get(BUFFERS, namespace, "two")
    assert two is not None
    old = ReplayBuffer.model_validate(two).metadata
    guard = {"resourceVersion": old.resource_version}
    held = await gateway.patch(
        BUFFERS, namespace, "two", {"metadata": guard | {"finalizers": ["replaybuffer.dev/test"]}}
    )
    assert held is not None
    told.append(held["metadata"]["finalizers"])
    for stale in (
        gateway.patch(BUFFERS, namespace, "two", {"metadata": guard | {"finalizers": []}}),
        gateway.delete(BUFFERS, namespace, "two", meta=old),
    ):
        with pytest.raises(Conflict) as conflict:
            await stale
        told.append(conflict.value.code)
    await gateway.delete(BUFFERS, namespace, "two", meta=ReplayBuffer.model_validate(held).metadata)
    leaving = await gateway.get(BUFFERS, namespace, "two")
    assert leaving is not None
    told.append("deletionTimestamp" in leaving["metadata"])
    last = await gateway.patch(BUFFERS, namespace, "two", {"metadata": {"finalizers": []}})
    told.append(seen(last) is not None)
    told.append(await gateway.get(BUFFERS, namespace, "two"))
    await gateway.delete(BUFFERS, namespace, "two")
    await gateway.delete(BUFFERS, namespace, "one", dependents_first=True)
    return told


@pytest.mark.usefixtures("crds")
async def test_the_cluster_in_memory_answers_as_the_real_one_does(
    control_plane: ControlPlane, namespace: str
) -> None:
    gateway = await KubernetesGateway.connect(control_plane.kubeconfig)
    try:
        real = await story(gateway, namespace)
    finally:
        await gateway.close()
    assert await story(FakeCluster(), namespace) == real


async def test_what_a_test_gets_from_the_cluster_in_memory_is_a_copy() -> None:
    cluster = FakeCluster()
    body = a_buffer("one", "a")
    before = copy.deepcopy(body)
    stored = await cluster.create(BUFFERS, "team", body)
    stored["spec"]["room"] = "changed"
    found = await cluster.get(BUFFERS, "team", "one")
    assert found is not None
    assert found["spec"]["room"] == "standup"
    assert body == before
