"""Where the pictures and the sound of an egress come from."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping
from typing import Protocol

import numpy as np
from numpy.typing import NDArray

from tests.livekit_double.marks import FrameMark, tone
from tests.livekit_double.worker.encoding_plan import EncodingPlan
from tests.livekit_double.worker.picture import Camera

_NANOSECONDS = 1_000_000_000
_MILLISECOND_NS = 1_000_000

TracksChanged = Callable[[Mapping[str, bool]], None]


class Source(Protocol):
    """What a recording takes its media from. `picture` and `sound` are called by the recording's thread.

    Attributes:
        delay_seconds: media of an instant are there this long after it, at the latest.
        held_seconds: of that, how much has usually arrived before and only waits.
        patience_seconds: media that are later still are waited for so much longer.
        knows_tracks: whether it tells the room's tracks; if not, the server does.
    """

    delay_seconds: float
    held_seconds: float
    patience_seconds: float
    knows_tracks: bool

    async def open(self, tracks_changed: TracksChanged) -> None:
        """Gets ready.

        Args:
            tracks_changed: hears which tracks there are and whether packets flow, from a source that knows.

        Raises:
            ConnectionError: if the room cannot be joined.
        """

    async def first_media_at_ns(self) -> int:
        """The wall clock of the first media, in nanoseconds; waits for them."""

    def has_arrived(self, number: int, captured_at_ns: int) -> bool:
        """Whether nothing of an instant is still to come.

        Args:
            number: the frame's position in the run.
            captured_at_ns: wall clock.
        """

    def picture(self, number: int, captured_at_ns: int) -> NDArray[np.uint8] | None:
        """The picture of an instant, as yuv420p of the plan's size; None if nothing is to be seen.

        Args:
            number: the frame's position in the run.
            captured_at_ns: wall clock.
        """

    def pictures_waiting(self) -> bool:
        """Whether pictures have arrived that were not taken yet: they belong to the time before."""

    def sound(self, captured_at_ns: int, samples: int) -> NDArray[np.float32]:
        """Samples of one channel from an instant on; what is not there is silence.

        Args:
            captured_at_ns: wall clock of the first sample.
            samples: how many, at the plan's rate.
        """

    async def close(self) -> None:
        """Lets go of what `open` has taken."""


SourceMaker = Callable[[EncodingPlan], Source]


class SyntheticSource:
    """Drawn and computed here, of any instant, at once: a mark in each picture and a tone."""

    delay_seconds = 0.0
    held_seconds = 0.0
    patience_seconds = 0.0
    knows_tracks = False

    def __init__(self, plan: EncodingPlan) -> None:
        self._camera = Camera(plan.width, plan.height)
        self._audio_hz = plan.audio_hz

    async def open(self, tracks_changed: TracksChanged) -> None:
        """Needs nothing. The server says which tracks there are."""

    async def first_media_at_ns(self) -> int:
        """Now."""
        return time.time_ns()

    def has_arrived(self, number: int, captured_at_ns: int) -> bool:
        """All of it is drawn when it is wanted."""
        return True

    def picture(self, number: int, captured_at_ns: int) -> NDArray[np.uint8]:
        """A frame with its number and its time."""
        return self._camera.frame(FrameMark(number, round(captured_at_ns / _MILLISECOND_NS)))

    def pictures_waiting(self) -> bool:
        """They are drawn when they are wanted."""
        return False

    def sound(self, captured_at_ns: int, samples: int) -> NDArray[np.float32]:
        """A tone that tells the time."""
        return tone(captured_at_ns / _NANOSECONDS, samples, self._audio_hz)

    async def close(self) -> None:
        """Holds nothing."""
