"""Clips go by themselves only where the install asked for it, and never one whose capture still exists."""

from __future__ import annotations

import asyncio
from datetime import timedelta

import pytest

from replay_operator.catalogue.connection import Catalogue
from replay_operator.catalogue.database import Database
from replay_operator.catalogue.errors import SchemaRefusedError
from replay_operator.catalogue.kept_clips import PAGE, KeptClips, finished_before, oldest_of_owner
from replay_operator.catalogue.owners import ArchiveUse, Owners
from replay_operator.catalogue.schema import REVISIONS
from replay_operator.catalogue.writing import EntryWriter
from replay_operator.cluster.resources import CAPTURES
from replay_operator.controller.agent_client import AgentUnavailable
from replay_operator.controller.clip_retention import Why
from replay_operator.domain.clip_retention import KeptClip, beyond_quota
from replay_operator.domain.quotas import QuotaLimits
from tests.builders import CAPTURE_UID, NAMESPACE, NOW, capture_body
from tests.catalogue.entries import clip
from tests.catalogue.revision import set_revision
from tests.catalogue.statements import sqlite_plan
from tests.contract.rig import Outside, Rig
from tests.contract.test_capture_quotas import OWNER, catalogue, clips_of, database, settings
from tests.waiting import until

__all__ = ["catalogue", "database"]

DAYS = {n: NOW - timedelta(days=n) for n in range(20)}
AGE = {"clip_keep_days": 7}


async def swept(rig: Rig) -> list[str]:
    """Sweep once; give the uids of the clips that the agent was told to delete, in order."""
    assert rig.operator.catalogue.retention is not None
    await rig.operator.catalogue.retention.sweep()
    return [deletion.capture_uid for deletion in rig.agent.deleted_clips]


async def aged(database: Database, *days: int, quota_bytes: int = 1000) -> None:
    """Clips of so many days, whose captures are gone."""
    await EntryWriter(database).write(
        [
            clip(f"old-clip-{n:02}", created_at=DAYS[n], finished_at=DAYS[n], quota_bytes=quota_bytes)
            for n in days
        ]
    )


async def test_clips_whose_capture_is_gone_go_at_their_age_oldest_first(
    catalogue: Catalogue, database: Database
) -> None:
    await aged(database, 6, 8, 9)
    rig = Rig(Outside(), settings=settings(**AGE), catalogue=catalogue)
    await rig.look()
    assert await swept(rig) == ["old-clip-09", "old-clip-08"]
    assert await clips_of(database) == {
        "old-clip-06": ("Ready", "ClipReady"),
        "old-clip-08": ("Deleted", "Expired"),
        "old-clip-09": ("Deleted", "Expired"),
    }
    assert await swept(rig) == ["old-clip-09", "old-clip-08"], "each once"
    assert await Owners(database).archive_use(OWNER) == ArchiveUse(1000, 0)


async def test_more_than_a_page_of_old_clips_goes_in_one_sweep(
    catalogue: Catalogue, database: Database
) -> None:
    old = [clip(f"clip-{n:04}", created_at=DAYS[9], finished_at=DAYS[9]) for n in range(PAGE + 3)]
    await EntryWriter(database).write(old)
    rig = Rig(Outside(), settings=settings(**AGE), catalogue=catalogue)
    await rig.look()
    assert len(await swept(rig)) == PAGE + 3


async def test_a_clip_whose_capture_cannot_be_read_stays(catalogue: Catalogue, database: Database) -> None:
    await EntryWriter(database).write([clip(CAPTURE_UID, created_at=DAYS[9], finished_at=DAYS[9])])
    rig = Rig(Outside(), settings=settings(**AGE), catalogue=catalogue)
    of_a_newer_version = capture_body()
    of_a_newer_version["spec"]["deletionPolicy"] = "RetainForever"
    rig.cluster.add(CAPTURES, of_a_newer_version)
    await rig.look()
    assert rig.captures.unreadable == {CAPTURE_UID}
    assert await swept(rig) == []


