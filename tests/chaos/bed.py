"""The install that faults are carried out on."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from tests.chaos.calm import wait_until_calm
from tests.chaos.scene import Scene
from tests.chaos.webhooks import WEBHOOK_PORT
from tests.stack.images import stack_images
from tests.stack.stack import Stack
from tests.testbed.api_front import ApiFrontInThread
from tests.testbed.controlplane import ControlPlane
from tests.testbed.node import NodeStandIn

# As long as the real server takes to refuse (livekit-measured §3): here it counts who waits for that.
_TIMING = {"LIVEKIT_DOUBLE_TIMING": '{"stop_refusal_seconds": 3.0}'}

# A directory without a buffer goes sooner than after ten minutes, so that one that stays is seen.
_IMPATIENT_AGENT = {
    "REPLAY_AGENT_ORPHAN_GRACE_SECONDS": "20",
    "REPLAY_AGENT_RETENTION_INTERVAL_SECONDS": "2",
    "REPLAY_AGENT_STARTUP_QUIET_SECONDS": "5",
}


@contextmanager
def running_scene(
    plane: ControlPlane, front: ApiFrontInThread, directory: Path, *, buffers: int
) -> Iterator[Scene]:
    """Bring up an install with small buffers that record, and wait until it is calm.

    Args:
        plane: A control plane of its own: it is killed and frozen.
        front: Through which the operator reaches the API server; everybody else goes straight to it.
        directory: For volumes and logs.
        buffers: How many.
    """
    settings = {
        "REPLAY_LIVEKIT_POLL_SECONDS": "1",
        "REPLAY_WEBHOOK_PORT": str(WEBHOOK_PORT),
        "KUBERNETES_SERVICE_PORT": str(front.port),
    }
    with NodeStandIn(plane.kubeconfig, directory, stack_images()) as node:
        stack = Stack(plane, node, "chaos")
        stack.install(rooms={}, timing=_TIMING, settings=settings, agent_settings=_IMPATIENT_AGENT)
        for deployment in ("livekit", "replay-operator", "replay-agent", "livekit-egress"):
            stack.wait_until_available(deployment)
        scene = Scene(stack, buffers=buffers)
        scene.close_account(wait_until_calm(scene).at_ns)  # what a start costs is on no fault's account
        yield scene
