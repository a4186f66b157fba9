"""How many workers there must be at least: more at once, fewer only after a while."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime, timedelta


@dataclass(frozen=True, slots=True)
class WantedFloors:
    """The floors that were wanted lately, so that a short lull costs no worker.

    `since` is when this record began: before it has lasted long enough nobody knows how many were needed.
    `peaks` are those that no later one exceeds, oldest first: the first one is the highest.
    """

    since: datetime
    peaks: tuple[tuple[datetime, int], ...] = ()

    def wanting(self, floor: int, now: datetime, lower_after: timedelta) -> WantedFloors:
        """Give the record with what is wanted now.

        Args:
            floor: Workers wanted at least, now.
            now: Time of the look.
            lower_after: For how long fewer must do before there are fewer.
        """
        kept = [(at, peak) for at, peak in self.peaks if peak > floor and now - at < lower_after]
        return WantedFloors(self.since, (*kept, (now, floor)))

    @property
    def floor(self) -> int:
        """The highest that was wanted lately."""
        return self.peaks[0][1] if self.peaks else 0

    def may_lower(self, now: datetime, lower_after: timedelta) -> bool:
        """Tell whether the record is long enough to make the fleet smaller.

        Args:
            now: Time of the look.
            lower_after: For how long fewer must do before there are fewer.
        """
        return now - self.since >= lower_after
