"""The whole system on the test bed, and what the stages ask of it."""

from __future__ import annotations

import uuid
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from benchmarks.moment.parts import Told
from replay_operator.api.capture_job import CaptureResult, Timings
from tests.stack.images import stack_images
from tests.stack.stack import Stack
from tests.testbed.audit import AuditRecord, audit_log_size, audit_records
from tests.testbed.controlplane import ControlPlane
from tests.testbed.node import NodeStandIn

API_VERSION = "replaybuffer.dev/v1alpha1"
SMALL = {"advanced": {"width": 320, "height": 180, "framerate": 15, "videoKbps": 200, "audioKbps": 64}}
READY_SECONDS = 180


@contextmanager
def running_stack(directory: Path) -> Iterator[Stack]:
    """Bring up control plane, node stand-in and install, with the settings of `manifests/base`.

    Args:
        directory: For volumes and logs.
    """
    with ControlPlane() as plane, NodeStandIn(plane.kubeconfig, directory, stack_images()) as node:
        stack = Stack(plane, node, "moment")
        stack.install()
        for deployment in ("livekit", "replay-operator", "replay-agent", "livekit-egress"):
            stack.wait_until_available(deployment)
        yield stack


def record(stack: Stack, **spec: Any) -> dict[str, Any]:
    """Make a room with alice in it and a buffer for her screen; give the buffer once it records.

    Args:
        stack: Where.
        spec: What differs from a small recording of ten minutes.
    """
    name = f"buffer-{uuid.uuid4().hex[:8]}"
    stack.livekit.post("rooms", {"name": name})
    tracks = ["SCREEN_SHARE", "MICROPHONE"]
    stack.livekit.post(f"rooms/{name}/participants", {"identity": "alice", "tracks": tracks})
    participant = {"identity": "alice", "video": "ScreenShare", "audio": "Microphone"}
    wanted = {
        "room": name,
        "source": {"participant": participant},
        "windowSeconds": 600,
        "keepAfterEndSeconds": 14400,
        "encoding": SMALL,
        **spec,
    }
    metadata = {"name": name}
    stack.apply({"apiVersion": API_VERSION, "kind": "ReplayBuffer", "metadata": metadata, "spec": wanted})
    return stack.wait_for_condition("rb", name, "Recording", seconds=120)


class Click:
    """One capture from its `kubectl apply` on."""

    def __init__(self, stack: Stack, buffer: str) -> None:
        """Take what is clicked on.

        Args:
            stack: Where.
            buffer: Name of the ReplayBuffer.
        """
        self._stack = stack
        self._buffer = buffer
        self._name = f"moment-{uuid.uuid4().hex[:8]}"
        self._offset = audit_log_size(stack.plane.audit_log)
        self.at = datetime.now(UTC)

    def save(self, **spec: Any) -> dict[str, Any]:
        """Ask for the clip, and give the capture once it is ready.

        Args:
            spec: What to capture.
        """
        metadata = {"name": self._name}
        wanted = {"bufferRef": {"name": self._buffer}, "deletionPolicy": "Delete", **spec}
        self._stack.apply(
            {"apiVersion": API_VERSION, "kind": "ReplayCapture", "metadata": metadata, "spec": wanted}
        )
        patience = f"--timeout={READY_SECONDS}s"
        self._stack.kubectl("wait", "rcap", self._name, "--for=condition=Ready", patience)
        return self._stack.get("rcap", self._name) or {}

    def told(self, capture: dict[str, Any]) -> Told:
        """Read what the finished capture says about itself.

        Args:
            capture: The ReplayCapture.
        """
        status = capture["status"]
        clip = self._stack.archive() / status["clip"]["path"]
        job = status["job"]["name"]
        (pod,) = self._stack.list_all("pods", labels=f"batch.kubernetes.io/job-name={job}")
        # Only the log knows how long the publication took: the sidecar is written before it.
        said = self._stack.kubectl("logs", pod["metadata"]["name"], "-c", "capture").splitlines()[-1]
        result = CaptureResult.model_validate_json(said)
        ready = next(c for c in status["conditions"] if c["type"] == "Ready")
        return Told(
            click=self.at,
            capture=self._name,
            job=job,
            pod=pod["metadata"]["name"],
            ready=datetime.fromisoformat(ready["lastTransitionTime"]),
            published=datetime.fromtimestamp(clip.stat().st_ctime, UTC),
            timings=result.timings or Timings(),
        )

    def requests(self) -> list[AuditRecord]:
        """Give what the API server has answered since the click."""
        self._stack.plane.flush_audit_log()
        return list(audit_records(self._stack.plane.audit_log, offset=self._offset))

    def forget(self) -> None:
        """Delete the capture with its clip, and wait until it is gone."""
        self._stack.kubectl("delete", "rcap", self._name)
