"""Measures the parts of an attempt, for whoever wonders where the time of a capture goes."""

from __future__ import annotations

import os
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Literal

from replay_operator.api.capture_job import Timings

Part = Literal["start", "wait", "plan", "join", "verify", "publish", "extras"]

_STAT = Path("/proc/self/stat")
_START_TIME_FIELD = 19
"""starttime is field 22 of proc(5), counted from 1; the two up to the closing bracket are cut off here."""


@dataclass
class Stopwatch:
    """Adds up the milliseconds of each part."""

    monotonic: Callable[[], float] = time.monotonic
    _taken: dict[Part, int] = field(default_factory=dict)

    @contextmanager
    def measure(self, part: Part) -> Iterator[None]:
        """Note how long the block takes, also when it fails.

        Args:
            part: What it is.
        """
        begun = self.monotonic()
        try:
            yield
        finally:
            self._taken[part] = round((self.monotonic() - begun) * 1000)

    def note(self, part: Part, milliseconds: int | None) -> None:
        """Take over what somebody else has measured.

        Args:
            part: What it is.
            milliseconds: How long it took; None: nobody knows.
        """
        if milliseconds is not None:
            self._taken[part] = milliseconds

    @property
    def timings(self) -> Timings:
        """What is known by now."""
        return Timings.model_validate(self._taken)


def process_age_milliseconds() -> int | None:
    """Give the time since this process was started, to 10 ms, or None where the kernel does not tell."""
    try:
        fields = _STAT.read_text().rpartition(")")[2].split()
        begun = int(fields[_START_TIME_FIELD]) / os.sysconf("SC_CLK_TCK")
        return round((time.clock_gettime(time.CLOCK_BOOTTIME) - begun) * 1000)
    except (OSError, ValueError, IndexError, AttributeError):
        return None