async def test_a_limit_that_was_raised_a_moment_ago_keeps_clips(
    catalogue: Catalogue, database: Database
) -> None:
    await aged(database, 1, 2, 3)
    await Owners(database).set_own_limits(OWNER, QuotaLimits(archive_bytes=2000), NOW)
    rig = Rig(Outside(), settings=settings(clip_keep_quota_percent=100), catalogue=catalogue)
    rig.captures.put(rig.cluster.add(CAPTURES, finished_capture()))
    await rig.look()
    await rig.operator.catalogue.quotas.look_up(OWNER)
    await Owners(database).set_own_limits(OWNER, QuotaLimits(archive_bytes=1_000_000), NOW)
    assert await swept(rig) == []


async def test_clips_that_another_install_has_deleted_are_not_counted_again(
    catalogue: Catalogue, database: Database
) -> None:
    await aged(database, 1, 2, 3)
    await Owners(database).set_own_limits(OWNER, QuotaLimits(archive_bytes=2000), NOW)
    rig = Rig(Outside(), settings=settings(clip_keep_quota_percent=100), catalogue=catalogue)
    rig.captures.put(rig.cluster.add(CAPTURES, finished_capture()))
    await rig.look()
    await rig.operator.catalogue.quotas.look_up(OWNER)
    await KeptClips(database, NAMESPACE).note_deleted("old-clip-03", Why.OVER_QUOTA)
    assert await swept(rig) == []


async def test_a_clip_whose_capture_exists_stays_whatever_its_age(
    catalogue: Catalogue, database: Database
) -> None:
    await EntryWriter(database).write([clip(CAPTURE_UID, created_at=DAYS[9], finished_at=DAYS[9])])
    rig = Rig(Outside(), settings=settings(**AGE), catalogue=catalogue)
    rig.captures.put(rig.cluster.add(CAPTURES, capture_body()))
    await rig.look()
    assert await swept(rig) == []


async def test_nothing_goes_before_all_captures_are_known(catalogue: Catalogue, database: Database) -> None:
    await aged(database, 9)
    rig = Rig(Outside(), settings=settings(**AGE), catalogue=catalogue)
    assert await swept(rig) == []


async def test_a_deposed_leader_deletes_nothing(catalogue: Catalogue, database: Database) -> None:
    await aged(database, 9)
    rig = Rig(Outside(), settings=settings(**AGE), catalogue=catalogue)
    await rig.look()
    rig.leads = False
    assert await swept(rig) == []


async def test_a_file_that_is_not_the_captures_clip_is_left_and_asked_about_once(
    catalogue: Catalogue, database: Database
) -> None:
    await aged(database, 9)
    rig = Rig(Outside(), settings=settings(**AGE), catalogue=catalogue)
    rig.agent.refused_clip = "it belongs to another capture"
    await rig.look()
    assert await swept(rig) == await swept(rig) == ["old-clip-09"]
    assert await clips_of(database) == {"old-clip-09": ("Ready", "ClipReady")}


async def test_no_clip_goes_by_rows_of_a_newer_version(catalogue: Catalogue, database: Database) -> None:
    await aged(database, 9)
    await set_revision(database, "9999")
    rig = Rig(Outside(), settings=settings(**AGE), catalogue=catalogue)
    await rig.look()
    feed = rig.operator.catalogue.feed
    assert feed is not None
    running = asyncio.create_task(rig.operator.catalogue.run())
    await until("a refusal", lambda: feed.schema.is_refused)
    for _ in range(10):  # each takes as long as the look that must not be
        assert await clips_of(database) == {"old-clip-09": ("Ready", "ClipReady")}
    assert rig.agent.deleted_clips == []
    await set_revision(database, REVISIONS[-1])
    await until("a deletion", lambda: rig.agent.deleted_clips)
    running.cancel()
    await asyncio.wait([running])


async def test_a_schema_that_has_become_a_newer_versions_is_noticed_before_a_clip_goes(
    catalogue: Catalogue, database: Database
) -> None:
    await aged(database, 9)
    rig = Rig(Outside(), settings=settings(**AGE), catalogue=catalogue)
    await rig.look()
    await set_revision(database, "9999")
    with pytest.raises(SchemaRefusedError):
        await swept(rig)
    assert rig.agent.deleted_clips == []


