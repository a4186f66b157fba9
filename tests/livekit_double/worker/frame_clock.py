"""When each frame is due. Steady, unless a test makes the run's clock jump or drift."""


class FrameClock:
    """The time of frames on the monotonic clock.

    PTS count frames, so a frame that comes late makes everything after it late against its PTS: that is how
    the clock of a run goes wrong.
    """

    def __init__(self, frames_per_second: int) -> None:
        """Makes a clock that stands.

        Args:
            frames_per_second: of the run.
        """
        self._frame_seconds = 1 / frames_per_second
        self._start = 0.0
        self._origin_due = 0.0
        self._origin_number = 0
        self._pace = 1.0

    def start(self, monotonic: float) -> None:
        """Says when frame 0 is due."""
        self._start = self._origin_due = monotonic

    def due(self, number: int) -> float:
        """When a frame is due, on the monotonic clock."""
        return self._origin_due + (number - self._origin_number) * self._frame_seconds * self._pace

    def seconds_since_start(self, number: int) -> float:
        """How long after frame 0 a frame is captured."""
        return self.due(number) - self._start

    def late_seconds(self, number: int) -> float:
        """How much later than its PTS says a frame is captured."""
        return self.seconds_since_start(number) - number * self._frame_seconds

    def disturb(self, number: int, *, jump_seconds: float, pace: float) -> None:
        """Makes the clock wrong from a frame on.

        Args:
            number: the next frame.
            jump_seconds: that frame comes so much later, without a trace in its PTS.
            pace: wall seconds that a second of media takes from then on; 1 is right.

        Raises:
            ValueError: for a jump back or a pace that is not positive.
        """
        if jump_seconds < 0 or pace <= 0:
            raise ValueError(f"jump_seconds={jump_seconds} and pace={pace}: give >= 0 and > 0")
        self._origin_due = self.due(number) + jump_seconds
        self._origin_number = number
        self._pace = pace
