"""What the tests of the stand-in need of a namespace: apply, read, wait for a condition with a deadline."""

import json
import sys
import time
from collections.abc import Callable
from dataclasses import dataclass

from tests.testbed.controlplane import ControlPlane
from tests.testbed.node.api import Json

WAIT_SECONDS = 60.0
_POLL_SECONDS = 0.05


def eventually(condition: Callable[[], bool], what: str, seconds: float = WAIT_SECONDS) -> None:
    """Returns when the condition holds; fails the test when it does not in time."""
    deadline = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < deadline, f"not within {seconds} s: {what}"
        time.sleep(_POLL_SECONDS)


def shell(name: str, script: str, **fields: object) -> Json:
    """A container that runs a shell script."""
    return {"name": name, "image": "busybox", "command": ["sh", "-c", script], **fields}


def python(name: str, script: str, **fields: object) -> Json:
    """A container that runs a Python script with the interpreter of the tests."""
    return {"name": name, "image": "python", "command": [sys.executable, "-c", script], **fields}


def http_server(name: str, port: int, **fields: object) -> Json:
    """A container that answers HTTP on the pod's own address."""
    command = [sys.executable, "-m", "http.server", str(port), "--bind", "$(POD_IP)"]
    env = [{"name": "POD_IP", "valueFrom": {"fieldRef": {"fieldPath": "status.podIP"}}}]
    return {"name": name, "image": "python", "command": command, "env": env, **fields}


@dataclass(frozen=True)
class Cluster:
    """One namespace of the test control plane."""

    plane: ControlPlane
    namespace: str

    def kubectl(self, *arguments: str) -> str:
        return self.plane.kubectl("-n", self.namespace, *arguments)

    def apply(self, manifest: Json) -> None:
        self.plane.kubectl("-n", self.namespace, "apply", "-f", "-", input=json.dumps(manifest))

    def get(self, kind: str, name: str) -> Json:
        found: Json = json.loads(self.kubectl("get", kind, name, "-o", "json"))
        return found

    def names(self, kind: str, *selectors: str) -> list[str]:
        return self.kubectl("get", kind, *selectors, "-o", "name").split()

    def pod(self, name: str, *containers: Json, **spec: object) -> None:
        """Creates a pod that is not restarted, with a grace period of a second."""
        self.apply(
            {
                "apiVersion": "v1",
                "kind": "Pod",
                "metadata": {"name": name, "labels": {"app": name}},
                "spec": {
                    "restartPolicy": "Never",
                    "terminationGracePeriodSeconds": 1,
                    "containers": list(containers),
                    **spec,
                },
            }
        )

    def status(self, pod: str) -> Json:
        status: Json = self.get("pod", pod)["status"]
        return status

    def container(self, pod: str, index: int = 0) -> Json:
        """The status of a container; empty while there is none."""
        statuses = self.status(pod).get("containerStatuses", [])
        return statuses[index] if statuses else {}

    def finished(self, pod: str) -> Json:
        """Waits for the end of a pod that is not restarted and returns its status."""
        eventually(lambda: self.status(pod).get("phase") in ("Succeeded", "Failed"), f"pod {pod} has ended")
        return self.status(pod)

    def message(self, pod: str, index: int = 0) -> str:
        """The termination message of a container, once the pod has ended."""
        terminated = self.finished(pod)["containerStatuses"][index]["state"]["terminated"]
        return str(terminated.get("message", ""))

    def running(self, pod: str) -> None:
        """Waits until all containers of the pod are ready."""
        eventually(lambda: self.is_ready(pod), f"pod {pod} is ready")

    def is_ready(self, pod: str) -> bool:
        conditions = self.status(pod).get("conditions", [])
        return any(item["type"] == "Ready" and item["status"] == "True" for item in conditions)

    def claim(self, name: str, storage_class: str, size: str = "1Gi") -> None:
        self.apply(
            {
                "apiVersion": "v1",
                "kind": "PersistentVolumeClaim",
                "metadata": {"name": name},
                "spec": {
                    "storageClassName": storage_class,
                    "accessModes": ["ReadWriteOnce"],
                    "resources": {"requests": {"storage": size}},
                },
            }
        )

    def exists(self, kind: str, name: str) -> bool:
        return bool(self.kubectl("get", kind, name, "--ignore-not-found", "-o", "name"))
