import os
import stat

import pytest

from tests.testbed.node import NodeStandIn
from tests.testbed.node.tests.cluster import Cluster, eventually, shell

pytestmark = pytest.mark.cluster

ROOT_ONLY = pytest.mark.skipif(os.geteuid() != 0, reason="needs root: a user namespace has one user only")


def claimed(name: str) -> dict[str, object]:
    return {"name": "data", "persistentVolumeClaim": {"claimName": name}}


def mounted(path: str = "/data", **fields: object) -> dict[str, object]:
    return {"volumeMounts": [{"name": "data", "mountPath": path, **fields}]}


def test_config_maps_secrets_and_the_downward_api_become_files(cluster: Cluster) -> None:
    cluster.kubectl("create", "configmap", "settings", "--from-literal=a=1", "--from-literal=b=2")
    cluster.kubectl("create", "secret", "generic", "keys", "--from-literal=k=secret")
    downward = {"items": [{"path": "who", "fieldRef": {"fieldPath": "metadata.labels['app']"}}]}
    sources = [
        {"configMap": {"name": "settings", "items": [{"key": "b", "path": "deep/b", "mode": 0o400}]}},
        {"secret": {"name": "keys"}},
        {"downwardAPI": downward},
    ]
    script = (
        "cd /data; cat deep/b k who > /dev/termination-log; stat -L -c %a deep/b k >> /dev/termination-log"
    )
    volume = {"name": "data", "projected": {"sources": sources, "defaultMode": 0o440}}
    cluster.pod("files", shell("main", script, **mounted(readOnly=True)), volumes=[volume])
    assert cluster.message("files") == "2secretfiles400\n440\n"


def test_a_read_only_mount_refuses_writes(cluster: Cluster) -> None:
    script = "touch /data/x; echo $? > /dev/termination-log"
    volumes = [{"name": "data", "emptyDir": {}}]
    cluster.pod("reader", shell("main", script, **mounted(readOnly=True)), volumes=volumes)
    assert cluster.message("reader") == "1\n"


def test_a_sub_path_is_made_and_stays_in_its_volume(cluster: Cluster, stand_in: NodeStandIn) -> None:
    cluster.claim("parts", "standin-archive")
    cluster.pod(
        "part", shell("main", "echo x > /data/file", **mounted(subPath="a/b")), volumes=[claimed("parts")]
    )
    cluster.finished("part")
    assert (stand_in.volume_path(cluster.namespace, "parts") / "a/b/file").read_text() == "x\n"
    (stand_in.volume_path(cluster.namespace, "parts") / "out").symlink_to("/etc")
    cluster.pod("escape", shell("main", "true", **mounted(subPath="out")), volumes=[claimed("parts")])
    eventually(
        lambda: (
            "leads out" in cluster.container("escape").get("state", {}).get("waiting", {}).get("message", "")
        ),
        "the escape is refused",
    )


@ROOT_ONLY
def test_two_users_of_one_group_write_in_one_claim(cluster: Cluster, stand_in: NodeStandIn) -> None:
    cluster.claim("shared", "standin-fast")
    for user in (2001, 2002):
        cluster.pod(
            f"user-{user}",
            shell(
                "main", f"mkdir -p /data/dir && chmod g+w /data/dir; echo x > /data/dir/{user}", **mounted()
            ),
            securityContext={"runAsUser": user, "fsGroup": 2100},
            volumes=[claimed("shared")],
        )
        assert cluster.finished(f"user-{user}")["phase"] == "Succeeded"
    path = stand_in.volume_path(cluster.namespace, "shared")
    assert stat.S_IMODE(path.stat().st_mode) == 0o2775
    assert {(file.stat().st_uid, file.stat().st_gid) for file in (path / "dir").iterdir()} == {
        (2001, 2100),
        (2002, 2100),
    }


def test_a_claim_waits_for_its_first_consumer_grows_and_goes(cluster: Cluster, stand_in: NodeStandIn) -> None:
    cluster.claim("fast", "standin-fast", "1Gi")
    cluster.claim("archive", "standin-archive", "1Gi")
    cluster.kubectl("wait", "--for=jsonpath={.status.phase}=Bound", "--timeout=60s", "pvc/archive")
    assert cluster.get("pvc", "fast")["status"]["phase"] == "Pending"
    with pytest.raises(KeyError):
        stand_in.volume_path(cluster.namespace, "fast")

    cluster.pod("user", shell("main", "echo x > /data/file", **mounted()), volumes=[claimed("fast")])
    assert cluster.finished("user")["phase"] == "Succeeded"
    path = stand_in.volume_path(cluster.namespace, "fast")
    assert (path / "file").read_text() == "x\n"

    cluster.kubectl("patch", "pvc", "fast", "-p", '{"spec":{"resources":{"requests":{"storage":"3Gi"}}}}')
    eventually(lambda: cluster.get("pvc", "fast")["status"]["capacity"]["storage"] == "3Gi", "3Gi")
    volume = cluster.get("pvc", "fast")["spec"]["volumeName"]
    assert cluster.get("pv", volume)["spec"]["capacity"]["storage"] == "3Gi"

    cluster.kubectl("delete", "pod/user", "pvc/fast")
    eventually(lambda: not cluster.exists("pv", volume), "the volume is deleted")
    assert not path.exists()
