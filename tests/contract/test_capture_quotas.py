"""Quotas of owners: a capture that does not fit is refused at once and for good, with what to do."""

from __future__ import annotations

import asyncio
import uuid
from collections.abc import AsyncIterator, Mapping
from contextlib import nullcontext
from pathlib import Path
from typing import Any

import pytest
from pydantic import SecretStr

from replay_operator.api.capture_job import CaptureResult
from replay_operator.api.replaycapture import ResolvedRange
from replay_operator.catalogue.clips import Clips
from replay_operator.catalogue.connection import Catalogue, open_catalogue
from replay_operator.catalogue.database import Database
from replay_operator.catalogue.migrate import bring_up_to_date
from replay_operator.catalogue.owners import ArchiveUse, Owners
from replay_operator.catalogue.quota_cache import ForgettingWriter
from replay_operator.catalogue.writing import EntryWriter
from replay_operator.cluster.resources import CAPTURES, PODS
from replay_operator.controller import quota_book
from replay_operator.controller.admission import AdmissionBook
from replay_operator.controller.quota_book import QuotaBook, RecordedFacts, follow_own_numbers
from replay_operator.controller.reservations import Reservations
from replay_operator.domain.admission import Limits
from replay_operator.domain.quotas import QuotaLimits, reservation_bytes
from tests.builders import BUFFER_UID, NAMESPACE, NOW, at, buffer, capture_body, rfc3339
from tests.catalogue.entries import clip
from tests.contract.rig import SETTINGS, Outside, Rig, pod_of
from tests.contract.test_capture_flow import CLIP
from tests.contract.test_catalogue import recording_rows, written

OWNER = "user-42"
SAVE = {"last": {"seconds": 10, "until": rfc3339(at(13))}}

NEEDED = reservation_bytes(buffer().spec.encoding, ResolvedRange(start=at(3), end=at(13)), 6)
"""What such a clip reserves."""


def settings(**limits: Any) -> Any:
    return SETTINGS.model_copy(update=limits)


async def recording(rig: Rig) -> Rig:
    rig.user_creates_buffer(owner=OWNER)
    await rig.bring_up()
    return rig


def asks(rig: Rig, name: str, *, second: float = 13, **spec: Any) -> str:
    """A user creates a capture; give its uid."""
    body = capture_body(name=name, uid=str(uuid.uuid5(uuid.NAMESPACE_DNS, name)), range=SAVE, **spec)
    body["metadata"]["creationTimestamp"] = rfc3339(at(second))
    rig.captures.put(rig.cluster.add(CAPTURES, body))
    return str(body["metadata"]["uid"])


async def outcome(rig: Rig, uid: str) -> tuple[str, str]:
    await rig.operator.captures.reconcile(uid)
    return said(rig, uid)


def said(rig: Rig, uid: str) -> tuple[str, str]:
    capture = rig.captures.get(uid)
    assert capture is not None
    ready = next(c for c in capture.status.conditions if c.type == "Ready")
    return ready.reason, ready.message


@pytest.fixture
async def catalogue(tmp_path: Path) -> AsyncIterator[Catalogue]:
    catalogue = open_catalogue(SecretStr(f"sqlite:///{tmp_path}/catalogue.db"), None)
    await bring_up_to_date(catalogue.database)
    yield catalogue
    await catalogue.close()


@pytest.fixture
def database(catalogue: Catalogue) -> Database:
    return catalogue.database


async def test_a_capture_over_the_rate_is_refused_for_good_and_told_when_to_try_again() -> None:
    rig = await recording(Rig(Outside(), settings=settings(max_captures_per_owner_minute=2)))
    assert [(await outcome(rig, asks(rig, name)))[0] for name in ("a", "b")] == ["WaitingForPin"] * 2
    third = asks(rig, "c", second=20)
    writes = len(rig.cluster.writes)
    reason, message = await outcome(rig, third)
    assert reason == "QuotaExceeded"
    assert "2 a minute are allowed. Try again at 2026-11-23T12:00:43Z" in message
    stalled = next(c for c in rig.captures.get(third).status.conditions if c.type == "Stalled")  # type: ignore[union-attr]  # it was just read
    assert stalled.status == "True"
    new = rig.cluster.writes[writes:]
    assert sorted(call.plural for call in new) == ["events", "replaycaptures"]
    assert await rig.operator.captures.reconcile(third) is None
    assert len(rig.cluster.writes) == writes + 2, "refused once, and left alone then"
    assert (await outcome(rig, asks(rig, "d", second=43)))[0] == "WaitingForPin"


