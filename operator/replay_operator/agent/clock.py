"""The two clocks of the agent: what time it is, and how long ago something was."""

from __future__ import annotations

import time
from datetime import UTC, datetime
from typing import Protocol


class AgentClock(Protocol):
    """Tells the time. Ages are taken from `monotonic`, which no time server can move."""

    def now(self) -> datetime:
        """Give the time in UTC."""
        ...

    def monotonic(self) -> float:
        """Give seconds that only grow."""
        ...


class SystemClock:
    """The clock of the machine."""

    def now(self) -> datetime:
        """Give the time in UTC."""
        return datetime.now(UTC)

    def monotonic(self) -> float:
        """Give seconds that only grow."""
        return time.monotonic()
