"""Makes the faults of a plan happen."""

from __future__ import annotations

import time
from collections import Counter

from tests.chaos.api_server_faults import ApiServerFaults
from tests.chaos.deeds import Deed, Faults, let_time_pass
from tests.chaos.livekit_faults import LiveKitFaults
from tests.chaos.plan import Fault, FaultKind, timeline
from tests.chaos.pod_faults import PodFaults
from tests.chaos.scene import Scene
from tests.chaos.source_faults import SourceFaults
from tests.testbed.api_front import ApiFrontInThread


class Executor:
    """Carries faults out on a scene.

    Attributes:
        hits: How much a kind of fault has hit, of those kinds that miss when nobody calls just then.
    """

    def __init__(self, scene: Scene, front: ApiFrontInThread) -> None:
        """Take the scene, and the front through which its operator reaches the API server."""
        self._scene = scene
        self.hits: Counter[FaultKind] = Counter()
        # Healed in this order: what alice does needs LiveKit, and everything needs the API server.
        self._parts: tuple[Faults, ...] = (
            ApiServerFaults(scene.stack.plane, front, self.hits),
            PodFaults(scene),
            LiveKitFaults(scene, self.hits),
            SourceFaults(scene),
        )
        self._deeds: dict[FaultKind, Deed] = {
            kind: deed for part in self._parts for kind, deed in part.deeds().items()
        }

    def run(self, faults: tuple[Fault, ...]) -> None:
        """Make faults happen; all of them are over when this returns, their consequences are not.

        Args:
            faults: In the order of their begins.
        """
        begun = time.monotonic()
        try:
            for step in timeline(faults):
                let_time_pass(begun + step.at_seconds - time.monotonic())
                deed = self._deeds[step.fault.kind]
                (deed.begin if step.begins else deed.end)(step.fault)
        finally:
            for part in self._parts:
                part.heal()
            self._scene.note_end_of_faults()
