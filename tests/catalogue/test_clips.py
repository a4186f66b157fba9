"""A person's clips: newest first, page by page, with their files, in one statement."""

import pytest
from sqlalchemy import func, select

from replay_operator.api.replaycapture import DeletionPolicy
from replay_operator.catalogue.clips import (
    Clips,
    ListedFile,
    page_of_clips,
    tied_to_resources,
)
from replay_operator.catalogue.database import Database
from replay_operator.catalogue.listing import Chosen, Place
from replay_operator.catalogue.owners import ArchiveUse, Owners
from replay_operator.catalogue.tables import ClipFile, ClipStatus, FileKind
from replay_operator.catalogue.writing import EntryWriter
from tests.builders import NAMESPACE, NOW, at
from tests.catalogue.entries import clip
from tests.catalogue.statements import recorded, sqlite_plan


async def test_clips_are_listed_newest_first_with_their_files(database: Database) -> None:
    await EntryWriter(database).write(
        [
            clip("old", created_at=at(-60)),
            clip("new", kinds=(FileKind.VIDEO,)),
            clip("theirs", owner="user-7"),
            clip("failed", created_at=at(-90), status=ClipStatus.FAILED, kinds=()),
        ]
    )
    page = await Clips(database).of_owner("user-42", limit=10)
    assert page.next is None
    assert [(found.uid, found.status, len(found.files)) for found in page.clips] == [
        ("new", ClipStatus.READY, 1),
        ("old", ClipStatus.READY, 2),
        ("failed", ClipStatus.FAILED, 0),
    ]
    assert page.clips[0].files == (ListedFile(FileKind.VIDEO, "new/Video", 1000),)
    assert page.clips[0].created_at == NOW


@pytest.mark.parametrize("clips", [1, 40])
async def test_a_page_is_one_statement_however_many_clips_it_has(database: Database, clips: int) -> None:
    await EntryWriter(database).write([clip(f"c{number}") for number in range(clips)])
    with recorded(database) as statements:
        page = await Clips(database).of_owner("user-42", limit=100)
    assert len(page.clips) == clips
    assert len(statements) == 1


async def test_a_page_reads_no_column_that_the_list_does_not_show(database: Database) -> None:
    with recorded(database) as statements:
        await Clips(database).of_owner("user-42", limit=10)
    for column in ("sha256", "quota_bytes", "deletion_policy", "range_start", "finished_at", "buffer_uid"):
        assert column not in statements[0]


async def test_pages_in_a_row_give_each_clip_once_though_many_were_made_in_the_same_second(
    database: Database,
) -> None:
    await EntryWriter(database).write([clip(f"c{n:02}", created_at=at(-(n // 7))) for n in range(25)])
    seen: list[str] = []
    after: Place | None = None
    while True:
        page = await Clips(database).of_owner("user-42", limit=4, after=after)
        seen += [found.uid for found in page.clips]
        if page.next is None:
            break
        assert len(page.clips) == 4
        after = page.next
    assert sorted(seen) == [f"c{n:02}" for n in range(25)]


async def test_a_clip_that_comes_while_somebody_turns_pages_moves_nothing(database: Database) -> None:
    await EntryWriter(database).write([clip(f"c{n}", created_at=at(-n)) for n in range(4)])
    first = await Clips(database).of_owner("user-42", limit=2)
    await EntryWriter(database).write([clip("newer", created_at=at(60))])
    second = await Clips(database).of_owner("user-42", limit=2, after=first.next)
    assert [found.uid for found in second.clips] == ["c2", "c3"]


@pytest.mark.parametrize("after", [None, Place(NOW, "c5")])
async def test_a_page_is_read_from_the_index_in_order(sqlite: Database, after: Place | None) -> None:
    async with sqlite.reading() as connection:
        plan = await sqlite_plan(connection, page_of_clips(Chosen(owner="user-42"), 50, after))
    search = next(step for step in plan if "replay_clip" in step)
    bound = "" if after is None else " AND (created_at,uid)<(?,?)"
    assert search.endswith(f"ix_replay_clip_owner_created_at (owner=?{bound})")
    inside_the_page = plan[: plan.index(next(step for step in plan if step.startswith("SCAN")))]
    assert not [step for step in inside_the_page if "TEMP B-TREE" in step]
    assert [step for step in plan if "clip_file" in step and "SEARCH" in step]


async def test_files_that_a_clip_has_no_more_are_removed(database: Database) -> None:
    await EntryWriter(database).write([clip("a"), clip("b")])
    await EntryWriter(database).write([clip("a", kinds=())])
    async with database.reading() as connection:
        left = await connection.execute(select(ClipFile.clip_uid, func.count()).group_by(ClipFile.clip_uid))
        assert left.all() == [("b", 2)]


async def test_clips_whose_captures_went_unseen_are_closed_as_their_policy_says(database: Database) -> None:
    pending, delete = ClipStatus.PENDING, DeletionPolicy.DELETE
    await EntryWriter(database).write(
        [
            clip("alive", status=pending, kinds=()),
            clip("given up", status=pending, kinds=()),
            clip("retained"),
            clip("taken along", policy=delete),
            clip("alive too", policy=delete),
        ]
    )
    assert await Clips(database).close_missing(NAMESPACE, ["alive", "alive too"], at(5)) == 2
    page = await Clips(database).of_owner("user-42", limit=10)
    assert {found.uid: (found.status, len(found.files)) for found in page.clips} == {
        "alive": (pending, 0),
        "given up": (ClipStatus.FAILED, 0),
        "retained": (ClipStatus.READY, 2),
        "taken along": (ClipStatus.DELETED, 0),
        "alive too": (ClipStatus.READY, 2),
    }
    assert await Owners(database).archive_use("user-42") == ArchiveUse(2000, 1000)


async def test_clips_of_another_install_are_not_closed(database: Database) -> None:
    await EntryWriter(database).write([clip("theirs", status=ClipStatus.PENDING)])
    assert await Clips(database).close_missing("another-team", [], NOW) == 0


async def test_clips_tied_to_resources_are_found_by_the_index_of_their_state(sqlite: Database) -> None:
    async with sqlite.reading() as connection:
        plan = await sqlite_plan(connection, tied_to_resources(NAMESPACE))
    index = "SEARCH replay_clip USING INDEX ix_replay_clip_status_deletion_policy"
    assert [step for step in plan if "replay_clip" in step] == [
        f"{index} (status=?)",
        f"{index} (status=? AND deletion_policy=?)",
    ]
