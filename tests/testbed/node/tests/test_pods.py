import json

import pytest

from tests.testbed.node import NodeStandIn
from tests.testbed.node.tests.cluster import Cluster, eventually, python, shell

pytestmark = pytest.mark.cluster


def job(name: str, script: str, **spec: object) -> dict[str, object]:
    template = {"spec": {"restartPolicy": "Never", "containers": [shell("main", script)]}}
    return {
        "apiVersion": "batch/v1",
        "kind": "Job",
        "metadata": {"name": name},
        "spec": {"template": template, **spec},
    }


def test_a_job_completes_with_its_exit_code_and_its_termination_message(cluster: Cluster) -> None:
    cluster.apply(job("good", "echo done > /dev/termination-log"))
    cluster.kubectl("wait", "--for=condition=complete", "--timeout=60s", "job/good")
    (pod,) = cluster.names("pod", "-l", "job-name=good")
    terminated = cluster.container(pod.removeprefix("pod/"))["state"]["terminated"]
    assert (terminated["exitCode"], terminated["reason"]) == (0, "Completed")
    assert terminated["message"] == "done\n"


def test_a_job_whose_container_fails_is_tried_again_and_fails(cluster: Cluster) -> None:
    cluster.apply(job("bad", "exit 7", backoffLimit=0))
    cluster.kubectl("wait", "--for=condition=failed", "--timeout=60s", "job/bad")
    (pod,) = cluster.names("pod", "-l", "job-name=bad")
    terminated = cluster.container(pod.removeprefix("pod/"))["state"]["terminated"]
    assert (terminated["exitCode"], terminated["reason"]) == (7, "Error")


def test_only_the_last_4096_bytes_of_a_termination_message_are_kept(cluster: Cluster) -> None:
    cluster.pod("long", python("main", "open('/dev/termination-log', 'w').write('a' * 5000 + 'end')"))
    message = cluster.message("long")
    assert len(message) == 4096
    assert message.endswith("aend")


def test_the_log_is_the_message_of_a_failed_container_that_asks_for_it(cluster: Cluster) -> None:
    policy = {"terminationMessagePolicy": "FallbackToLogsOnError"}
    cluster.pod("logs", shell("bad", "echo why; exit 1", **policy), shell("good", "echo fine", **policy))
    assert cluster.message("logs", 0) == "why\n"
    assert cluster.message("logs", 1) == ""


def test_init_containers_run_in_order_and_before_the_others(cluster: Cluster) -> None:
    mounts = {"volumeMounts": [{"name": "shared", "mountPath": "/shared"}]}
    cluster.pod(
        "ordered",
        shell("main", "echo main >> /shared/order; cat /shared/order > /dev/termination-log", **mounts),
        initContainers=[shell(name, f"echo {name} >> /shared/order", **mounts) for name in ("one", "two")],
        volumes=[{"name": "shared", "emptyDir": {}}],
    )
    assert cluster.message("ordered").split() == ["one", "two", "main"]


def test_a_failing_init_container_fails_the_pod_and_the_others_never_run(cluster: Cluster) -> None:
    cluster.pod("stuck", shell("main", "true"), initContainers=[shell("init", "exit 3")])
    status = cluster.finished("stuck")
    assert status["phase"] == "Failed"
    assert status["initContainerStatuses"][0]["state"]["terminated"]["exitCode"] == 3
    assert "waiting" in status["containerStatuses"][0]["state"]


def test_a_container_that_ends_is_restarted_and_counted(cluster: Cluster) -> None:
    cluster.pod("again", shell("main", "exit 5"), restartPolicy="Always")
    eventually(lambda: cluster.container("again").get("restartCount", 0) >= 2, "two restarts")
    container = cluster.container("again")
    assert container["lastState"]["terminated"]["exitCode"] == 5
    assert cluster.status("again")["phase"] == "Running"


def test_on_failure_restarts_only_what_failed(cluster: Cluster) -> None:
    script = "if [ -e /shared/tried ]; then exit 0; fi; touch /shared/tried; exit 1"
    mounts = [{"name": "shared", "mountPath": "/shared"}]
    cluster.pod(
        "retry",
        shell("main", script, volumeMounts=mounts),
        restartPolicy="OnFailure",
        volumes=[{"name": "shared", "emptyDir": {"medium": "Memory"}}],
    )
    status = cluster.finished("retry")
    assert status["phase"] == "Succeeded"
    assert status["containerStatuses"][0]["restartCount"] == 1


def test_a_pod_past_its_deadline_fails(cluster: Cluster) -> None:
    cluster.pod("late", shell("main", "exec sleep 600"), activeDeadlineSeconds=1)
    status = cluster.finished("late")
    assert (status["phase"], status["reason"]) == ("Failed", "DeadlineExceeded")
    assert status["containerStatuses"][0]["state"]["terminated"]["exitCode"] == 137


def test_an_unknown_image_keeps_the_container_waiting_and_names_the_known_ones(cluster: Cluster) -> None:
    cluster.pod("unknown", {"name": "main", "image": "nginx:1"})
    eventually(lambda: "waiting" in cluster.container("unknown").get("state", {}), "a waiting container")
    eventually(
        lambda: cluster.container("unknown")["state"]["waiting"]["reason"] == "ErrImagePull", "ErrImagePull"
    )
    assert "acme/app, busybox, python" in cluster.container("unknown")["state"]["waiting"]["message"]


