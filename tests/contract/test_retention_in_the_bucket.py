"""Clips that go by themselves go from the bucket too, and their rows say so only when they are gone there."""

from __future__ import annotations

import pytest

from replay_operator.api.removal_job import MOST_OBJECTS, RemovalResult
from replay_operator.api.upload_job import UploadError, UploadErrorReason
from replay_operator.catalogue.connection import Catalogue
from replay_operator.catalogue.database import Database
from replay_operator.catalogue.writing import EntryWriter
from replay_operator.cluster.removal_jobs import RETENTION_JOB, requested_objects
from replay_operator.cluster.resources import CAPTURES, JOBS
from tests.catalogue.entries import clip
from tests.contract.rig import Outside, Rig
from tests.contract.test_capture_quotas import catalogue, clips_of, database, settings
from tests.contract.test_clip_retention import AGE, DAYS, finished_capture, swept
from tests.contract.test_uploads import bucket, ends

__all__ = ["catalogue", "database"]

DONE = RemovalResult(removed=1).model_dump_json(by_alias=True)
READY, DELETED = ("Ready", "ClipReady"), ("Deleted", "Expired")


async def archived(database: Database, *days: int, url: str | None = "s3://clips/archive/{}.mp4") -> None:
    """Clips of so many days in the bucket, whose captures are gone."""
    entries = [
        clip(f"old-clip-{n:02}", created_at=DAYS[n], finished_at=DAYS[n], url=url and url.format(n))
        for n in days
    ]
    await EntryWriter(database).write(entries)


def doomed(rig: Rig) -> list[str]:
    """The keys that the Job of now was asked to delete."""
    [job] = [body for body in rig.cluster.all_of(JOBS) if body["metadata"]["name"] == RETENTION_JOB]
    return [wanted.key for wanted in requested_objects(job)]


@pytest.fixture
async def rig(catalogue: Catalogue) -> Rig:
    rig = Rig(Outside(), settings=settings(**AGE), catalogue=catalogue, uploads=bucket())
    await rig.look()
    return rig


async def test_a_row_says_deleted_when_the_job_has_deleted_the_object(rig: Rig, database: Database) -> None:
    await archived(database, 6, 8, 9)
    assert await swept(rig) == ["old-clip-09", "old-clip-08"]
    assert doomed(rig) == ["archive/9.mp4", "archive/8.mp4"]
    assert set((await clips_of(database)).values()) == {READY}
    await swept(rig)
    assert len(rig.job_names) == 1
    ends(rig, RETENTION_JOB, DONE, condition="Complete")
    await swept(rig)
    assert await clips_of(database) == {"old-clip-06": READY, "old-clip-08": DELETED, "old-clip-09": DELETED}
    assert rig.job_names == []


async def test_a_deletion_that_fails_is_tried_again_and_no_row_lies(rig: Rig, database: Database) -> None:
    await archived(database, 9)
    await swept(rig)
    refused = UploadError(reason=UploadErrorReason.CREDENTIALS_REFUSED, message="may not delete")
    ends(rig, RETENTION_JOB, RemovalResult(error=refused).model_dump_json(by_alias=True))
    await swept(rig)
    assert await clips_of(database) == {"old-clip-09": READY}
    assert doomed(rig) == ["archive/9.mp4"]


async def test_the_answer_of_a_job_is_not_lost_with_the_process_that_made_it(
    rig: Rig, database: Database
) -> None:
    await archived(database, 9)
    await swept(rig)
    ends(rig, RETENTION_JOB, DONE, condition="Complete")
    new = rig.restarted()
    await new.look()
    await swept(new)
    assert await clips_of(database) == {"old-clip-09": DELETED}


async def test_an_object_that_is_somebody_elses_is_left_and_not_asked_about_for_ever(
    rig: Rig, database: Database
) -> None:
    await archived(database, 9)
    await swept(rig)
    left = RemovalResult(not_ours=("archive/9.mp4",)).model_dump_json(by_alias=True)
    ends(rig, RETENTION_JOB, left, condition="Complete")
    await swept(rig)
    assert await clips_of(database) == {"old-clip-09": DELETED}


async def test_no_more_than_a_jobs_worth_is_looked_at_at_once(rig: Rig, database: Database) -> None:
    old = [
        clip(f"clip-{n:04}", created_at=DAYS[9], finished_at=DAYS[9], url=f"s3://clips/{n}.mp4")
        for n in range(MOST_OBJECTS + 5)
    ]
    await EntryWriter(database).write(old)
    assert len(await swept(rig)) == MOST_OBJECTS
    assert len(doomed(rig)) == MOST_OBJECTS
    ends(rig, RETENTION_JOB, DONE, condition="Complete")
    await swept(rig)
    assert len(doomed(rig)) == 5


async def test_a_clip_in_another_bucket_is_left_there(rig: Rig, database: Database) -> None:
    await archived(database, 9, url="s3://clips-of-last-year/{}.mp4")
    await swept(rig)
    assert rig.job_names == []
    assert await clips_of(database) == {"old-clip-09": DELETED}


async def test_an_upload_that_outlived_its_capture_goes_too_though_the_catalogue_has_no_url_of_it(
    rig: Rig, database: Database
) -> None:
    await archived(database, 9, url=None)
    await swept(rig)
    assert doomed(rig) == ["archive/old-clip-09/Video"]
    assert await clips_of(database) == {"old-clip-09": READY}
    ends(rig, RETENTION_JOB, DONE, condition="Complete")
    await swept(rig)
    assert await clips_of(database) == {"old-clip-09": DELETED}


async def test_what_the_catalogue_has_noted_is_not_remembered(rig: Rig, database: Database) -> None:
    for _ in range(2):
        await archived(database, 9)
        await swept(rig)
        assert doomed(rig) == ["archive/9.mp4"]
        ends(rig, RETENTION_JOB, DONE, condition="Complete")
        await swept(rig)
        assert await clips_of(database) == {"old-clip-09": DELETED}


async def test_an_owner_over_its_quota_is_looked_at_until_the_bucket_has_let_go(
    catalogue: Catalogue, database: Database
) -> None:
    await archived(database, 1, 2)
    limits = settings(clip_keep_quota_percent=50, max_archive_per_owner="3000")
    rig = Rig(Outside(), settings=limits, catalogue=catalogue, uploads=bucket())
    rig.captures.put(rig.cluster.add(CAPTURES, finished_capture()))
    await rig.look()
    await swept(rig)
    assert doomed(rig) == ["archive/2.mp4"]
    ends(rig, RETENTION_JOB, DONE, condition="Complete")
    await swept(rig)
    assert await clips_of(database) == {"old-clip-01": READY, "old-clip-02": ("Deleted", "OverQuota")}
    assert rig.cluster.all_of(JOBS) == []
