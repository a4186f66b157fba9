"""Sound as it arrives, until the recording takes it."""

from __future__ import annotations

import threading

import numpy as np
from numpy.typing import NDArray

Samples = NDArray[np.float32]

_NANOSECONDS = 1_000_000_000
_KEPT_SECONDS = 5


class Sounds:
    """One track. The event loop puts, the recording's thread takes.

    A receiver gives ten milliseconds of sound every ten milliseconds, whatever arrives: so the samples are
    one line without a hole, and it is enough to know when one of them was captured.
    """

    def __init__(self, sample_rate: int) -> None:
        """Waits for the first sample.

        Args:
            sample_rate: of the recording.
        """
        self._sample_rate = sample_rate
        self._lock = threading.Lock()
        self._samples = np.zeros(0, np.float32)
        self._dropped = 0
        self.first_at_ns: int | None = None

    @property
    def seconds(self) -> float:
        """How much has arrived."""
        return (self._dropped + len(self._samples)) / self._sample_rate

    def reaches(self, captured_at_ns: int) -> bool:
        """Whether everything up to an instant has arrived."""
        if self.first_at_ns is None:
            return False
        return self.first_at_ns + self.seconds * _NANOSECONDS >= captured_at_ns

    def put(self, samples: Samples) -> None:
        """Takes samples that have arrived."""
        with self._lock:
            kept = self._samples[-_KEPT_SECONDS * self._sample_rate :]
            self._dropped += len(self._samples) - len(kept)
            self._samples = np.concatenate([kept, samples])

    def take(self, captured_at_ns: int, count: int) -> Samples:
        """Samples from an instant on; silence in the place of those that are not there.

        Args:
            captured_at_ns: wall clock of the first one.
            count: how many.
        """
        taken = np.zeros(count, np.float32)
        if self.first_at_ns is None:
            return taken
        with self._lock:
            first = round((captured_at_ns - self.first_at_ns) * self._sample_rate / _NANOSECONDS)
            first -= self._dropped
            start, stop = max(first, 0), min(first + count, len(self._samples))
            if start < stop:
                taken[start - first : stop - first] = self._samples[start:stop]
        return taken
