"""The catalogue follows the operator's objects; a database that is away makes rows late, and no more."""

from __future__ import annotations

import asyncio
import sqlite3
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, closing
from pathlib import Path
from typing import NoReturn

import pytest
from pydantic import SecretStr

from replay_operator.catalogue.clips import Clips, ListedClip
from replay_operator.catalogue.connection import Catalogue, open_catalogue
from replay_operator.catalogue.database import Database
from replay_operator.catalogue.errors import CatalogueAwayError
from replay_operator.catalogue.migrate import bring_up_to_date
from replay_operator.catalogue.owners import Owners
from replay_operator.catalogue.schema import REVISIONS
from replay_operator.catalogue.sessions import Sessions
from replay_operator.catalogue.tables import ClipStatus
from replay_operator.controller import catalogue_schema
from replay_operator.controller.catalogue_feed import CatalogueFeed
from replay_operator.domain.quotas import QuotaLimits
from tests.builders import BUFFER_UID, CAPTURE_UID, at, rfc3339
from tests.catalogue.revision import set_revision
from tests.contract.rig import Outside, Rig
from tests.contract.test_capture_flow import DONE
from tests.waiting import until

OWNER = "user-42"
SAVE = {"last": {"seconds": 10, "until": rfc3339(at(13))}}


@pytest.fixture
async def catalogue(tmp_path: Path) -> AsyncIterator[Catalogue]:
    """In a file of a folder that is not there yet: it is away."""
    catalogue = open_catalogue(SecretStr(f"sqlite:///{tmp_path}/volume/catalogue.db"), None)
    yield catalogue
    await catalogue.close()


@pytest.fixture
def database(catalogue: Catalogue) -> Database:
    return catalogue.database


@pytest.fixture
def volume(catalogue: Catalogue, tmp_path: Path) -> Path:
    """The folder, there: the database can be used."""
    folder = tmp_path / "volume"
    folder.mkdir()
    return folder


@pytest.fixture
def rig(catalogue: Catalogue) -> Rig:
    return Rig(Outside(), catalogue=catalogue)


def feed_of(rig: Rig) -> CatalogueFeed:
    assert rig.operator.catalogue.feed is not None
    return rig.operator.catalogue.feed


@asynccontextmanager
async def recording_rows(rig: Rig) -> AsyncIterator[None]:
    """The operator's loop that writes the catalogue runs for as long as the block."""
    task = asyncio.create_task(feed_of(rig).run())
    yield
    assert not task.done(), task.result()
    task.cancel()
    await asyncio.wait([task])


async def written(rig: Rig) -> None:
    await asyncio.wait_for(feed_of(rig).recorder.caught_up(), 20)


async def active(database: Database) -> list[tuple[str, str]]:
    found = await Sessions(database).active_of_owner(OWNER)
    return [(session.uid, session.reason) for session in found]


async def clips(database: Database) -> list[ListedClip]:
    return list((await Clips(database).of_owner(OWNER, limit=10)).clips)


async def save_a_clip(rig: Rig, **spec: object) -> None:
    """From a buffer that records to a clip that is ready."""
    rig.user_creates_buffer(owner=OWNER)
    await rig.bring_up()
    rig.user_creates_capture(range=SAVE, **spec)
    await rig.reconcile_capture()
    await rig.policy.publish()
    rig.clock.go_on(13)
    rig.segments_arrive()
    await rig.look()
    await rig.reconcile_capture()
    rig.job_ends(rig.job_names[0], condition="Complete", message=DONE)
    await rig.reconcile_capture()
    assert rig.capture_reason == "ClipReady"


@pytest.mark.usefixtures("volume")
async def test_a_recording_and_its_clip_are_in_the_catalogue_as_their_resources_say(
    rig: Rig, database: Database
) -> None:
    async with recording_rows(rig):
        await save_a_clip(rig)
        await written(rig)
    assert await active(database) == [(BUFFER_UID, "Recording")]
    (clip,) = await clips(database)
    assert (clip.uid, clip.status, clip.room) == (CAPTURE_UID, ClipStatus.READY, "standup")
    assert rig.capture.status.clip is not None
    assert clip.files[0].path == rig.capture.status.clip.path


@pytest.mark.usefixtures("volume")
async def test_what_is_deleted_is_closed_and_a_clip_that_is_kept_stays(rig: Rig, database: Database) -> None:
    async with recording_rows(rig):
        await save_a_clip(rig)
        await rig.user_deletes_capture()
        rig.user_deletes_buffer()
        await written(rig)
    assert await active(database) == []
    assert [clip.status for clip in await clips(database)] == [ClipStatus.READY]


