import pytest

from tests.testbed.node.tests.cluster import Cluster, eventually, http_server, python, shell

pytestmark = pytest.mark.cluster


def test_readiness_decides_when_a_deployment_is_available(cluster: Cluster) -> None:
    probe = {"httpGet": {"path": "/", "port": "web"}, "periodSeconds": 1}
    container = http_server("web", 8000, readinessProbe=probe, ports=[{"name": "web", "containerPort": 8000}])
    never = shell("never", "sleep 600", readinessProbe={"exec": {"command": ["false"]}, "periodSeconds": 1})
    for name, containers in (("good", [container]), ("half", [container, never])):
        labels = {"app": name}
        template = {
            "metadata": {"labels": labels},
            "spec": {"containers": containers, "terminationGracePeriodSeconds": 0},
        }
        cluster.apply(
            {
                "apiVersion": "apps/v1",
                "kind": "Deployment",
                "metadata": {"name": name},
                "spec": {"selector": {"matchLabels": labels}, "template": template},
            }
        )
    cluster.kubectl("wait", "--for=condition=available", "--timeout=60s", "deployment/good")
    (pod,) = (name.removeprefix("pod/") for name in cluster.names("pod", "-l", "app=half"))
    eventually(lambda: cluster.container(pod, 1).get("started") is True, "both containers run")
    eventually(lambda: cluster.container(pod, 0)["ready"] is True, "one container is ready")
    assert not cluster.is_ready(pod)
    assert cluster.get("deployment", "half")["status"].get("availableReplicas", 0) == 0


def test_readiness_is_lost_when_the_probe_fails_and_comes_back(cluster: Cluster) -> None:
    script = """
import os, time
while True:
    for seconds in (2, 2):
        open("/tmp/ok", "w").close(); time.sleep(2); os.remove("/tmp/ok"); time.sleep(3)
"""
    probe = {"exec": {"command": ["test", "-e", "/tmp/ok"]}, "periodSeconds": 1, "failureThreshold": 1}
    cluster.pod("moody", python("main", script, readinessProbe=probe))
    cluster.running("moody")
    eventually(lambda: not cluster.is_ready("moody"), "not ready")
    cluster.running("moody")


def test_a_failing_liveness_probe_restarts_the_container(cluster: Cluster) -> None:
    probe = {"tcpSocket": {"port": 9}, "periodSeconds": 1, "failureThreshold": 2}
    cluster.pod("dead", shell("main", "exec sleep 600", livenessProbe=probe), restartPolicy="Always")
    eventually(lambda: cluster.container("dead").get("restartCount", 0) >= 1, "a restart")
    assert cluster.container("dead")["lastState"]["terminated"]["exitCode"] == 137


def test_a_startup_probe_holds_the_other_probes_back(cluster: Cluster) -> None:
    check = {"exec": {"command": ["test", "-e", "/tmp/up"]}}
    probes = {
        "startupProbe": {**check, "periodSeconds": 1, "failureThreshold": 60},
        "livenessProbe": {**check, "periodSeconds": 1, "failureThreshold": 1},
    }
    cluster.pod("slow", shell("main", "sleep 2; touch /tmp/up; exec sleep 600", **probes))
    eventually(lambda: "running" in cluster.container("slow").get("state", {}), "running")
    cluster.running("slow")
    assert cluster.container("slow")["restartCount"] == 0