async def test_the_same_moment_is_no_way_around_the_archive_quota(catalogue: Catalogue) -> None:
    limits = settings(max_archive_per_owner=str(NEEDED * 3))
    rig = await recording(Rig(Outside(), settings=limits, catalogue=catalogue))
    uids = [asks(rig, f"c{number}") for number in range(8)]
    await asyncio.gather(*(rig.operator.captures.reconcile(uid) for uid in uids))
    reasons = [said(rig, uid)[0] for uid in uids]
    assert (reasons.count("WaitingForPin"), reasons.count("QuotaExceeded")) == (3, 5)


async def test_a_status_that_could_not_be_written_keeps_its_reservation() -> None:
    rig = await recording(Rig(Outside(), settings=settings(max_archive_per_owner=str(NEEDED))))
    first, second = asks(rig, "first"), asks(rig, "second")
    rig.cluster.away_for = {"patch replaycaptures"}
    with pytest.raises(Exception, match="patch"):
        await rig.operator.captures.reconcile(first)
    rig.cluster.away_for = set()
    assert (await outcome(rig, second))[0] == "QuotaExceeded"
    assert (await outcome(rig, first))[0] == "WaitingForPin"


async def test_a_finished_clip_counts_with_its_real_bytes_and_frees_the_rest(
    catalogue: Catalogue, database: Database
) -> None:
    rig = Rig(Outside(), settings=settings(max_archive_per_owner=str(NEEDED + 12_000)), catalogue=catalogue)
    async with recording_rows(rig):
        await recording(rig)
        first = asks(rig, "first")
        assert (await outcome(rig, first))[0] == "WaitingForPin"
        assert (await outcome(rig, asks(rig, "early")))[0] == "QuotaExceeded"
        await finish(rig, first)
        assert (await outcome(rig, asks(rig, "late")))[0] == "WaitingForPin"
        await written(rig)
        use = await Owners(database).archive_use(OWNER)
        assert (use.archived_bytes, use.reserved_bytes) == (clip_bytes(rig, first), NEEDED)


@pytest.mark.parametrize("is_away", [False, True], ids=["with catalogue", "without"])
async def test_a_clip_that_is_in_object_storage_only_takes_nothing_of_the_archive(
    catalogue: Catalogue, database: Database, tmp_path: Path, *, is_away: bool
) -> None:
    if is_away:
        await pull_out(database, tmp_path)
    rig = Rig(Outside(), settings=settings(max_archive_per_owner=str(NEEDED + 1)), catalogue=catalogue)
    async with nullcontext() if is_away else recording_rows(rig):
        await recording(rig)
        first = asks(rig, "first")
        await outcome(rig, first)
        await finish(rig, first)
        if not is_away:
            await written(rig)
        assert (await outcome(rig, asks(rig, "second")))[0] == "QuotaExceeded"
        status = rig.cluster.stored(CAPTURES, NAMESPACE, "first")["status"]
        status["upload"] = {"state": "Verified", "attempts": 1, "localCopy": "Dropped"}
        rig.captures.put(rig.cluster.change(CAPTURES, NAMESPACE, "first", status=status))
        if not is_away:
            await written(rig)
        assert (await outcome(rig, asks(rig, "third")))[0] == "WaitingForPin"


