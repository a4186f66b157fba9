"""Makes the faults of a plan happen."""

from __future__ import annotations

import os
import signal
import threading
import time
from collections.abc import Callable

from tests.chaos.plan import Fault, FaultKind, timeline
from tests.chaos.scene import Scene
from tests.chaos.workers import FLEET

_METHODS = ("ListEgress", "ListParticipants", "StartTrackCompositeEgress", "StopEgress")
_MANY = 1_000_000

_LIVEKIT: dict[FaultKind, dict[str, str | int]] = {
    FaultKind.LIVEKIT_REFUSES: {"kind": "error", "status": 503},
    FaultKind.LIVEKIT_SILENT: {"kind": "no_answer"},
    FaultKind.LIVEKIT_HANGS_UP: {"kind": "disconnect"},
}


class Executor:
    """Carries faults out on a scene."""

    def __init__(self, scene: Scene) -> None:
        """Take the scene."""
        self._scene = scene
        self._stack = scene.stack
        self._begin: dict[FaultKind, Callable[[Fault], None]] = {
            FaultKind.OPERATOR_KILLED: lambda _: self._signal("replay-operator", "operator"),
            FaultKind.OPERATOR_POD_DELETED: lambda _: self._delete_pod("replay-operator"),
            FaultKind.AGENT_KILLED: lambda _: self._signal("replay-agent", "agent"),
            FaultKind.AGENT_FROZEN: lambda _: self._signal("replay-agent", "agent", signal.SIGSTOP),
            FaultKind.API_SERVER_FROZEN: self._freeze_api_server,
            FaultKind.LIVEKIT_REFUSES: self._break_livekit,
            FaultKind.LIVEKIT_SILENT: self._break_livekit,
            FaultKind.LIVEKIT_HANGS_UP: self._break_livekit,
            FaultKind.LIVEKIT_FORGETS: lambda _: self._empty_list(),
            FaultKind.WORKER_DRAINED: self._drain_worker,
            FaultKind.WORKER_KILLED: self._kill_worker,
            FaultKind.PUBLISHER_RETURNS: lambda fault: scene.leave(scene.buffers[self._number(fault)]),
            FaultKind.TRACK_REPUBLISHED: lambda fault: scene.publish_anew(scene.buffers[self._number(fault)]),
            FaultKind.BUFFER_REPLACED: lambda fault: scene.replace_buffer(self._number(fault)),
        }

    def run(self, faults: tuple[Fault, ...]) -> None:
        """Make faults happen; all of them are over when this returns, their consequences are not.

        Args:
            faults: In the order of their begins.
        """
        begun = time.monotonic()
        try:
            for step in timeline(faults):
                _let_time_pass(begun + step.at_seconds - time.monotonic())
                if step.begins:
                    self._begin[step.fault.kind](step.fault)
                else:
                    self._end(step.fault)
        finally:
            self._signal("replay-agent", "agent", signal.SIGCONT)
            self._scene.admin.delete("faults")
            for buffer in self._scene.buffers:
                self._scene.enter(buffer)

    def _end(self, fault: Fault) -> None:
        if fault.kind in _LIVEKIT:
            self._scene.admin.delete("faults")
        if fault.kind is FaultKind.AGENT_FROZEN:
            self._signal("replay-agent", "agent", signal.SIGCONT)
        if fault.kind is FaultKind.PUBLISHER_RETURNS:
            self._scene.enter(self._scene.buffers[self._number(fault)])

    def _number(self, fault: Fault) -> int:
        return fault.target % len(self._scene.buffers)

    def _signal(self, component: str, container: str, number: int = signal.SIGKILL) -> None:
        for pod in self._stack.running_pods(component):
            self._signal_container(pod, container, number)

    def _signal_container(self, pod: str, container: str, number: int = signal.SIGKILL) -> None:
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

    def _kill_worker(self, fault: Fault) -> None:
        if pod := self._recording_worker(fault):
            self._signal_container(pod, "egress")

    def _recording_worker(self, fault: Fault) -> str | None:
        """Name the pod that records a buffer; None when none does now, or it is told to stop already."""
        pod = self._scene.worker_of(self._scene.buffers[self._number(fault)])
        if pod not in self._stack.running_pods(FLEET):
            print(f"chaos: {fault.kind}: no pod to take, {pod} is on its way out")
            return None
        return pod

    def _freeze_api_server(self, fault: Fault) -> None:
        # Nothing else can begin meanwhile: what the suite does goes through the same server.
        pid = self._stack.plane.pids["kube-apiserver"]
        os.kill(pid, signal.SIGSTOP)
        try:
            _let_time_pass(fault.seconds)
        finally:
            os.kill(pid, signal.SIGCONT)

    def _break_livekit(self, fault: Fault) -> None:
        for method in _METHODS:
            self._scene.admin.post(
                "faults",
                {**_LIVEKIT[fault.kind], "method": method, "count": _MANY, "seconds": fault.seconds},
            )

    def _empty_list(self) -> None:
        self._scene.admin.post("faults", {"kind": "empty", "method": "ListEgress"})


def _let_time_pass(seconds: float) -> None:
    """Wait for nothing: how long a fault lasts is part of the plan."""
    if seconds > 0:
        threading.Event().wait(seconds)
