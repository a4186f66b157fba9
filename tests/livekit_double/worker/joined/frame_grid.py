"""Puts frames that arrive with a time stamp each into the even steps of a recording."""

_NANOSECONDS = 1_000_000_000
# The time stamps of a receiver wander by some milliseconds: a frame moves to another step only when it is
# clearly nearer to it. With half a step the same wander would double a frame here and drop one there.
_STEADY_STEPS = 0.8


class FrameGrid:
    """Steps from the first frame on."""

    def __init__(self, frames_per_second: int) -> None:
        """Makes a grid without a first frame.

        Args:
            frames_per_second: of the recording.
        """
        self._frames_per_second = frames_per_second
        self._origin_ns: int | None = None
        self._last_ns = 0
        self._last_step = 0

    @property
    def origin_ns(self) -> int | None:
        """Capture time of step 0, in nanoseconds; None before the first frame."""
        return self._origin_ns

    def begin(self, captured_at_ns: int) -> None:
        """Says when step 0 is, if no frame has said so: the recording has begun without pictures."""
        if self._origin_ns is None:
            self._origin_ns = self._last_ns = captured_at_ns

    def step_of(self, captured_at_ns: int) -> int:
        """The step of the next frame.

        Args:
            captured_at_ns: its time stamp; not before the one of the frame before.
        """
        if self._origin_ns is None:
            self._origin_ns = self._last_ns = captured_at_ns
            return 0
        exact = self._steps(captured_at_ns - self._origin_ns)
        step = self._last_step + round(self._steps(captured_at_ns - self._last_ns))
        if abs(step - exact) > _STEADY_STEPS:
            step = round(exact)
        self._last_ns, self._last_step = captured_at_ns, max(step, self._last_step)
        return self._last_step

    def _steps(self, nanoseconds: int) -> float:
        return nanoseconds * self._frames_per_second / _NANOSECONDS
