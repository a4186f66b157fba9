"""A fault raises the alert that is meant for it, within its time, and no other.

Installs stand side by side, each with a trouble of its own, and one real Prometheus looks at all of them with
the alerts as they are shipped.
"""

from __future__ import annotations

import time
from collections import Counter
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass

import pytest

from tests.chaos.calm import wait_until_calm
from tests.chaos.livekit_faults import LiveKitFaults
from tests.chaos.plan import Fault, FaultKind
from tests.chaos.pod_faults import PodFaults
from tests.chaos.scene import Scene
from tests.chaos.workers import FLEET
from tests.monitoring.rules import program
from tests.monitoring.server import Prometheus, prometheus
from tests.stack.images import stack_images
from tests.stack.stack import Stack
from tests.testbed.controlplane import ControlPlane
from tests.testbed.node import NodeStandIn

NOTICE_SECONDS = 25.0
"""From a fault until the metric tells of it, and from there to the next scrape and evaluation."""

REFUSAL_SECONDS = 22.0
"""What LiveKit takes to say that no worker is there (livekit-measured §3): nobody knows before."""

_PORTS = {"replay-operator": 8080, "replay-agent": 8480}
_LONG_SECONDS = 600.0


@dataclass(frozen=True, slots=True)
class Trouble:
    """What is done to an install, and what has to be told of it.

    Attributes:
        begin: Does it, to the scene of an install.
        alert: What must fire; None: it mends itself, so that nobody needs to be called.
        within_seconds: The alert's own time: the age that its expression asks for, and its `for`. What fires
            later may be right as well: without an operator, retention stops after minutes.
    """

    begin: Callable[[Scene], None]
    alert: str | None = None
    within_seconds: float = 120.0


def _livekit_is_silent(scene: Scene) -> None:
    fault = Fault(FaultKind.LIVEKIT_SILENT, target=0, seconds=_LONG_SECONDS, pause_seconds=0.0)
    LiveKitFaults(scene, Counter()).deeds()[fault.kind].begin(fault)


def _is_gone(deployment: str) -> Callable[[Scene], None]:
    def begin(scene: Scene) -> None:
        scene.stack.kubectl("scale", "deployment", deployment, "--replicas=0")

    return begin


def _all_workers_are_gone(scene: Scene) -> None:
    workers = scene.stack.running_pods(FLEET)
    _is_gone(FLEET)(scene)
    # Told to go, they would record on until their grace period ends.
    for pod in workers:
        scene.stack.kubectl("delete", "pod", pod, "--grace-period=0", "--force")


def _what_mends_itself(scene: Scene) -> None:
    faults = {**PodFaults(scene).deeds(), **LiveKitFaults(scene, Counter()).deeds()}
    for kind in (
        FaultKind.WORKER_KILLED,
        FaultKind.AGENT_KILLED,
        FaultKind.OPERATOR_KILLED,
        FaultKind.LIVEKIT_FORGETS,
    ):
        faults[kind].begin(Fault(kind, target=0, seconds=0.0, pause_seconds=0.0))


TROUBLES: Mapping[str, Trouble] = {
    "livekit-silent": Trouble(_livekit_is_silent, "ReplayLiveKitUnreachable", 60),
    "agent-gone": Trouble(_is_gone("replay-agent"), "ReplayAgentDown", 60),
    "operator-gone": Trouble(_is_gone("replay-operator"), "ReplayNoLeader", 60),
    "workers-gone": Trouble(_all_workers_are_gone, "ReplayNoEgressCapacity", REFUSAL_SECONDS + 120),
    "mends-itself": Trouble(_what_mends_itself),
}

Raised = Mapping[str, Mapping[str, float]]
"""When each alert fired for the first time, in seconds after the troubles began, by install."""


@pytest.fixture(scope="module")
def scenes(plane: ControlPlane, tmp_path_factory: pytest.TempPathFactory) -> Iterator[dict[str, Scene]]:
    """An install for each trouble; one buffer records in it."""
    with NodeStandIn(plane.kubeconfig, tmp_path_factory.mktemp("node"), stack_images()) as node:
        stacks = {name: Stack(plane, node, name) for name in TROUBLES}
        for stack in stacks.values():
            stack.install(rooms={}, settings={"REPLAY_LIVEKIT_POLL_SECONDS": "1"})
        for stack in stacks.values():
            for deployment in ("livekit", *_PORTS, FLEET):
                stack.wait_until_available(deployment)
        scenes = {name: Scene(stack, buffers=1) for name, stack in stacks.items()}
        for scene in scenes.values():
            wait_until_calm(scene)
        yield scenes


@pytest.fixture(scope="module")
def server(scenes: dict[str, Scene], tmp_path_factory: pytest.TempPathFactory) -> Iterator[Prometheus]:
    targets = {
        f"{scene.stack.address(component)}:{port}": {
            "namespace": name,
            "pod": scene.stack.pod(component),
        }
        for name, scene in scenes.items()
        for component, port in _PORTS.items()
    }
    folder = tmp_path_factory.mktemp("prometheus")
    with prometheus(program("prometheus"), folder, targets) as server:
        stack = next(iter(scenes.values())).stack
        stack.wait_for("a first scrape", lambda: len(server.values("up == 1")) == len(targets), seconds=30)
        yield server


@pytest.fixture(scope="module")
def raised(scenes: dict[str, Scene], server: Prometheus) -> Raised:
    """Let all troubles begin, and write down what fires until the slowest alert is due."""
    assert _firing(server) == set()
    begun = time.monotonic()
    for name, trouble in TROUBLES.items():
        trouble.begin(scenes[name])
    raised: dict[str, dict[str, float]] = {name: {} for name in TROUBLES}
    due = time.monotonic() + max(trouble.within_seconds for trouble in TROUBLES.values()) + NOTICE_SECONDS
    while time.monotonic() < due:
        for name, alert in _firing(server):
            raised[name].setdefault(alert, time.monotonic() - begun)
        time.sleep(1.0)  # the watch lasts as long as the slowest alert may take: no other may come meanwhile
    return raised


def _firing(server: Prometheus) -> set[tuple[str, str]]:
    return {
        (alert["labels"]["namespace"], alert["labels"]["alertname"])
        for alert in server.ask("alerts")["alerts"]
        if alert["state"] == "firing"
    }


@pytest.mark.parametrize("name", TROUBLES)
def test_a_trouble_raises_its_alert_in_time_and_no_other(name: str, raised: Raised) -> None:
    trouble = TROUBLES[name]
    in_time = {a for a, s in raised[name].items() if s <= trouble.within_seconds + NOTICE_SECONDS}
    assert in_time == ({trouble.alert} if trouble.alert else set()), raised
