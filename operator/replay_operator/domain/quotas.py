"""What one owner may have: bytes of archive, buffers, captures a minute and an hour. Pure.

An account is worked out anew from what is there, each time that somebody asks: no counter could drift.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field, replace
from datetime import datetime, timedelta
from enum import StrEnum
from types import MappingProxyType

from replay_operator.api.replaybuffer import Encoding
from replay_operator.api.replaycapture import ReplayCapture, ResolvedRange
from replay_operator.api.upload import LocalCopy
from replay_operator.domain.capacity import bytes_per_second
from replay_operator.domain.token_bucket import Rate, TokenBucket

MINUTE = timedelta(minutes=1)
HOUR = timedelta(hours=1)

_FULL = TokenBucket()
_NOTHING: Mapping[str, int] = MappingProxyType({})


@dataclass(frozen=True, slots=True)
class QuotaLimits:
    """What an owner may have; None: as much as there is.

    Of an owner's own limits None means the install's default.
    """

    archive_bytes: int | None = None
    buffers: int | None = None
    captures_per_minute: int | None = None
    captures_per_hour: int | None = None

    def or_else(self, defaults: QuotaLimits) -> QuotaLimits:
        """Give an owner's own limits with the defaults where it has none.

        Args:
            defaults: Of the install.
        """

        def first(own: int | None, default: int | None) -> int | None:
            return default if own is None else own

        return QuotaLimits(
            archive_bytes=first(self.archive_bytes, defaults.archive_bytes),
            buffers=first(self.buffers, defaults.buffers),
            captures_per_minute=first(self.captures_per_minute, defaults.captures_per_minute),
            captures_per_hour=first(self.captures_per_hour, defaults.captures_per_hour),
        )


class Quota(StrEnum):
    """Which limit refuses a capture."""

    ARCHIVE_BYTES = "ArchiveBytes"
    CAPTURES_PER_MINUTE = "CapturesPerMinute"
    CAPTURES_PER_HOUR = "CapturesPerHour"


@dataclass(frozen=True, slots=True)
class QuotaRefusal:
    """Why a capture may not begin. `try_at` is None where time alone does not help."""

    quota: Quota
    used: int
    limit: int
    try_at: datetime | None

    def message(self, owner: str) -> str:
        """Say it to the owner, with what to do.

        Args:
            owner: Whose quota it is.
        """
        when = "" if self.try_at is None else f" Try again at {self.try_at:%Y-%m-%dT%H:%M:%SZ}."
        match self.quota:
            case Quota.ARCHIVE_BYTES:
                return (
                    f"Owner {owner} has {self.used} of {self.limit} bytes of archive in use or reserved, and "
                    "this clip does not fit: delete clips, ask for a shorter range or raise the quota."
                )
            case Quota.CAPTURES_PER_MINUTE:
                return (
                    f"Owner {owner} has made {self.used} captures; {self.limit} a minute are allowed.{when}"
                )
            case Quota.CAPTURES_PER_HOUR:
                return f"Owner {owner} has made {self.used} captures; {self.limit} an hour are allowed.{when}"


@dataclass(frozen=True, slots=True)
class OwnerAccount:
    """What is known of one owner.

    Attributes:
        archived_bytes: Bytes of finished clips.
        reserved: Bytes held free for captures that are being made, by uid.
        minute: Captures of the last minute.
        hour: Captures of the last hour.
    """

    archived_bytes: int = 0
    reserved: Mapping[str, int] = field(default_factory=lambda: _NOTHING)
    minute: TokenBucket = _FULL
    hour: TokenBucket = _FULL

    @property
    def used_bytes(self) -> int:
        """What counts against the quota of archive."""
        return self.archived_bytes + sum(self.reserved.values())


def archived_bytes(capture: ReplayCapture) -> int:
    """Give what a finished clip takes of the archive volume: nothing when it is in object storage only.

    Args:
        capture: Finished.
    """
    clip, upload = capture.status.clip, capture.status.upload
    if clip is None or (upload is not None and upload.local_copy is LocalCopy.DROPPED):
        return 0
    return clip.bytes


def reservation_bytes(encoding: Encoding, wanted: ResolvedRange, segment_seconds: int) -> int:
    """Give what a clip will take at most, as far as its encoder keeps to its bit rate.

    Args:
        encoding: Of the buffer.
        wanted: Of the capture.
        segment_seconds: Segment length in force: a clip may hold the rest of one at either end.
    """
    seconds = (wanted.end - wanted.start).total_seconds() + 2 * segment_seconds
    return int(bytes_per_second(encoding) * seconds)


def admit_capture(
    account: OwnerAccount, limits: QuotaLimits, *, uid: str, needed_bytes: int, now: datetime
) -> OwnerAccount | QuotaRefusal:
    """Reserve what a capture needs, or say why it may not begin. Asked twice, it reserves once.

    A capture that is refused takes no token.

    Args:
        account: Of its owner.
        limits: Of its owner.
        uid: Of the capture.
        needed_bytes: From `reservation_bytes`.
        now: The time.
    """
    if uid in account.reserved:
        return account
    most = limits.archive_bytes
    if most is not None and account.used_bytes + needed_bytes > most:
        return QuotaRefusal(Quota.ARCHIVE_BYTES, account.used_bytes, most, None)
    refusals = [
        refusal
        for refusal in (
            _over_rate(
                Quota.CAPTURES_PER_MINUTE, account.minute, _rate(limits.captures_per_minute, MINUTE), now
            ),
            _over_rate(Quota.CAPTURES_PER_HOUR, account.hour, _rate(limits.captures_per_hour, HOUR), now),
        )
        if refusal is not None
    ]
    if refusals:
        # The one that lasts longest: who comes back when it says is not sent away again by the other.
        return max(refusals, key=lambda refusal: (refusal.try_at is None, refusal.try_at or now))
    return replace(_counted(account, limits, now), reserved={**account.reserved, uid: needed_bytes})


def account_of(
    limits: QuotaLimits, *, archived_bytes: int, pending: Mapping[str, int], admitted_at: Iterable[datetime]
) -> OwnerAccount:
    """Work out an account from what is there: a restart gives nobody fresh tokens, and costs no write.

    Args:
        limits: Of the owner.
        archived_bytes: Of the owner's finished clips.
        pending: `reservation_bytes` of the captures that are being made, by uid.
        admitted_at: Creation times of the owner's captures that were admitted.
    """
    account = OwnerAccount(archived_bytes=archived_bytes, reserved=dict(pending))
    for moment in sorted(admitted_at):
        account = _counted(account, limits, moment)
    return account


def _counted(account: OwnerAccount, limits: QuotaLimits, now: datetime) -> OwnerAccount:
    """Take a token of each limit that there is."""
    minute, hour = _rate(limits.captures_per_minute, MINUTE), _rate(limits.captures_per_hour, HOUR)
    return replace(
        account,
        minute=account.minute if minute is None else account.minute.taken(minute, now),
        hour=account.hour if hour is None else account.hour.taken(hour, now),
    )


def _rate(number: int | None, period: timedelta) -> Rate | None:
    return None if number is None else Rate(number, period)


def _over_rate(quota: Quota, bucket: TokenBucket, rate: Rate | None, now: datetime) -> QuotaRefusal | None:
    if rate is None:
        return None
    next_at = bucket.next_at(rate, now)
    if next_at is not None and next_at <= now:
        return None
    return QuotaRefusal(quota, bucket.used(rate, now), rate.number, next_at)