async def test_clips_whose_captures_are_gone_still_count(catalogue: Catalogue, database: Database) -> None:
    await EntryWriter(database).write([clip("old", quota_bytes=NEEDED)])
    rig = Rig(Outside(), settings=settings(max_archive_per_owner=str(2 * NEEDED - 1)), catalogue=catalogue)
    await recording(rig)
    reason, message = await outcome(rig, asks(rig, "a"))
    assert (reason, f"{NEEDED} of {2 * NEEDED - 1} bytes" in message) == ("QuotaExceeded", True)
    smaller = ForgettingWriter(EntryWriter(database), catalogue.cache)
    await smaller.write([clip("old", quota_bytes=NEEDED - 1)])
    assert (await outcome(rig, asks(rig, "b")))[0] == "WaitingForPin"


async def test_an_owner_may_have_limits_of_its_own(catalogue: Catalogue, database: Database) -> None:
    await Owners(database).set_own_limits(OWNER, QuotaLimits(captures_per_hour=1), NOW)
    rig = await recording(Rig(Outside(), catalogue=catalogue))
    assert [(await outcome(rig, asks(rig, name)))[0] for name in ("a", "b")] == [
        "WaitingForPin",
        "QuotaExceeded",
    ]


async def test_an_owner_may_have_a_number_of_buffers_of_its_own(
    catalogue: Catalogue, database: Database
) -> None:
    await Owners(database).set_own_limits(OWNER, QuotaLimits(buffers=0), NOW)
    rig = Rig(Outside(), catalogue=catalogue)
    rig.user_creates_buffer(owner=OWNER)
    book, told = AdmissionBook(rig.buffers, Limits()), asyncio.Event()

    def take(numbers: Mapping[str, int]) -> None:
        book.take_own_numbers(numbers)
        told.set()

    assert book.refusal(BUFFER_UID) is None
    following = asyncio.create_task(follow_own_numbers(Owners(database), take))
    await asyncio.wait_for(told.wait(), 20)
    following.cancel()
    assert "the owner's own quota" in (book.refusal(BUFFER_UID) or "")


async def test_while_the_catalogue_is_away_what_was_known_last_holds_with_what_happened_since(
    catalogue: Catalogue, database: Database, tmp_path: Path
) -> None:
    await EntryWriter(database).write([clip("old", quota_bytes=NEEDED)])
    limits = settings(max_archive_per_owner=str(2 * NEEDED + CLIP.bytes - 1))
    rig = Rig(Outside(), settings=limits, catalogue=catalogue)
    async with recording_rows(rig):
        await recording(rig)
        first = asks(rig, "first")
        assert (await outcome(rig, first))[0] == "WaitingForPin"
        await written(rig)
    await pull_out(database, tmp_path)
    assert (await outcome(rig, asks(rig, "second")))[0] == "QuotaExceeded", "the old clip, and the first"
    await finish(rig, first)
    reason, message = await outcome(rig, asks(rig, "third"))
    assert (reason, f"{NEEDED + CLIP.bytes} of " in message) == ("QuotaExceeded", True)


