"""What a worker without CPU writes: segments in perfect cadence, with hardly anything new in them."""

from collections.abc import Sequence
from fractions import Fraction

from tests.livekit_double.worker.encoders import EncodedPacket
from tests.livekit_double.worker.encoding_plan import EncodingPlan

# Measured in a segment of 6 s at 30 frames a second: 175 of 180 pictures repeat the one before, and there are
# 3 packets of sound. So five new pictures and three packets in six seconds.
_NEW_PICTURE_SECONDS = Fraction(6, 5)
_PACKET_SECONDS = 2


class Starvation:
    """Thins out what a run sees and hears while it is on.

    Attributes:
        on: whether the worker lacks CPU now.
    """

    def __init__(self, plan: EncodingPlan) -> None:
        self.on = False
        self._frames_a_picture = int(_NEW_PICTURE_SECONDS * plan.frames_per_second)
        self._seen = 0
        self._heard_until = Fraction(0)

    def picture_seen(self, number: int) -> int:
        """The number of the frame that is shown in the place of frame `number`."""
        if not self.on or number - self._seen >= self._frames_a_picture:
            self._seen = number
        return self._seen

    def packets_heard(self, packets: Sequence[EncodedPacket]) -> list[EncodedPacket]:
        """The packets of sound that are written."""
        heard = []
        for packet in packets:
            if not self.on or packet.pts >= self._heard_until:
                self._heard_until = packet.pts + _PACKET_SECONDS
                heard.append(packet)
        return heard
