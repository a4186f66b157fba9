"""Owners: what each takes of the archive, and what each may have instead of the install's defaults."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass
from datetime import datetime

from sqlalchemy import Select, delete, func, select
from sqlmodel import col

from replay_operator.catalogue.database import Database
from replay_operator.catalogue.tables import ClipStatus, OwnerQuota, QuotaRecord, ReplayClip
from replay_operator.catalogue.upsert import upsert
from replay_operator.domain.quotas import QuotaLimits


@dataclass(frozen=True, slots=True)
class ArchiveUse:
    """Bytes of a person's finished clips, and bytes held free for those that are being made."""

    archived_bytes: int
    reserved_bytes: int


def archive_use(owner: str) -> Select[*tuple[object, ...]]:
    """Ask what a person's clips take of the archive."""
    status, taken = col(ReplayClip.status), func.sum(col(ReplayClip.quota_bytes))
    return select(
        func.coalesce(taken.filter(status == ClipStatus.READY), 0).label("archived_bytes"),
        func.coalesce(taken.filter(status == ClipStatus.PENDING), 0).label("reserved_bytes"),
    ).where(col(ReplayClip.owner) == owner)


@dataclass(frozen=True, slots=True)
class Owners:
    """The owners in the catalogue."""

    database: Database

    async def archive_use(self, owner: str) -> ArchiveUse:
        """Give what a person's clips take of the archive.

        Args:
            owner: As `spec.owner` of the buffers names the person.
        """
        async with self.database.reading() as connection:
            row = (await connection.execute(archive_use(owner))).mappings().one()
        # Postgres sums bigints to a decimal
        return ArchiveUse(**{name: int(total) for name, total in row.items()})

    async def own_limits(self, owner: str) -> QuotaLimits:
        """Give what a person may have instead of the defaults.

        Args:
            owner: The person.
        """
        query = select(
            col(OwnerQuota.archive_bytes),
            col(OwnerQuota.buffers),
            col(OwnerQuota.captures_per_minute),
            col(OwnerQuota.captures_per_hour),
        ).where(col(OwnerQuota.owner) == owner)
        async with self.database.reading() as connection:
            row = (await connection.execute(query)).mappings().one_or_none()
        return QuotaLimits() if row is None else QuotaLimits(**row)

    async def set_own_limits(self, owner: str, limits: QuotaLimits, now: datetime) -> None:
        """Set what a person may have instead of the defaults.

        Args:
            owner: The person.
            limits: None: the default. Where all are, nothing is kept of the person.
            now: The time.
        """
        async with self.database.writing() as connection:
            if limits == QuotaLimits():
                await connection.execute(delete(OwnerQuota).where(col(OwnerQuota.owner) == owner))
                return
            record = QuotaRecord(owner=owner, updated_at=now, **asdict(limits))
            await connection.execute(upsert(OwnerQuota, connection.dialect), record.model_dump())

    async def own_numbers_of_buffers(self) -> Mapping[str, int]:
        """Give the owners who may have another number of buffers than the default: for admission."""
        query = select(col(OwnerQuota.owner), col(OwnerQuota.buffers)).where(
            col(OwnerQuota.buffers).is_not(None)
        )
        async with self.database.reading() as connection:
            return {row.owner: row.buffers for row in await connection.execute(query)}
