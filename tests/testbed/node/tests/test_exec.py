"""`exec` into the stand-in's pods, as the plugin `kubectl replay` does it, through the real API server."""

from __future__ import annotations

import os

import pytest

from replay_operator.kubectl.errors import PluginError
from replay_operator.kubectl.exec import output_of
from replay_operator.kubectl.session import ClusterFlags, connect
from tests.testbed.node.tests.cluster import Cluster, shell

pytestmark = [
    pytest.mark.cluster,
    pytest.mark.skipif(
        os.geteuid() != 0, reason="needs root: the namespaces of another user cannot be entered"
    ),
]

ALL_BYTES = "import sys; sys.stdout.buffer.write(bytes(range(256)) * 10000)"


async def output(cluster: Cluster, pod: str, *command: str) -> bytes:
    flags = ClusterFlags(kubeconfig=cluster.plane.kubeconfig, namespace=cluster.namespace)
    async with connect(flags) as session:
        return b"".join([chunk async for chunk in output_of(session, pod, "main", command)])


async def test_a_command_runs_as_the_containers_user_among_its_files(cluster: Cluster) -> None:
    script = "echo inside > /home/app/tmp/x; sleep 600"
    cluster.pod("app", {"name": "main", "image": "registry.test/acme/app:1", "args": [script]})
    cluster.running("app")
    found = await output(cluster, "app", "sh", "-c", "until cat /home/app/tmp/x; do :; done; id -u; id -g")
    assert found == b"inside\n1234\n1235\n"


async def test_every_byte_of_the_output_comes_and_none_of_the_complaints(cluster: Cluster) -> None:
    cluster.pod("idle", shell("main", "sleep 600"))
    cluster.running("idle")
    assert await output(cluster, "idle", "python3", "-c", ALL_BYTES) == bytes(range(256)) * 10000
    assert (
        await output(cluster, "idle", "sh", "-c", "echo no >&2; echo $0 yes", "a b; $c") == b"a b; $c yes\n"
    )


async def test_a_command_that_fails_is_told_with_its_complaint(cluster: Cluster) -> None:
    cluster.pod("idle", shell("main", "sleep 600"))
    cluster.running("idle")
    with pytest.raises(PluginError, match="sh failed in pod idle: it hurts"):
        await output(cluster, "idle", "sh", "-c", "echo it hurts >&2; exit 3")


async def test_a_pod_that_is_not_there_is_told(cluster: Cluster) -> None:
    with pytest.raises(PluginError, match="exec in pod nobody: the API server answered HTTP 404"):
        await output(cluster, "nobody", "true")