def test_a_command_that_does_not_exist_is_a_start_error(cluster: Cluster) -> None:
    cluster.pod("typo", {"name": "main", "image": "busybox", "command": ["no-such-program"]})
    terminated = cluster.finished("typo")["containerStatuses"][0]["state"]["terminated"]
    assert (terminated["exitCode"], terminated["reason"]) == (128, "StartError")
    assert "no-such-program" in terminated["message"]


def test_a_missing_secret_keeps_the_container_waiting_until_it_is_there(cluster: Cluster) -> None:
    reference = {"secretKeyRef": {"name": "keys", "key": "token"}}
    env = [{"name": "TOKEN", "valueFrom": reference}]
    cluster.pod("patient", shell("main", 'echo "$TOKEN" > /dev/termination-log', env=env))
    eventually(
        lambda: (
            cluster.container("patient").get("state", {}).get("waiting", {}).get("reason")
            == "CreateContainerConfigError"
        ),
        "CreateContainerConfigError",
    )
    cluster.kubectl("create", "secret", "generic", "keys", "--from-literal=token=abc")
    assert cluster.message("patient") == "abc\n"


def test_sigterm_comes_first_and_a_handler_may_use_the_grace_period(
    cluster: Cluster, stand_in: NodeStandIn
) -> None:
    script = "trap 'echo asked > /shared/word; exit 0' TERM; touch /shared/up; while :; do sleep 0.1; done"
    cluster.claim("shared", "standin-archive")
    cluster.pod(
        "polite",
        shell("main", script, volumeMounts=[{"name": "shared", "mountPath": "/shared"}]),
        terminationGracePeriodSeconds=60,
        volumes=[{"name": "shared", "persistentVolumeClaim": {"claimName": "shared"}}],
    )
    cluster.running("polite")
    shared = stand_in.volume_path(cluster.namespace, "shared")
    eventually((shared / "up").exists, "the handler is set")
    cluster.kubectl("delete", "pod", "polite", "--timeout=40s")
    assert (shared / "word").read_text() == "asked\n"


def test_sigkill_follows_when_the_grace_period_is_over(cluster: Cluster, stand_in: NodeStandIn) -> None:
    # The first process of a PID namespace without a handler ignores SIGTERM, as in a real container.
    cluster.pod("deaf", shell("main", "exec sleep 600"), terminationGracePeriodSeconds=2)
    cluster.running("deaf")
    cluster.kubectl("delete", "pod", "deaf", "--wait=false")
    assert stand_in.pid(cluster.namespace, "deaf", "main") > 0
    eventually(lambda: not cluster.exists("pod", "deaf"), "the pod is gone", 15)
    with pytest.raises(LookupError):
        stand_in.pid(cluster.namespace, "deaf", "main")


def test_a_killed_container_is_restarted_with_code_137(cluster: Cluster, stand_in: NodeStandIn) -> None:
    cluster.pod("victim", shell("main", "sleep 600 & wait"), restartPolicy="Always")
    cluster.running("victim")
    first = stand_in.pid(cluster.namespace, "victim", "main")
    stand_in.kill_container(cluster.namespace, "victim", "main")
    eventually(lambda: cluster.container("victim")["restartCount"] == 1, "one restart")
    cluster.running("victim")
    assert cluster.container("victim")["lastState"]["terminated"]["exitCode"] == 137
    assert stand_in.pid(cluster.namespace, "victim", "main") != first


def test_a_service_account_token_gives_what_rbac_allows(cluster: Cluster) -> None:
    cluster.kubectl("create", "serviceaccount", "reader")
    cluster.kubectl("create", "role", "reader", "--verb=list", "--resource=configmaps")
    cluster.kubectl(
        "create", "rolebinding", "reader", "--role=reader", f"--serviceaccount={cluster.namespace}:reader"
    )
    script = """
import json, os, ssl, urllib.error, urllib.request
base = "/var/run/secrets/kubernetes.io/serviceaccount/"
server = f"https://{os.environ['KUBERNETES_SERVICE_HOST']}:{os.environ['KUBERNETES_SERVICE_PORT']}"
namespace = open(base + "namespace").read()
tls = ssl.create_default_context(cafile=base + "ca.crt")
def status(what):
    url = f"{server}/api/v1/namespaces/{namespace}/{what}"
    request = urllib.request.Request(url, headers={"Authorization": "Bearer " + open(base + "token").read()})
    try:
        return urllib.request.urlopen(request, context=tls).status
    except urllib.error.HTTPError as error:
        return error.code
open("/dev/termination-log", "w").write(json.dumps([status("configmaps"), status("secrets")]))
"""
    cluster.pod("client", python("main", script), serviceAccountName="reader")
    assert json.loads(cluster.message("client")) == [200, 403]


def test_logs_can_be_read_followed_and_asked_for_after_a_restart(cluster: Cluster) -> None:
    cluster.pod("talker", shell("main", "echo one; echo two; sleep 1; echo three"))
    assert cluster.kubectl("logs", "-f", "--pod-running-timeout=20s", "talker") == "one\ntwo\nthree\n"
    cluster.finished("talker")
    assert cluster.kubectl("logs", "--tail=1", "talker") == "three\n"
    cluster.pod("crasher", shell("main", "echo crash; exit 1"), restartPolicy="Always")
    eventually(lambda: cluster.container("crasher").get("restartCount", 0) >= 1, "a restart")
    assert cluster.kubectl("logs", "--previous", "crasher") == "crash\n"
