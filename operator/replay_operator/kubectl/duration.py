"""Lengths of time as people write and read them at kubectl: 90s, 5m, 1h30m. Pure."""

from __future__ import annotations

import re
from datetime import timedelta

_DURATION = re.compile(
    r"(?:(?P<hours>\d{1,6})h)?(?:(?P<minutes>\d{1,6})m)?(?:(?P<seconds>\d{1,6})s)?", re.ASCII
)

_MINUTE, _HOUR, _DAY = 60, 3600, 86400


def parse_duration(text: str) -> timedelta:
    """Read a length of time in whole seconds.

    Args:
        text: Hours, minutes and seconds with their units, the larger first, such as 1h30m.

    Raises:
        ValueError: It is none; the message says what one looks like.
    """
    match = _DURATION.fullmatch(text)
    if not text or match is None:
        raise ValueError(f"{text!r} is no duration: write 90s, 5m or 1h30m")
    return timedelta(**{unit: int(count) for unit, count in match.groupdict().items() if count})


def exact(length: timedelta) -> str:
    """Write a length to the second, such as 1h2m3s."""
    total = max(0, round(length.total_seconds()))
    parts = ((total // _HOUR, "h"), (total % _HOUR // _MINUTE, "m"), (total % _MINUTE, "s"))
    return "".join(f"{count}{unit}" for count, unit in parts if count) or "0s"


_AGES = (
    (2 * _MINUTE, (1, "s"), None),
    (10 * _MINUTE, (_MINUTE, "m"), (1, "s")),
    (3 * _HOUR, (_MINUTE, "m"), None),
    (8 * _HOUR, (_HOUR, "h"), (_MINUTE, "m")),
    (2 * _DAY, (_HOUR, "h"), None),
    (8 * _DAY, (_DAY, "d"), (_HOUR, "h")),
)
"""Below so many seconds, in which unit and with which smaller one: the steps of `HumanDuration` in
k8s.io/apimachinery/pkg/util/duration."""


def age(length: timedelta) -> str:
    """Write a length as kubectl writes ages: two units at most, fewer the longer it is."""
    total = max(0, int(length.total_seconds()))
    for limit, (large, large_unit), small in _AGES:
        if total < limit:
            rest = total % large // small[0] if small else 0
            return f"{total // large}{large_unit}" + (f"{rest}{small[1]}" if small and rest else "")
    return f"{total // _DAY}d"