async def test_nobody_waits_again_and_again_for_a_catalogue_that_does_not_answer(
    catalogue: Catalogue, database: Database, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    await pull_out(database, tmp_path)
    rig = await recording(Rig(Outside(), catalogue=catalogue))
    for name in ("a", "b", "c"):
        await outcome(rig, asks(rig, name))
    assert caplog.text.count("does not answer") == 1
    rig.clock.go_on(11)
    await outcome(rig, asks(rig, "d"))
    assert caplog.text.count("does not answer") == 2


class Speechless:
    """A catalogue that takes questions and never answers."""

    async def archive_use(self, owner: str) -> ArchiveUse:
        return await asyncio.Future()

    async def own_limits(self, owner: str) -> QuotaLimits:
        return await asyncio.Future()

    async def own_numbers_of_buffers(self) -> Mapping[str, int]:
        return await asyncio.Future()


async def test_an_answer_that_does_not_come_is_not_waited_for(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(quota_book, "PATIENCE_SECONDS", 0.01)
    rig = Rig(Outside())
    book = QuotaBook(
        QuotaLimits(),
        recorded=RecordedFacts(Speechless(), lambda _: 0, lambda: False),
        reservations=Reservations(buffers=rig.buffers, captures=rig.captures, segment_seconds=6),
        captures=rig.captures,
        metrics=rig.metrics,
        clock=rig.clock,
    )
    await asyncio.wait_for(book.look_up(OWNER), 20)


async def test_a_catalogue_that_was_never_there_admits_what_the_resources_allow(
    catalogue: Catalogue, database: Database, tmp_path: Path
) -> None:
    await pull_out(database, tmp_path)
    rig = Rig(Outside(), settings=settings(max_archive_per_owner=str(NEEDED + 1)), catalogue=catalogue)
    await recording(rig)
    first = asks(rig, "first")
    assert (await outcome(rig, first))[0] == "WaitingForPin"
    await finish(rig, first)
    assert (await outcome(rig, asks(rig, "second")))[0] == "QuotaExceeded", "the first clip counts"


async def test_a_refused_capture_is_in_the_catalogue_under_its_owner(
    catalogue: Catalogue, database: Database
) -> None:
    rig = Rig(Outside(), settings=settings(max_captures_per_owner_hour=0), catalogue=catalogue)
    async with recording_rows(rig):
        await recording(rig)
        await outcome(rig, asks(rig, "a"))
        await written(rig)
    (row,) = (await Clips(database).of_owner(OWNER, limit=5)).clips
    assert (row.status, row.reason) == ("Failed", "QuotaExceeded")


async def test_deleting_captures_gives_no_fresh_tokens() -> None:
    rig = await recording(Rig(Outside(), settings=settings(max_captures_per_owner_hour=1)))
    uid = asks(rig, "a")
    assert (await outcome(rig, uid))[0] == "WaitingForPin"
    await rig.user_deletes_capture("a")
    assert (await outcome(rig, asks(rig, "b")))[0] == "QuotaExceeded"


async def test_a_restart_gives_no_fresh_tokens_and_keeps_reservations() -> None:
    limits = settings(max_captures_per_owner_hour=2, max_archive_per_owner=str(NEEDED))
    rig = await recording(Rig(Outside(), settings=limits))
    assert (await outcome(rig, asks(rig, "a")))[0] == "WaitingForPin"
    new = rig.restarted()
    await new.look()
    reason, message = await outcome(new, asks(new, "b"))
    assert (reason, f"{NEEDED} of {NEEDED}" in message) == ("QuotaExceeded", True)


async def test_a_buffer_without_an_owner_has_no_quota() -> None:
    rig = Rig(Outside(), settings=settings(max_captures_per_owner_hour=0))
    rig.user_creates_buffer()
    await rig.bring_up()
    assert (await outcome(rig, asks(rig, "a")))[0] == "WaitingForPin"


async def finish(rig: Rig, uid: str) -> None:
    """Its segments come, its Job makes the clip."""
    await rig.policy.publish()
    rig.clock.go_on(13)
    rig.segments_arrive()
    await rig.look()
    await rig.operator.captures.reconcile(uid)
    done = CaptureResult(capture_uid=uid, clip=CLIP).model_dump_json(by_alias=True)
    rig.cluster.add(PODS, pod_of(rig.job_names[-1], done, uid=uid))
    rig.job_ends(rig.job_names[-1], condition="Complete", message=None)
    await rig.operator.captures.reconcile(uid)
    assert said(rig, uid)[0] == "ClipReady"


def clip_bytes(rig: Rig, uid: str) -> int:
    capture = rig.captures.get(uid)
    assert capture is not None
    assert capture.status.clip is not None
    return capture.status.clip.bytes


async def pull_out(database: Database, folder: Path) -> None:
    """The volume is gone: nothing is open, and nothing can be opened."""
    await database.close()
    await asyncio.to_thread((folder / "catalogue.db").unlink)
    await asyncio.to_thread((folder / "catalogue.db").mkdir)


async def clips_of(database: Database) -> dict[str, tuple[str, str]]:
    """Status and reason of each of the owner's clips, by uid."""
    page = await Clips(database).of_owner(OWNER, limit=50)
    return {row.uid: (row.status.value, row.reason) for row in page.clips}