async def test_a_database_that_is_away_delays_rows_and_nothing_else(
    rig: Rig, database: Database, tmp_path: Path
) -> None:
    async with recording_rows(rig):
        await save_a_clip(rig)
        writes = len(rig.cluster.writes)
        assert feed_of(rig).recorder.waiting == 2
        (tmp_path / "volume").mkdir()
        await written(rig)
        assert len(rig.cluster.writes) == writes
    assert await active(database) == [(BUFFER_UID, "Recording")]
    assert [clip.status for clip in await clips(database)] == [ClipStatus.READY]


@pytest.mark.usefixtures("volume")
async def test_what_went_while_no_operator_ran_is_closed_once_both_lists_are_complete(
    rig: Rig, database: Database
) -> None:
    async with recording_rows(rig):
        await save_a_clip(rig)
        await written(rig)
    rig.user_deletes_buffer()
    new = rig.restarted()
    async with recording_rows(new):
        await written(new)
        assert await active(database) == [(BUFFER_UID, "Recording")], "nobody has listed the buffers yet"
        await new.look()
        await written(new)
    assert await active(database) == []
    assert len(await clips(database)) == 1


async def test_a_restart_and_a_look_at_the_whole_change_no_row(rig: Rig, volume: Path) -> None:
    async with recording_rows(rig):
        await save_a_clip(rig)
        await written(rig)
    with closing(sqlite3.connect(volume / "catalogue.db")) as watching:
        version = watching.execute("PRAGMA data_version").fetchone()
        new = rig.restarted()
        async with recording_rows(new):
            for _ in range(2):
                await new.look()
                await written(new)
                new.clock.go_on(700)
        assert watching.execute("PRAGMA data_version").fetchone() == version


@pytest.mark.usefixtures("volume")
@pytest.mark.usefixtures("volume")
async def test_a_schema_of_a_newer_version_is_left_alone_and_recording_goes_on(
    rig: Rig, database: Database, caplog: pytest.LogCaptureFixture
) -> None:
    await bring_up_to_date(database)
    await set_revision(database, "9999")
    async with recording_rows(rig):
        await until("a refusal", lambda: feed_of(rig).schema.is_refused)
        await save_a_clip(rig)
        assert feed_of(rig).recorder.waiting == 2
        assert await clips(database) == []
        await set_revision(database, REVISIONS[-1])
        await written(rig)
        assert not feed_of(rig).schema.is_refused
    assert [clip.status for clip in await clips(database)] == [ClipStatus.READY]
    (said,) = [record for record in caplog.records if record.levelname == "ERROR"]
    assert "run the version that made it" in said.message


@pytest.mark.usefixtures("volume")
async def test_a_schema_that_becomes_a_newer_versions_under_a_running_operator_is_left_alone(
    rig: Rig, database: Database, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(catalogue_schema, "LOOK_SECONDS", 0.01)
    async with recording_rows(rig):
        await feed_of(rig).schema.prepared()
        await set_revision(database, "9999")
        await until("a refusal", lambda: feed_of(rig).schema.is_refused)
        await save_a_clip(rig)
        assert feed_of(rig).recorder.waiting == 2
        assert rig.metrics.registry.get_sample_value("replay_catalogue_up") == 0
        await set_revision(database, REVISIONS[-1])
        await written(rig)
    assert [clip.status for clip in await clips(database)] == [ClipStatus.READY]


@pytest.mark.usefixtures("volume")
async def test_a_database_that_is_away_for_a_moment_does_not_take_a_refusal_back(
    rig: Rig, database: Database, monkeypatch: pytest.MonkeyPatch
) -> None:
    await bring_up_to_date(database)
    await set_revision(database, "9999")
    tries = asyncio.Semaphore(0)

    async def away(_: Database) -> NoReturn:
        tries.release()
        raise CatalogueAwayError("pulled out")

    async with recording_rows(rig):
        await until("a refusal", lambda: feed_of(rig).schema.is_refused)
        monkeypatch.setattr(catalogue_schema, "bring_up_to_date", away)
        for _ in range(2):
            await tries.acquire()
        assert feed_of(rig).schema.is_refused


@pytest.mark.usefixtures("volume")
async def test_rows_of_a_newer_version_are_not_asked_for_quotas(rig: Rig, database: Database) -> None:
    await bring_up_to_date(database)
    await Owners(database).set_own_limits(OWNER, QuotaLimits(archive_bytes=1), at(0))
    await set_revision(database, "9999")
    async with recording_rows(rig):
        await until("a refusal", lambda: feed_of(rig).schema.is_refused)
        await save_a_clip(rig)


async def test_an_operator_without_a_catalogue_records_nothing() -> None:
    assert Rig(Outside()).operator.catalogue.feed is None
