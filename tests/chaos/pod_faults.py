"""Faults of the processes in pods: operator, agent, and the workers that record."""

from __future__ import annotations

import signal
from collections.abc import Mapping

from tests.chaos.deeds import Deed
from tests.chaos.plan import Fault, FaultKind
from tests.chaos.scene import Scene
from tests.chaos.workers import FLEET

_OPERATOR = ("replay-operator", "operator")
_AGENT = ("replay-agent", "agent")


class PodFaults:
    """Carries them out."""

    def __init__(self, scene: Scene) -> None:
        """Take the scene."""
        self._scene = scene
        self._stack = scene.stack

    def deeds(self) -> Mapping[FaultKind, Deed]:
        """Give what is done for each kind."""
        return {
            FaultKind.OPERATOR_KILLED: Deed(lambda _: self._signal(*_OPERATOR, signal.SIGKILL)),
            FaultKind.OPERATOR_POD_DELETED: Deed(lambda _: self._delete_pod(_OPERATOR[0])),
            FaultKind.OPERATOR_FROZEN: self._freeze(*_OPERATOR),
            FaultKind.AGENT_KILLED: Deed(lambda _: self._signal(*_AGENT, signal.SIGKILL)),
            FaultKind.AGENT_FROZEN: self._freeze(*_AGENT),
            FaultKind.WORKER_DRAINED: Deed(self._drain_worker),
            FaultKind.WORKER_KILLED: Deed(lambda fault: self._signal_worker(fault, signal.SIGKILL)),
            FaultKind.WORKER_INTERRUPTED: Deed(lambda fault: self._signal_worker(fault, signal.SIGINT)),
        }

    def heal(self) -> None:
        """Wake who is frozen."""
        for part in (_OPERATOR, _AGENT):
            self._signal(*part, signal.SIGCONT)

    def _freeze(self, component: str, container: str) -> Deed:
        return Deed(
            lambda _: self._signal(component, container, signal.SIGSTOP),
            lambda _: self._signal(component, container, signal.SIGCONT),
        )

    def _signal(self, component: str, container: str, number: int) -> None:
        for pod in self._stack.running_pods(component):
            self._signal_container(pod, container, number)

    def _signal_container(self, pod: str, container: str, number: int) -> None:
        try:
            self._stack.node.kill_container(self._stack.namespace, pod, container, number)
        except LookupError:
            print(f"chaos: {pod} did not run at that moment: no signal {number} for it")

    def _delete_pod(self, component: str) -> None:
        for pod in self._stack.running_pods(component):
            self._stack.kubectl("delete", "pod", pod, "--wait=false")

    def _drain_worker(self, fault: Fault) -> None:
        if pod := self._recording_worker(fault):
            self._stack.kubectl("delete", "pod", pod, "--wait=false")

    def _signal_worker(self, fault: Fault, number: int) -> None:
        if pod := self._recording_worker(fault):
            self._signal_container(pod, "egress", number)

    def _recording_worker(self, fault: Fault) -> str | None:
        """Name the pod that records a buffer; None when none does now, or it is told to stop already."""
        pod = self._scene.worker_of(self._scene.buffers[fault.target % len(self._scene.buffers)])
        if pod not in self._stack.running_pods(FLEET):
            print(f"chaos: {fault.kind}: no pod to take, {pod} is on its way out")
            return None
        return pod
