from collections.abc import Iterator

import pytest

from tests.testbed.controlplane import ControlPlane
from tests.testbed.node import Image, NodeStandIn
from tests.testbed.node.tests.cluster import Cluster

IMAGES = {
    "busybox": Image(("sh",)),
    "python": Image(("python3",), env={"FROM_IMAGE": "yes"}),
    "acme/app": Image(("sh", "-c"), uid=1234, gid=1235, directories=("/home/app/tmp",)),
}


@pytest.fixture(scope="session")
def stand_in(control_plane: ControlPlane, tmp_path_factory: pytest.TempPathFactory) -> Iterator[NodeStandIn]:
    with NodeStandIn(control_plane.kubeconfig, tmp_path_factory.mktemp("node"), IMAGES) as node:
        yield node


@pytest.fixture
def cluster(control_plane: ControlPlane, stand_in: NodeStandIn, namespace: str) -> Cluster:
    return Cluster(control_plane, namespace)
