"""What a volume can take in writes: a class of disk as it is published, or a measured figure."""

from __future__ import annotations

from dataclasses import dataclass

from replay_operator.domain.recording_cost import MEGABYTE, Assumption, RecordingCost

_HARD_DISK = "hdd"

_PUBLISHED_LEAST_MBPS = {_HARD_DISK: 100, "ssd": 400, "nvme": 2000}
"""Lower ends of the published sequential rates; SATA for `ssd`."""

_PUBLISHED_FORMULA_MBPS = {_HARD_DISK: 125, "ssd": 500, "nvme": 2000}
"""What the published formula reckons with: 166 buffers of 1080p60 on a hard disk, 666 on an SSD."""

STORAGE_CLASSES = tuple(_PUBLISHED_LEAST_MBPS)

HDD_BUFFERS = 30
"""The published table gives a hard disk 20 to 30 buffers, the formula of the same page 166: writers that take
turns make its head move. Nobody has measured one here."""


class UnknownStorageError(ValueError):
    """Neither a class of disk nor a number of MB/s."""


@dataclass(frozen=True, slots=True)
class StorageBudget:
    """How much may be written to a volume. `guessed`: from a class of disk, and not from this very volume."""

    name: str
    bytes_per_second: float
    guessed: bool

    @property
    def is_hard_disk(self) -> bool:
        """Whether it stands for any hard disk."""
        return self.name.startswith(_HARD_DISK)

    def buffers(self, cost: RecordingCost) -> int:
        """Give how many recordings it takes.

        Args:
            cost: What one recording costs.
        """
        return int(self.bytes_per_second / cost.bytes_per_second)


def storage_budget(text: str, assumption: Assumption) -> StorageBudget:
    """Read `hdd`, `ssd`, `nvme` or a number of MB/s.

    Args:
        text: What the user wrote.
        assumption: With the published one, a class has the rate of the published formula.

    Raises:
        UnknownStorageError: It is none of these.
    """
    if text in STORAGE_CLASSES:
        published = assumption is Assumption.PUBLISHED
        rate = (_PUBLISHED_FORMULA_MBPS if published else _PUBLISHED_LEAST_MBPS)[text]
        return StorageBudget(f"{text} ({rate} MB/s)", rate * MEGABYTE, guessed=True)
    try:
        mbps = float(text)
    except ValueError:
        mbps = 0.0
    if not 0 < mbps < float("inf"):
        raise UnknownStorageError(
            f"{text!r} is neither a class of disk ({', '.join(STORAGE_CLASSES)}) nor a number of MB/s above 0"
        )
    return StorageBudget(f"{mbps:g} MB/s", mbps * MEGABYTE, guessed=False)
