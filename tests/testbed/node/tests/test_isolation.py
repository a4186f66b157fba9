import json
import os
from pathlib import Path

import pytest

from tests.testbed.node.tests.cluster import Cluster, python, shell

pytestmark = pytest.mark.cluster

ROOT_ONLY = pytest.mark.skipif(os.geteuid() != 0, reason="needs root: a user namespace has one user only")


def test_the_image_gives_entrypoint_environment_user_and_directories(cluster: Cluster) -> None:
    script = 'echo "$(id -u):$(id -g)" > /home/app/tmp/x && cat /home/app/tmp/x > /dev/termination-log'
    cluster.pod("app", {"name": "main", "image": "registry.test/acme/app:1", "args": [script]})
    cluster.pod("env", shell("main", 'echo "$FROM_IMAGE" > /dev/termination-log', image="python:3"))
    assert cluster.message("env") == "yes\n"
    if os.geteuid() == 0:
        assert cluster.message("app") == "1234:1235\n"


@ROOT_ONLY
def test_security_contexts_decide_over_users_groups_and_privileges(cluster: Cluster) -> None:
    script = """
import json, os
status = dict(line.split(":", 1) for line in open("/proc/self/status"))
facts = [os.getuid(), os.getgid(), sorted(os.getgroups())]
facts += [status["CapEff"].strip(), status["NoNewPrivs"].strip()]
open("/dev/termination-log", "w").write(json.dumps(facts))
"""
    cluster.pod(
        "user",
        python("main", script, securityContext={"allowPrivilegeEscalation": False, "runAsGroup": 3001}),
        securityContext={"runAsUser": 3000, "fsGroup": 3002, "supplementalGroups": [3003]},
    )
    assert json.loads(cluster.message("user")) == [3000, 3001, [3002, 3003], "0" * 16, "1"]


@ROOT_ONLY
def test_an_interpreter_below_a_private_home_works_for_any_user(cluster: Cluster) -> None:
    script = "import tests.testbed, yaml; open('/dev/termination-log', 'w').write('imported')"
    checkout = str(Path(__file__).parents[4])
    container = python("main", script, workingDir=checkout)
    cluster.pod("any", container, securityContext={"runAsUser": 3000, "runAsGroup": 0})
    assert cluster.message("any") == "imported"


def test_a_volume_over_the_checkout_does_not_hide_it(cluster: Cluster) -> None:
    checkout = Path(__file__).parents[4]
    script = "import tests.testbed; open('/dev/termination-log', 'w').write('imported')"
    container = python(
        "main",
        script,
        workingDir=str(checkout),
        volumeMounts=[{"name": "scratch", "mountPath": str(checkout.parent)}],
    )
    cluster.pod("hidden", container, volumes=[{"name": "scratch", "emptyDir": {}}])
    assert cluster.message("hidden") == "imported"


def test_what_a_container_writes_does_not_reach_the_host(cluster: Cluster) -> None:
    name = f"standin-{cluster.namespace}"
    script = f"for at in / /tmp /run; do echo x > $at/{name} && echo $at >> /dev/termination-log; done"
    cluster.pod("writer", shell("main", script))
    assert cluster.message("writer").split() == ["/", "/tmp", "/run"]
    assert [at for at in ("/", "/tmp", "/run") if (Path(at) / name).exists()] == []


def test_a_read_only_root_refuses_writes_everywhere_but_in_volumes(cluster: Cluster) -> None:
    script = "for at in / /tmp /run /data; do touch $at/x && echo $at >> /dev/termination-log; done; true"
    cluster.pod(
        "sealed",
        shell(
            "main",
            script,
            securityContext={"readOnlyRootFilesystem": True},
            volumeMounts=[{"name": "data", "mountPath": "/data"}],
        ),
        volumes=[{"name": "data", "emptyDir": {}}],
    )
    assert cluster.message("sealed").split() == ["/data"]


def test_a_container_sees_only_its_own_processes_and_its_own_name(cluster: Cluster) -> None:
    cluster.pod(
        "alone", shell("main", 'echo "$$$$ $(hostname) $(ls -d /proc/[0-9]* | wc -l)" > /dev/termination-log')
    )
    number, hostname, processes = cluster.message("alone").split()
    assert (number, hostname) == ("1", "alone")
    assert int(processes) < 6


def test_run_as_non_root_refuses_an_image_of_root(cluster: Cluster) -> None:
    cluster.pod("refused", shell("main", "true"), securityContext={"runAsNonRoot": True})
    cluster.kubectl(
        "wait",
        "--for=jsonpath={.status.containerStatuses[0].state.waiting.reason}=CreateContainerConfigError",
        "--timeout=60s",
        "pod/refused",
    )
    assert "runAsNonRoot" in cluster.container("refused")["state"]["waiting"]["message"]
