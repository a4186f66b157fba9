"""The operator's replicas: who leads, how processes ended, and what each of them wrote."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from typing import Any

from tests.stack.stack import Stack
from tests.testbed.audit import AuditRecord, audit_records

COMPONENT, CONTAINER = "replay-operator", "operator"


@dataclass(frozen=True, slots=True)
class Leader:
    """What the Lease says of who leads.

    Attributes:
        identity: Of the process.
        pod: Where it runs.
        epoch: It grows with each leader.
        acquired_at: When it took the Lease.
        renewed_at: When it sent its last renewal.
    """

    identity: str
    pod: str
    epoch: int
    acquired_at: datetime
    renewed_at: datetime


class Operators:
    """All replicas of one install."""

    def __init__(self, stack: Stack) -> None:
        """Take the install."""
        self._stack = stack

    def scale(self, replicas: int) -> None:
        """Have so many replicas, and wait until all of them are ready."""
        self._stack.kubectl("scale", "deployment", COMPONENT, f"--replicas={replicas}")
        self._stack.wait_for(
            f"{replicas} operators",
            lambda: len(self._stack.running_pods(COMPONENT)) == replicas and self._are_ready(replicas),
            seconds=120,
        )

    def leader(self) -> Leader | None:
        """Give who leads by the Lease; None when it was given up."""
        spec = (self._stack.get("lease", COMPONENT) or {}).get("spec", {})
        identity = spec.get("holderIdentity")
        if not identity:
            return None
        return Leader(
            identity=identity,
            pod=identity.rpartition("_")[0],
            epoch=spec["leaseTransitions"],
            acquired_at=datetime.fromisoformat(spec["acquireTime"]),
            renewed_at=datetime.fromisoformat(spec["renewTime"]),
        )

    def wait_for_leader(self, *, other_than: Leader | None = None) -> Leader:
        """Wait until somebody leads, or somebody else."""
        before = other_than.identity if other_than else ""

        def look() -> Leader | None:
            found = self.leader()
            return found if found and found.identity != before else None

        return self._stack.wait_for("another leader" if before else "a leader", look, seconds=90)

    def signal(self, pod: str, number: int) -> None:
        """Signal the operator in a pod."""
        self._stack.node.kill_container(self._stack.namespace, pod, CONTAINER, number)

    def exit_codes(self) -> dict[str, tuple[int, int | None]]:
        """Give how often the operator was started again in each pod, and the exit code of the last end."""
        pods = self._stack.list_all("pods", labels=f"app.kubernetes.io/name={COMPONENT}")
        return {pod["metadata"]["name"]: _ends(pod) for pod in pods}

    def writes(self, pod: str, *, since: datetime) -> list[AuditRecord]:
        """Give what the operator in a pod has written since then."""
        self._stack.plane.flush_audit_log()
        return [
            record
            for record in audit_records(self._stack.plane.audit_log)
            if record.pod == pod and record.is_write and record.stage_timestamp > since
        ]

    def _are_ready(self, replicas: int) -> bool:
        deployment = self._stack.get("deployment", COMPONENT) or {}
        return bool(deployment.get("status", {}).get("availableReplicas", 0) == replicas)


def _ends(pod: dict[str, Any]) -> tuple[int, int | None]:
    (status,) = pod["status"]["containerStatuses"]
    return status["restartCount"], status.get("lastState", {}).get("terminated", {}).get("exitCode")
