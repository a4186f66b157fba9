"""What the stand-in reports about a pod. Pure."""

import time
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field

from tests.testbed.node.api import Json
from tests.testbed.node.containers import Exit


@dataclass
class ContainerRecord:
    """One container over all its starts, as its status shows it.

    Attributes:
        name: of the container.
        image: as the pod names it.
        state: exactly one of `waiting`, `running`, `terminated`.
        last_state: the `terminated` of the start before.
        restart_count: starts after the first.
        started: the start-up probe, if any, has succeeded.
        ready: the readiness probe, if any, succeeds.
        final: it has ended and is not started again.
    """

    name: str
    image: str
    state: Json = field(default_factory=lambda: {"waiting": {"reason": "PodInitializing"}})
    last_state: Json = field(default_factory=dict)
    restart_count: int = 0
    started: bool = False
    ready: bool = False
    final: bool = False

    @property
    def exit_code(self) -> int | None:
        """Of the latest start, if it has ended."""
        terminated = self.state.get("terminated")
        return None if terminated is None else int(terminated["exitCode"])

    def running(self, started_at: float) -> None:
        """The process runs (seconds since the epoch)."""
        self.state = {"running": {"startedAt": timestamp(started_at)}}

    def waiting(self, reason: str, message: str) -> None:
        """The process cannot run now."""
        self._keep_last_state()
        self.state = {"waiting": {"reason": reason, "message": message}}
        self.started = self.ready = False

    def terminated(self, end: Exit) -> None:
        """The process has ended."""
        self._keep_last_state()
        body = {
            "exitCode": end.code,
            "reason": end.reason,
            "startedAt": timestamp(end.started_at),
            "finishedAt": timestamp(end.finished_at),
        }
        if end.message:
            body["message"] = end.message
        self.state = {"terminated": body}
        self.started = self.ready = False

    def restarting(self) -> None:
        """The process is about to be started once more."""
        self._keep_last_state()
        self.restart_count += 1

    def _keep_last_state(self) -> None:
        if "terminated" in self.state:
            self.last_state = self.state

    def as_status(self, *, ready: bool) -> Json:
        """The entry of `containerStatuses`."""
        return {
            "name": self.name,
            "image": self.image,
            "imageID": self.image,
            "state": self.state,
            "lastState": self.last_state,
            "restartCount": self.restart_count,
            "started": self.started,
            "ready": ready,
        }


@dataclass(frozen=True)
class PodVerdict:
    """A decision about the whole pod that its containers do not show, for example a passed deadline."""

    phase: str
    reason: str
    message: str


def timestamp(seconds: float) -> str:
    """Seconds since the epoch as Kubernetes writes a time."""
    return time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime(seconds))


def pod_phase(inits: Sequence[ContainerRecord], containers: Sequence[ContainerRecord]) -> str:
    """The phase by the states of the containers alone."""
    # A container that never ran (the pod was deleted first) has no exit code, and has not succeeded.
    if any(init.final and init.exit_code != 0 for init in inits):
        return "Failed"
    if not all(init.final for init in inits):
        return "Pending"
    if all(container.final for container in containers):
        return "Succeeded" if all(container.exit_code == 0 for container in containers) else "Failed"
    touched = any("waiting" not in c.state or c.restart_count or c.last_state for c in containers)
    return "Running" if touched else "Pending"


def pod_status(
    *,
    pod_ip: str,
    started_at: float,
    inits: Sequence[ContainerRecord],
    containers: Sequence[ContainerRecord],
    verdict: PodVerdict | None,
    previous: Iterable[Json],
    now: float,
) -> Json:
    """The whole status of a pod.

    Args:
        pod_ip: the address that the stand-in gave it.
        started_at: when the stand-in first saw it, seconds since the epoch.
        inits: records of the init containers, in order.
        containers: records of the containers.
        verdict: overrides phase, reason and message.
        previous: the conditions last reported, so that transition times stay.
        now: seconds since the epoch.
    """
    phase = verdict.phase if verdict else pod_phase(inits, containers)
    status: Json = {
        "phase": phase,
        "hostIP": "127.0.0.1",
        "hostIPs": [{"ip": "127.0.0.1"}],
        "podIP": pod_ip,
        "podIPs": [{"ip": pod_ip}],
        "startTime": timestamp(started_at),
        "initContainerStatuses": [c.as_status(ready=c.final and c.exit_code == 0) for c in inits],
        "containerStatuses": [c.as_status(ready=c.ready) for c in containers],
        "conditions": _conditions(phase, inits, containers, previous, now),
    }
    if verdict:
        status |= {"reason": verdict.reason, "message": verdict.message}
    return status


def _conditions(
    phase: str,
    inits: Sequence[ContainerRecord],
    containers: Sequence[ContainerRecord],
    previous: Iterable[Json],
    now: float,
) -> list[Json]:
    unready = [container.name for container in containers if not container.ready]
    why: Json = {}
    if phase in ("Succeeded", "Failed"):
        why = {"reason": "PodCompleted" if phase == "Succeeded" else "PodFailed"}
    elif unready:
        why = {"reason": "ContainersNotReady", "message": f"containers with unready status: {unready}"}
    ready = not unready and phase == "Running"
    wanted: dict[str, tuple[bool, Json]] = {
        "PodReadyToStartContainers": (phase in ("Pending", "Running"), {}),
        "Initialized": (all(init.final and init.exit_code == 0 for init in inits), {}),
        "ContainersReady": (ready, {} if ready else why),
        "Ready": (ready, {} if ready else why),
    }
    known = {condition["type"]: condition for condition in previous}
    conditions = []
    for name, (holds, details) in wanted.items():
        word = "True" if holds else "False"
        since = timestamp(now)
        if name in known and known[name]["status"] == word:
            since = known[name]["lastTransitionTime"]
        # None removes what an earlier patch wrote.
        condition = {"reason": None, "message": None, **details}
        conditions.append({"type": name, "status": word, "lastTransitionTime": since, **condition})
    return conditions
