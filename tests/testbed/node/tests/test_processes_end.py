import os
import signal
import subprocess
import sys
import uuid
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.testbed.binaries import ControlPlaneBinaries
from tests.testbed.controlplane import ControlPlane
from tests.testbed.node import Image, NodeStandIn
from tests.testbed.node.tests.cluster import Cluster, eventually, shell

pytestmark = pytest.mark.cluster

HOST = """
import pathlib, sys, threading
from tests.testbed.node import Image, NodeStandIn
kubeconfig, work_dir = map(pathlib.Path, sys.argv[1:3])
node = NodeStandIn(kubeconfig, work_dir, {"busybox": Image(("sh",), {"MARK": sys.argv[3]})})
node.start()
print("started", flush=True)
threading.Event().wait()
"""
# Children in a session of their own, so that only the end of the namespace can reach them.
SCRIPT = "setsid sleep 600 & setsid sleep 600 & wait"


@pytest.fixture(scope="module")
def plane(control_plane_binaries: ControlPlaneBinaries) -> Iterator[ControlPlane]:
    """A plane without the stand-in of the other tests: two of them would play the same node."""
    with ControlPlane(control_plane_binaries) as plane:
        yield plane


def processes_with(mark: str, work_dir: Path) -> set[int]:
    """Processes whose environment has the mark, or whose command line names the directory."""
    found = set()
    for entry in Path("/proc").iterdir():
        if not entry.name.isdigit() or int(entry.name) == os.getpid():
            continue
        try:
            text = (entry / "environ").read_bytes() + (entry / "cmdline").read_bytes()
        except OSError:
            continue
        if mark.encode() in text or str(work_dir).encode() in text:
            found.add(int(entry.name))
    return found


def test_stop_leaves_no_process(plane: ControlPlane, tmp_path: Path) -> None:
    mark = uuid.uuid4().hex
    cluster = Cluster(plane, "default")
    images = {"busybox": Image(("sh",), {"MARK": mark})}
    with NodeStandIn(plane.kubeconfig, tmp_path, images) as node:
        cluster.pod("stopped", shell("main", SCRIPT), securityContext={"runAsUser": 3000})
        cluster.running("stopped")
        eventually(lambda: len(processes_with(mark, tmp_path)) >= 4, "the container's processes are found")
        assert node.pid(cluster.namespace, "stopped", "main") in processes_with(mark, tmp_path)
    assert processes_with(mark, tmp_path) == set()


def test_a_killed_host_process_leaves_no_process(plane: ControlPlane, tmp_path: Path) -> None:
    mark = uuid.uuid4().hex
    cluster = Cluster(plane, "default")
    command = [sys.executable, "-c", HOST, str(plane.kubeconfig), str(tmp_path), mark]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as host:
        assert host.stdout is not None
        assert "started\n" in iter(host.stdout.readline, ""), "the stand-in has not started"
        cluster.pod("killed", shell("main", SCRIPT), securityContext={"runAsUser": 3000})
        cluster.running("killed")
        eventually(lambda: len(processes_with(mark, tmp_path) - {host.pid}) >= 4, "the processes are found")
        host.send_signal(signal.SIGKILL)
        host.wait()
    eventually(lambda: not processes_with(mark, tmp_path), "all processes have ended", 5)


def test_a_new_stand_in_declares_the_pods_of_the_old_one_lost(plane: ControlPlane, tmp_path: Path) -> None:
    cluster = Cluster(plane, "default")
    images = {"busybox": Image(("sh",))}
    with NodeStandIn(plane.kubeconfig, tmp_path, images):
        cluster.pod("orphan", shell("main", "exec sleep 600"))
        cluster.running("orphan")
    with NodeStandIn(plane.kubeconfig, tmp_path, images):
        assert cluster.finished("orphan")["reason"] == "NodeShutdown"
