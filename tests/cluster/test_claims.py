"""The two claims, on the real API server."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator

import pytest

from replay_operator.cluster.claims import ClaimRequest, claim_body, ensure_claim
from replay_operator.cluster.gateway import ClusterError, KubernetesGateway
from replay_operator.cluster.resources import CLAIMS
from tests.testbed.audit import audit_log_size, audit_records
from tests.testbed.controlplane import ControlPlane

pytestmark = pytest.mark.cluster

REQUEST = ClaimRequest("replay-buffers", "20Gi", "fast", "ReadWriteMany")


@pytest.fixture
async def gateway(control_plane: ControlPlane) -> AsyncIterator[KubernetesGateway]:
    connected = await KubernetesGateway.connect(control_plane.kubeconfig)
    yield connected
    await connected.close()


async def test_a_claim_is_made_as_asked_and_outlives_whoever_asked(
    gateway: KubernetesGateway, namespace: str
) -> None:
    assert await ensure_claim(gateway, namespace, REQUEST)
    claim = await gateway.get(CLAIMS, namespace, "replay-buffers")
    assert claim is not None
    assert claim["spec"]["resources"]["requests"] == {"storage": "20Gi"}
    assert (claim["spec"]["accessModes"], claim["spec"]["storageClassName"]) == (["ReadWriteMany"], "fast")
    assert "ownerReferences" not in claim["metadata"]
    assert claim["metadata"]["annotations"]["argocd.argoproj.io/sync-options"] == "Prune=false,Delete=false"
    assert claim["metadata"]["annotations"]["helm.sh/resource-policy"] == "keep"


async def test_a_claim_is_made_once(
    control_plane: ControlPlane, gateway: KubernetesGateway, namespace: str
) -> None:
    offset = audit_log_size(control_plane.audit_log)
    made = [await ensure_claim(gateway, namespace, REQUEST) for _ in range(3)]
    assert made == [True, False, False]
    control_plane.flush_audit_log()
    writes = [
        record
        for record in audit_records(control_plane.audit_log, offset=offset)
        if record.is_write and (record.namespace, record.resource) == (namespace, CLAIMS.plural)
    ]
    assert [record.verb for record in writes if record.user == "admin"] == ["create"]


async def test_two_that_make_the_claim_at_once_make_one(gateway: KubernetesGateway, namespace: str) -> None:
    made = await asyncio.gather(*(ensure_claim(gateway, namespace, REQUEST) for _ in range(8)))
    assert sum(made) == 1
    assert len(await gateway.list(CLAIMS, namespace)) == 1


async def test_a_claim_of_somebody_else_is_used_as_it_is(
    control_plane: ControlPlane, gateway: KubernetesGateway, namespace: str
) -> None:
    theirs = claim_body(ClaimRequest("replay-buffers", "1Ti", "theirs", "ReadWriteOnce"))
    theirs["metadata"] = {"name": "replay-buffers", "labels": {"made-by": "somebody"}}
    control_plane.kubectl("create", "-n", namespace, "-f", "-", input=json.dumps(theirs))
    before = await gateway.get(CLAIMS, namespace, "replay-buffers")
    assert not await ensure_claim(gateway, namespace, REQUEST)
    assert before is not None
    after = await gateway.get(CLAIMS, namespace, "replay-buffers")
    assert after is not None
    assert (after["spec"], after["metadata"]["labels"]) == (before["spec"], before["metadata"]["labels"])


async def test_without_a_class_the_clusters_default_decides(
    gateway: KubernetesGateway, namespace: str
) -> None:
    request = ClaimRequest("replay-archive", "1Gi", "", "ReadWriteOnce")
    assert "storageClassName" not in claim_body(request)["spec"], "an empty class would mean: none at all"
    assert await ensure_claim(gateway, namespace, request)


async def test_a_size_that_is_no_quantity_is_refused(gateway: KubernetesGateway, namespace: str) -> None:
    with pytest.raises(ClusterError) as refused:
        await ensure_claim(gateway, namespace, ClaimRequest("replay-archive", "lots", "", "ReadWriteOnce"))
    assert refused.value.code in (400, 422)