async def test_another_installs_clips_are_not_looked_at(catalogue: Catalogue, database: Database) -> None:
    await aged(database, 9)
    elsewhere = settings(**AGE).model_copy(update={"namespace": "another-team"})
    rig = Rig(Outside(), settings=elsewhere, catalogue=catalogue)
    await rig.look()
    assert await swept(rig) == []


async def test_over_its_quota_an_owners_oldest_clips_go_until_it_is_below(
    catalogue: Catalogue, database: Database
) -> None:
    await aged(database, 1, 2, 3, 4)
    limits = settings(clip_keep_quota_percent=50, max_archive_per_owner="4500")
    rig = Rig(Outside(), settings=limits, catalogue=catalogue)
    rig.captures.put(rig.cluster.add(CAPTURES, finished_capture()))
    await rig.look()
    assert await swept(rig) == ["old-clip-04", "old-clip-03"]
    assert (await Owners(database).archive_use(OWNER)).archived_bytes == 2000


async def test_an_owner_is_looked_at_again_when_the_agent_was_away(
    catalogue: Catalogue, database: Database
) -> None:
    await aged(database, 1, 2)
    limits = settings(clip_keep_quota_percent=50, max_archive_per_owner="3000")
    rig = Rig(Outside(), settings=limits, catalogue=catalogue)
    rig.captures.put(rig.cluster.add(CAPTURES, finished_capture()))
    await rig.look()
    rig.agent.away = True
    with pytest.raises(AgentUnavailable):
        await swept(rig)
    rig.agent.away = False
    assert await swept(rig) == ["old-clip-02"]


async def test_without_a_quota_there_is_nothing_to_be_over(catalogue: Catalogue, database: Database) -> None:
    await aged(database, 1, 2)
    rig = Rig(Outside(), settings=settings(clip_keep_quota_percent=50), catalogue=catalogue)
    rig.captures.put(rig.cluster.add(CAPTURES, finished_capture()))
    await rig.look()
    assert await swept(rig) == []


async def test_an_install_that_did_not_ask_keeps_every_clip(catalogue: Catalogue) -> None:
    assert Rig(Outside(), catalogue=catalogue).operator.catalogue.retention is None


def test_reserved_bytes_count_and_no_more_goes_than_has_to() -> None:
    clips = [KeptClip(f"c{n}", OWNER, f"c{n}.mp4", 10, NOW, NOW) for n in range(5)]
    assert beyond_quota(clips, used_bytes=70, most_bytes=50) == clips[:2]
    assert beyond_quota(clips, used_bytes=50, most_bytes=50) == []
    assert beyond_quota(clips, used_bytes=200, most_bytes=50) == clips


def test_a_clip_that_takes_nothing_of_the_quota_does_not_go_for_it() -> None:
    in_bucket_only, on_volume = (KeptClip(f"c{n}", OWNER, f"c{n}.mp4", n, NOW, NOW) for n in (0, 10))
    assert beyond_quota([in_bucket_only, on_volume], used_bytes=10, most_bytes=5) == [on_volume]


@pytest.mark.parametrize(
    ("query", "index"),
    [
        (finished_before(NAMESPACE, NOW), "ix_replay_clip_status_finished_at (status=? AND finished_at<?)"),
        (oldest_of_owner(NAMESPACE, OWNER), "ix_replay_clip_owner_created_at (owner=?)"),
    ],
)
async def test_clips_are_looked_through_by_an_index(database: Database, query: object, index: str) -> None:
    async with database.reading() as connection:
        plan = await sqlite_plan(connection, query)  # type: ignore[arg-type]  # the two differ in nothing that matters here
    assert index in " ".join(plan)
    assert not [step for step in plan if "TEMP B-TREE" in step]


def finished_capture() -> dict[str, object]:
    """A capture of the owner that is ready, without bytes of its own in the catalogue."""
    body = capture_body()
    body["status"] = {
        "source": {"bufferUid": "b1", "path": "team/b1", "owner": OWNER, "room": "standup"},
        "conditions": [
            {
                "type": "Stalled",
                "status": "True",
                "reason": "NoMedia",
                "message": "m",
                "lastTransitionTime": NOW.isoformat(),
                "observedGeneration": 1,
            }
        ],
    }
    return body
