"""What an owner uses beside what it may have, for people and for applications to look at.

Admission decides by what the operator itself knows. This is what the catalogue knows of it: the same a moment
later, and there while no operator is.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime, timedelta

from sqlalchemy import Select, func, select
from sqlmodel import col

from replay_operator.catalogue.database import Database
from replay_operator.catalogue.owners import ArchiveUse, Owners
from replay_operator.catalogue.tables import BufferSession, OwnerQuota, ReplayClip, SessionStatus
from replay_operator.domain.captures import Refusal
from replay_operator.domain.quotas import HOUR, MINUTE, QuotaLimits
from replay_operator.domain.status_contract import BufferState

_WITHOUT_A_PLACE = (BufferState.SUSPENDED, BufferState.WAITING_FOR_ADMISSION)
"""Buffers that do not count against the number that an owner may have."""


@dataclass(frozen=True, slots=True)
class OwnerUsage:
    """What one owner uses and may have.

    Attributes:
        owner: The person.
        archive: Bytes of finished clips and of those that are being made.
        buffers: Buffers that have a place.
        captures_last_minute: Captures that were admitted.
        captures_last_hour: Captures that were admitted.
        own_limits: What the person may have instead of the defaults.
    """

    owner: str
    archive: ArchiveUse
    buffers: int
    captures_last_minute: int
    captures_last_hour: int
    own_limits: QuotaLimits


def buffers_in_use(owner: str) -> Select[int]:
    """Ask how many buffers of a person have a place."""
    return select(func.count()).where(
        col(BufferSession.owner) == owner,
        col(BufferSession.status).in_((SessionStatus.ACTIVE, SessionStatus.PAUSED)),
        col(BufferSession.reason).not_in(_WITHOUT_A_PLACE),
    )


def captures_since(owner: str, now: datetime, period: timedelta) -> Select[int]:
    """Ask how many captures of a person were admitted within a period before now."""
    return select(func.count()).where(
        col(ReplayClip.owner) == owner,
        col(ReplayClip.created_at) > now - period,
        # One that a quota refused counts against none.
        col(ReplayClip.reason) != Refusal.QUOTA_EXCEEDED,
    )


def owners_with_clips(after: str, limit: int) -> Select[str | None]:
    """Ask for the names of owners of clips, in order."""
    owner = col(ReplayClip.owner)
    return select(owner).where(owner > after).distinct().order_by(owner).limit(limit)


def owners_with_limits(after: str, limit: int) -> Select[str]:
    """Ask for the names of owners who have limits of their own, in order."""
    owner = col(OwnerQuota.owner)
    return select(owner).where(owner > after).order_by(owner).limit(limit)


@dataclass(frozen=True, slots=True)
class Usage:
    """What owners use, from the catalogue."""

    database: Database

    async def of_owner(self, owner: str, now: datetime) -> OwnerUsage:
        """Give what one owner uses and may have.

        Args:
            owner: The person; one that the catalogue does not know uses nothing.
            now: The time.
        """
        owners = Owners(self.database)
        async with self.database.reading() as connection:
            buffers = await connection.scalar(buffers_in_use(owner))
            minute = await connection.scalar(captures_since(owner, now, MINUTE))
            hour = await connection.scalar(captures_since(owner, now, HOUR))
        return OwnerUsage(
            owner=owner,
            archive=await owners.archive_use(owner),
            buffers=buffers or 0,
            captures_last_minute=minute or 0,
            captures_last_hour=hour or 0,
            own_limits=await owners.own_limits(owner),
        )

    async def owners(self, *, limit: int, after: str = "") -> tuple[str, ...]:
        """Give the names of those who have clips or limits of their own, in order.

        Args:
            limit: At most so many.
            after: Only names that come after this one.
        """
        async with self.database.reading() as connection:
            names = {
                *(await connection.execute(owners_with_clips(after, limit))).scalars(),
                *(await connection.execute(owners_with_limits(after, limit))).scalars(),
            }
        return tuple(sorted(name for name in names if name is not None)[:limit])
