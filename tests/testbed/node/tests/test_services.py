import pytest

from tests.testbed.node import NodeStandIn
from tests.testbed.node.services import HostsOwner, hosts_text
from tests.testbed.node.tests.cluster import Cluster, eventually, http_server, python


def test_short_names_are_for_the_own_namespace_only(tmp_path_factory: pytest.TempPathFactory) -> None:
    owner = HostsOwner("mine", "pod", "127.77.0.1", tmp_path_factory.getbasetemp() / "hosts")
    text = hosts_text(owner, {("mine", "a"): "127.77.0.2", ("other", "b"): "127.77.0.3"})
    assert "127.77.0.2 a a.mine a.mine.svc a.mine.svc.cluster.local\n" in text
    assert "127.77.0.3 b.other b.other.svc b.other.svc.cluster.local\n" in text
    assert "127.77.0.1 pod\n" in text


@pytest.mark.cluster
def test_a_service_name_leads_to_the_ready_pod_and_follows_it(
    cluster: Cluster, stand_in: NodeStandIn
) -> None:
    cluster.apply(
        {
            "apiVersion": "v1",
            "kind": "Service",
            "metadata": {"name": "web"},
            "spec": {"selector": {"app": "server"}, "ports": [{"port": 8000}]},
        }
    )
    watcher = """
import sys, time, urllib.request
last = None
while True:
    try:
        address = __import__("socket").gethostbyname(sys.argv[1])
        answer = urllib.request.urlopen(f"http://{sys.argv[1]}:8000/", timeout=2).status
    except OSError as error:
        address, answer = "none", 0
    if (address, answer) != last:
        last = (address, answer)
        print(address, answer, flush=True)
    time.sleep(0.1)
"""
    client = python("main", watcher)
    client["args"] = [f"web.{cluster.namespace}.svc"]
    cluster.pod("client", client)
    cluster.running("client")

    def seen() -> str:
        return cluster.kubectl("logs", "client")

    addresses = []
    for _ in range(2):
        cluster.pod(
            "server",
            http_server("web", 8000, readinessProbe={"tcpSocket": {"port": 8000}, "periodSeconds": 1}),
        )
        cluster.running("server")
        addresses.append(cluster.status("server")["podIP"])
        eventually(lambda: f"{addresses[-1]} 200" in seen(), "the client reaches the server by name")
        cluster.kubectl("delete", "pod", "server")
        eventually(lambda: seen().endswith("none 0\n"), "the name is gone with the pod")
    assert addresses[0] != addresses[1]
