"""What users do at the worst moment: leave and return, publish anew, delete a buffer and make another."""

from __future__ import annotations

from collections.abc import Mapping

from tests.chaos.deeds import Deed
from tests.chaos.plan import Fault, FaultKind
from tests.chaos.scene import Recorded, Scene


class SourceFaults:
    """Carries them out."""

    def __init__(self, scene: Scene) -> None:
        """Take the scene."""
        self._scene = scene

    def deeds(self) -> Mapping[FaultKind, Deed]:
        """Give what is done for each kind."""
        scene = self._scene
        return {
            FaultKind.PUBLISHER_RETURNS: Deed(
                lambda fault: scene.leave(self._buffer(fault)), lambda fault: scene.enter(self._buffer(fault))
            ),
            FaultKind.TRACK_REPUBLISHED: Deed(lambda fault: scene.publish_anew(self._buffer(fault))),
            FaultKind.BUFFER_REPLACED: Deed(lambda fault: scene.replace_buffer(self._number(fault))),
        }

    def heal(self) -> None:
        """Let alice be everywhere."""
        for buffer in self._scene.buffers:
            self._scene.enter(buffer)

    def _number(self, fault: Fault) -> int:
        return fault.target % len(self._scene.buffers)

    def _buffer(self, fault: Fault) -> Recorded:
        return self._scene.buffers[self._number(fault)]
