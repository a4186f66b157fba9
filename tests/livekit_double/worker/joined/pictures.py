"""Pictures as they arrive, until the recording takes them."""

from __future__ import annotations

import threading
from collections import deque

import av
import numpy as np
from numpy.typing import NDArray

from tests.livekit_double.worker.encoding_plan import EncodingPlan
from tests.livekit_double.worker.joined.frame_grid import FrameGrid

Picture = NDArray[np.uint8]

# The receiver estimates the sender's clock from what it has received: the first time stamps are up to a
# frame off (measured: 63 ms at the first frame, below 2 ms from the fifth one on).
SETTLING_FRAMES = 8
# Without packets egress shows black. The last picture is held for shorter pauses.
_HELD_SECONDS = 1.0


class Pictures:
    """One track. The event loop puts, the recording's thread takes."""

    def __init__(self, plan: EncodingPlan) -> None:
        """Waits for the first frame.

        Args:
            plan: size and rate of the recording.
        """
        self._plan = plan
        self._grid = FrameGrid(plan.frames_per_second)
        self._lock = threading.Lock()
        self._waiting: deque[tuple[int, Picture]] = deque()
        self._shown: tuple[int, Picture] | None = None
        self._newest = -1
        self._settling = SETTLING_FRAMES

    @property
    def first_at_ns(self) -> int | None:
        """Capture time of the first frame, in nanoseconds; None before it."""
        return self._grid.origin_ns

    def begin(self, captured_at_ns: int) -> None:
        """Says when step 0 is, if no picture has said so: the recording has begun without any."""
        self._grid.begin(captured_at_ns)

    @property
    def waiting(self) -> bool:
        """Whether some have arrived that were not taken yet."""
        return bool(self._waiting)

    def reaches(self, number: int) -> bool:
        """Whether everything up to a step has arrived: pictures come in order."""
        return self._newest >= number

    def put(self, picture: Picture, captured_at_ns: int) -> None:
        """Takes a frame that has arrived.

        Args:
            picture: yuv420p, (height * 3 / 2) x width, of any size.
            captured_at_ns: wall clock.
        """
        if self._settling:
            self._settling -= 1
            return
        scaled = self._scaled(picture)
        with self._lock:
            self._newest = self._grid.step_of(captured_at_ns)
            self._waiting.append((self._newest, scaled))

    def take(self, number: int) -> Picture | None:
        """The newest picture that is not later than a step; None after a while without any."""
        with self._lock:
            while self._waiting and self._waiting[0][0] <= number:
                self._shown = self._waiting.popleft()
        if self._shown is None or number - self._shown[0] > _HELD_SECONDS * self._plan.frames_per_second:
            return None
        return self._shown[1]

    def _scaled(self, picture: Picture) -> Picture:
        # A sender short of CPU or bandwidth sends smaller pictures.
        if picture.shape == (self._plan.height * 3 // 2, self._plan.width):
            return picture
        frame = av.VideoFrame.from_ndarray(picture, format="yuv420p")
        return np.asarray(frame.reformat(self._plan.width, self._plan.height).to_ndarray(), np.uint8)
