"""How full a volume is: the free space that is kept, and when nothing will be left (DESIGN §8)."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass
from statistics import StatisticsError, linear_regression

MARGIN_PERCENT = 10
"""A round frees so much more than the floor asks for, so that not every arriving segment causes a round."""

LARGEST_SHARE_BYTES = 10 * 2**30
"""A share is never more than this: seconds of writing fit into it on any volume, and a directory of a large
disk that others fill (local-path, an NFS export) must not lose its windows to them sooner than it has to."""

SETTLE_SECONDS = 5.0
"""So long what was deleted counts as free, seen or not: XFS and ZFS give space back a little later, and a
segment that a capture reads right now only when it is closed. Else each look would delete once more."""

_FLOOR = re.compile(r"(?P<number>\d{1,15}(?:\.\d{1,3})?)(?P<unit>%|[KMGT]i?|)\Z")
_UNITS = {"": 1, "K": 10**3, "M": 10**6, "G": 10**9, "T": 10**12}
_BINARY_UNITS = {"Ki": 2**10, "Mi": 2**20, "Gi": 2**30, "Ti": 2**40}


@dataclass(frozen=True, slots=True)
class Space:
    """Size of a volume, and what a process without privileges may still write on it."""

    size_bytes: int
    free_bytes: int


@dataclass(frozen=True, slots=True)
class FreeSpaceFloor:
    """How much of a volume stays free: a number of bytes, or a share of its size."""

    number: float
    is_percent: bool

    def bytes_of(self, size_bytes: int) -> int:
        """Give the floor of a volume in bytes.

        Args:
            size_bytes: Its size.
        """
        if not self.is_percent:
            return int(self.number)
        return min(int(size_bytes * self.number / 100), LARGEST_SHARE_BYTES)


@dataclass(frozen=True, slots=True)
class FreeSample:
    """What was free at a time, in monotonic seconds."""

    at_seconds: float
    free_bytes: int


@dataclass(frozen=True, slots=True)
class Freed:
    """What the last round for the floor deleted, and what was free before it."""

    at_seconds: float
    free_before_bytes: int
    deleted_bytes: int


def parse_floor(text: str) -> FreeSpaceFloor:
    """Read a floor: `5%`, `2Gi`, `500M`, or a plain number of bytes.

    Args:
        text: As the setting has it.

    Raises:
        ValueError: It is none of these, or more than half of a volume.
    """
    found = _FLOOR.match(text)
    if found is None:
        raise ValueError(f"{text!r} is no amount of free space: use a percentage (5%) or bytes (2Gi)")
    number, unit = float(found["number"]), found["unit"]
    if unit != "%":
        return FreeSpaceFloor(number * (_UNITS | _BINARY_UNITS)[unit], is_percent=False)
    most = 50
    if number > most:
        raise ValueError(f"{text!r} of a volume cannot stay free: use at most {most}%")
    return FreeSpaceFloor(number, is_percent=True)


def bytes_to_free(space: Space, *, floor_bytes: int, freed: Freed | None, now_seconds: float) -> int:
    """Give how many bytes have to go for the floor, 0 when none.

    Args:
        space: The volume as it is seen now.
        floor_bytes: What has to stay free.
        freed: What the last round deleted, None when there was none.
        now_seconds: Monotonic seconds of this call.
    """
    free = space.free_bytes
    if freed is not None and now_seconds - freed.at_seconds < SETTLE_SECONDS and free >= floor_bytes // 2:
        free = max(free, freed.free_before_bytes + freed.deleted_bytes)
    if free >= floor_bytes:
        return 0
    return floor_bytes - free + margin_bytes(floor_bytes)


def margin_bytes(floor_bytes: int) -> int:
    """Give how much more than the floor a round frees.

    Args:
        floor_bytes: What has to stay free.
    """
    return floor_bytes * MARGIN_PERCENT // 100


def seconds_to_full(samples: Sequence[FreeSample]) -> float | None:
    """Say when nothing will be free if it goes on as in these samples; None when it does not get less.

    A straight line through all of them, so that one large deletion or one burst does not decide.

    Args:
        samples: In the order of their time; the last one is now.
    """
    try:
        slope, _ = linear_regression(
            [sample.at_seconds for sample in samples], [sample.free_bytes for sample in samples]
        )
    except StatisticsError:  # fewer than two, or all at one time
        return None
    return samples[-1].free_bytes / -slope if slope < 0 else None
