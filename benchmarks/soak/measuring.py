"""Takes the samples of a soak: from /proc, the audit log and the volumes."""

from __future__ import annotations

import time
from collections import Counter
from pathlib import Path

from benchmarks.scale.processes import memory
from benchmarks.scale.writes import LEASES, count_use
from benchmarks.soak.figures import ProcessSample, Sample
from tests.chaos.invariants import leftovers
from tests.chaos.scene import Scene
from tests.testbed.audit import audit_log_size, audit_records

KEPT = "kept"
GONE = "gone"
"""How names of captures begin: whether their clip stays when they go."""

_PROCESSES = {"operator": ("replay-operator", "operator"), "agent": ("replay-agent", "agent")}


class Sampler:
    """Looks at a scene; counts are kept from one look to the next."""

    def __init__(self, scene: Scene) -> None:
        """Begin to count.

        Args:
            scene: What is looked at.
        """
        self._scene = scene
        self._begun = time.monotonic()
        self._writes = 0
        self._read_to = audit_log_size(scene.stack.plane.audit_log)

    def sample(self, deeds: Counter[str]) -> Sample:
        """Look once.

        Args:
            deeds: What was done so far.
        """
        return Sample(
            at_seconds=time.monotonic() - self._begun,
            processes={name: found for name in _PROCESSES if (found := self._process(name)) is not None},
            writes=self._count_writes(),
            database_bytes=self._database_bytes(),
            orphans=self._orphans(),
            deeds=dict(deeds),
        )

    def _process(self, name: str) -> ProcessSample | None:
        component, container = _PROCESSES[name]
        stack = self._scene.stack
        try:
            (pod,) = stack.running_pods(component)
            pid = stack.node.pid(stack.namespace, pod, container)
            return ProcessSample(
                pid=pid,
                rss_mib=memory(pid).now_mib,
                descriptors=len(list(Path(f"/proc/{pid}/fd").iterdir())),
                threads=len(list(Path(f"/proc/{pid}/task").iterdir())),
            )
        except (ValueError, KeyError, LookupError, OSError):
            return None  # it is being started just now

    def _count_writes(self) -> int:
        plane = self._scene.stack.plane
        plane.flush_audit_log()
        end = audit_log_size(plane.audit_log)
        user = f"system:serviceaccount:{self._scene.stack.namespace}:replay-operator"
        use = count_use(audit_records(plane.audit_log, offset=self._read_to), user)
        self._writes += use.writes.total() - use.writes[LEASES]
        self._read_to = end
        return self._writes

    def _database_bytes(self) -> int:
        volume = self._scene.stack.node.volume_path(self._scene.stack.namespace, "replay-catalogue")
        return sum(file.stat().st_size for file in volume.rglob("*") if file.is_file())

    def _orphans(self) -> int:
        seen = self._scene.look()
        captures = {capture["metadata"]["name"] for capture in seen.of_kind("ReplayCapture")}
        clips = (file for file in self._scene.stack.archive().rglob("*") if file.is_file())
        unwanted = [
            file
            for file in clips
            if file.name.endswith(".part")
            or (file.name.startswith(GONE) and not any(file.name.startswith(name) for name in captures))
        ]
        return len(unwanted) + len(leftovers(seen))
