"""What is wrong in a simulated world, and since when."""

from __future__ import annotations

from collections import deque
from dataclasses import dataclass, field

from tests.unit.world_time import SimulatedTime


class Crash(BaseException):
    """The operator process ends here, between two of its steps."""


@dataclass(frozen=True)
class LostStart:
    """A start whose answer never comes: the caller gives up, the egress may come true all the same."""

    given_up_after: float
    true_after: float | None


@dataclass
class Faults:
    """What is wrong now, and what will go wrong at the next call.

    `disturbed_at` is when something last went wrong or changed: bounds count from then. Until `unclear_until`
    an egress may appear, or be hidden, that the operator cannot know of.
    """

    time: SimulatedTime
    disturbed_at: float = 0.0
    unclear_until: float = 0.0
    livekit_away: bool = False
    livekit_blank: bool = False  # it answers, and knows of no room and no egress
    agent: str = "complete"  # or "scanning", "away"
    agent_lag: float = 0.0
    runs_break_after: float | None = None
    starts: deque[str | LostStart] = field(default_factory=deque)  # "full", "failed", or a LostStart
    stops_unanswered: int = 0
    lists: deque[str] = field(default_factory=deque)  # "empty" or "lacks one"
    crash_at: str = ""

    @property
    def persist(self) -> bool:
        livekit = self.livekit_away or self.livekit_blank
        return livekit or self.agent != "complete" or self.runs_break_after is not None

    def disturb(self) -> None:
        """Note that something has just gone wrong or changed."""
        self.disturbed_at = self.time.seconds

    def unclear_for(self, seconds: float) -> None:
        self.unclear_until = max(self.unclear_until, self.time.seconds + seconds)

    def crash_if_told(self, point: str) -> None:
        if self.crash_at == point:
            self.crash_at = ""
            raise Crash(point)

    def end(self) -> None:
        """Let all be well again."""
        self.livekit_away = self.livekit_blank = False
        self.agent, self.runs_break_after, self.crash_at = "complete", None, ""
        self.starts.clear()
        self.disturb()
