"""A limit in number over time that allows a burst. Pure: its whole state is one instant."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime, timedelta


@dataclass(frozen=True, slots=True)
class Rate:
    """So many in a period, at once or spread; what was taken comes back evenly over the period."""

    number: int
    period: timedelta

    @property
    def each(self) -> timedelta:
        """How long it takes until one token has come back."""
        return self.period // max(self.number, 1)


@dataclass(frozen=True, slots=True)
class TokenBucket:
    """Tokens, kept as the instant at which all of them are back (the generic cell rate algorithm).

    The rate is no part of it, so that a limit can be changed while tokens are out.
    """

    full_at: datetime | None = None

    def used(self, rate: Rate, now: datetime) -> int:
        """Give how many tokens are not back yet.

        Args:
            rate: The limit.
            now: The time.
        """
        if self.full_at is None or self.full_at <= now:
            return 0
        return -((now - self.full_at) // rate.each)

    def next_at(self, rate: Rate, now: datetime) -> datetime | None:
        """Give when a token can be had: `now`, a later instant, or None where the rate allows none at all.

        Args:
            rate: The limit.
            now: The time.
        """
        if rate.number <= 0:
            return None
        if self.full_at is None:
            return now
        return max(now, self.full_at + rate.each - rate.period)

    def taken(self, rate: Rate, now: datetime) -> TokenBucket:
        """Give the bucket with one token less. What was taken under a wider limit empties it, and no more.

        Args:
            rate: The limit.
            now: The time.
        """
        return TokenBucket(min(max(self.full_at or now, now) + rate.each, now + rate.period))
