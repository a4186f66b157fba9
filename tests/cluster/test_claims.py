"""The two claims, on the real API server."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator

import pytest

from replay_operator.cluster.claims import ClaimRequest, claim_body, make_claim, view_claim
from replay_operator.cluster.gateway import KubernetesGateway
from replay_operator.cluster.resources import CLAIMS
from replay_operator.domain.quantity import GIB
from tests.testbed.controlplane import ControlPlane

pytestmark = pytest.mark.cluster

REQUEST = ClaimRequest("replay-buffers", 20 * GIB, "fast", "ReadWriteMany")


@pytest.fixture
async def gateway(control_plane: ControlPlane) -> AsyncIterator[KubernetesGateway]:
    connected = await KubernetesGateway.connect(control_plane.kubeconfig)
    yield connected
    await connected.close()


async def test_a_claim_is_made_as_asked_and_outlives_whoever_asked(
    gateway: KubernetesGateway, namespace: str
) -> None:
    assert await make_claim(gateway, namespace, REQUEST) is not None
    claim = await gateway.get(CLAIMS, namespace, "replay-buffers")
    assert claim is not None
    assert claim["spec"]["resources"]["requests"] == {"storage": "20Gi"}
    assert (claim["spec"]["accessModes"], claim["spec"]["storageClassName"]) == (["ReadWriteMany"], "fast")
    assert "ownerReferences" not in claim["metadata"]
    assert claim["metadata"]["annotations"]["argocd.argoproj.io/sync-options"] == "Prune=false,Delete=false"
    assert claim["metadata"]["annotations"]["helm.sh/resource-policy"] == "keep"


async def test_two_that_make_the_claim_at_once_make_one(gateway: KubernetesGateway, namespace: str) -> None:
    made = await asyncio.gather(*(make_claim(gateway, namespace, REQUEST) for _ in range(8)))
    assert sum(claim is not None for claim in made) == 1
    assert len(await gateway.list(CLAIMS, namespace)) == 1


async def test_what_was_made_is_ours_and_what_others_have_made_is_theirs(
    control_plane: ControlPlane, gateway: KubernetesGateway, namespace: str
) -> None:
    ours = await make_claim(gateway, namespace, REQUEST)
    assert ours is not None
    assert view_claim(ours).declared_by is None
    theirs = claim_body(ClaimRequest("replay-archive", 1024 * GIB, "theirs", "ReadWriteOnce"))
    theirs["metadata"] = {"name": "replay-archive", "labels": {"app.kubernetes.io/managed-by": "Helm"}}
    control_plane.kubectl("create", "-n", namespace, "-f", "-", input=json.dumps(theirs))
    found = await gateway.get(CLAIMS, namespace, "replay-archive")
    assert found is not None
    view = view_claim(found)
    assert (view.declared_by, view.requested_bytes) == ("Helm", 1024 * GIB)


@pytest.mark.parametrize("flags", [("--server-side", "--field-manager=git"), ()], ids=["server", "client"])
async def test_a_size_that_git_declares_later_is_gits(
    control_plane: ControlPlane, gateway: KubernetesGateway, namespace: str, flags: tuple[str, ...]
) -> None:
    await make_claim(gateway, namespace, REQUEST)
    control_plane.kubectl("apply", *flags, "-n", namespace, "-f", "-", input=json.dumps(claim_body(REQUEST)))
    found = await gateway.get(CLAIMS, namespace, "replay-buffers")
    assert found is not None
    assert view_claim(found).declared_by == ("git" if flags else "kubectl apply")


async def test_without_a_class_the_clusters_default_decides(
    gateway: KubernetesGateway, namespace: str
) -> None:
    request = ClaimRequest("replay-archive", GIB, "", "ReadWriteOnce")
    assert "storageClassName" not in claim_body(request)["spec"], "an empty class would mean: none at all"
    assert await make_claim(gateway, namespace, request) is not None
