"""Many runs silent at once have one cause: then restarts are rationed (DESIGN §4)."""

from __future__ import annotations

from datetime import datetime, timedelta

WINDOW = timedelta(minutes=1)
SHARE = 0.2
LEAST = 5
RATION = timedelta(seconds=1)


class Breaker:
    """Counts the runs that fell silent within a minute, and says whether one more may be restarted.

    A volume that stalls, or an agent that reads an old state, makes every run look dead. Restarting them all
    would turn a hiccup into an outage; one a second is harmless, and enough if the runs are really dead.
    """

    def __init__(self) -> None:
        self._silent: dict[str, datetime] = {}
        self._last: datetime | None = None

    def is_open(self, runs: int, now: datetime) -> bool:
        """Tell whether so many runs fell silent that one common cause is likely.

        Args:
            runs: How many are recorded at all.
            now: Time of the decision.
        """
        self._silent = {uid: at for uid, at in self._silent.items() if now - at <= WINDOW}
        return len(self._silent) > max(LEAST - 1, SHARE * runs)

    def allow(self, uid: str, *, runs: int, now: datetime) -> bool:
        """Tell whether a buffer whose run fell silent may be recorded anew now.

        Args:
            uid: Which buffer.
            runs: How many are recorded at all.
            now: Time of the decision.
        """
        self._silent.setdefault(uid, now)
        rationed = self._last is not None and now - self._last < RATION
        if rationed and self.is_open(runs, now):
            return False
        self._last = now
        return True
