"""What owners take of the archive, and what they may have."""

from replay_operator.catalogue.database import Database
from replay_operator.catalogue.owners import ArchiveUse, Owners, archive_use
from replay_operator.catalogue.tables import ClipStatus
from replay_operator.catalogue.writing import EntryWriter
from replay_operator.domain.quotas import QuotaLimits
from tests.builders import NOW, at
from tests.catalogue.entries import clip
from tests.catalogue.statements import sqlite_plan


async def test_finished_and_reserved_bytes_of_a_person_are_summed_apart(database: Database) -> None:
    await EntryWriter(database).write(
        [
            clip("a", quota_bytes=3_000_000_000),
            clip("b", quota_bytes=7),
            clip("c", status=ClipStatus.PENDING, quota_bytes=500, kinds=()),
            clip("d", status=ClipStatus.FAILED, quota_bytes=0, kinds=()),
            clip("theirs", owner="user-7"),
        ]
    )
    assert await Owners(database).archive_use("user-42") == ArchiveUse(3_000_000_007, 500)
    assert await Owners(database).archive_use("nobody") == ArchiveUse(0, 0)


async def test_the_bytes_are_found_by_the_owners_index(sqlite: Database) -> None:
    async with sqlite.reading() as connection:
        (step,) = await sqlite_plan(connection, archive_use("user-42"))
    assert step.endswith("ix_replay_clip_owner_created_at (owner=?)")


async def test_who_has_no_limits_of_its_own_has_the_defaults(database: Database) -> None:
    assert await Owners(database).own_limits("user-42") == QuotaLimits()


async def test_limits_of_an_owner_are_set_changed_and_taken_back(database: Database) -> None:
    owners = Owners(database)
    for limits in (
        QuotaLimits(archive_bytes=10**12, buffers=0),
        QuotaLimits(captures_per_hour=99),
        QuotaLimits(),
    ):
        await owners.set_own_limits("user-42", limits, NOW)
        assert await owners.own_limits("user-42") == limits


async def test_admission_is_told_who_may_have_another_number_of_buffers(database: Database) -> None:
    owners = Owners(database)
    await owners.set_own_limits("ann", QuotaLimits(buffers=2), NOW)
    await owners.set_own_limits("bob", QuotaLimits(captures_per_hour=2), at(1))
    assert await owners.own_numbers_of_buffers() == {"ann": 2}
