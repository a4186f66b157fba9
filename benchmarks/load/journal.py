"""What was measured when. Pure."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable
from enum import StrEnum


class Measure(StrEnum):
    """Everything that is noted: seconds where nothing else is said."""

    WORD_AGE = "how old the agent's last look was when its word came"
    WORD_TOOK = "an answer about coverage took"
    POLICY_TOOK = "an answer to a policy took"
    READINESS_TOOK = "an answer about readiness took"
    NOT_READY = "the agent was not ready, or did not say"
    UNANSWERED = "a request of the protocol failed"
    UNKNOWN = "a segment had lain there so long when the agent told a word without it"
    OVERDUE = "a segment lay on the disk so long after it might go"
    WRITTEN = "bytes of a segment that was written"
    WRITE_LATE = "a segment came later than it was due"
    STORED = "a clip of what lies on the disk was there after its start"
    AWAITED = "a clip was there after its last segment came"
    NO_CLIP = "a capture failed, or its clip is not what was asked for"


class Journal:
    """Numbers with the time at which each was taken."""

    def __init__(self) -> None:
        self._found: defaultdict[Measure, list[tuple[float, float]]] = defaultdict(list)

    def note(self, measure: Measure, at_seconds: float, value: float = 1.0) -> None:
        """Keep a number.

        Args:
            measure: What it is.
            at_seconds: When it was taken, as the wall clock tells.
            value: The number.
        """
        self._found[measure].append((at_seconds, value))

    def note_all(self, measure: Measure, at_seconds: float, values: Iterable[float]) -> None:
        """Keep numbers of one moment.

        Args:
            measure: What they are.
            at_seconds: When they were taken.
            values: The numbers.
        """
        self._found[measure] += [(at_seconds, value) for value in values]

    def between(self, measure: Measure, begin_seconds: float, end_seconds: float) -> list[float]:
        """Give the numbers of a stretch of time.

        Args:
            measure: What they are.
            begin_seconds: Its begin.
            end_seconds: Its end, which is not part of it.
        """
        return [value for at, value in self._found[measure] if begin_seconds <= at < end_seconds]
