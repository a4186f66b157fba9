"""Lists of sessions and clips: chosen by owner, room, status and age, newest first, page by page."""

from datetime import UTC, datetime, timedelta, timezone

import pytest

from replay_operator.catalogue.clips import Clips, page_of_clips
from replay_operator.catalogue.database import Database
from replay_operator.catalogue.errors import BadCursorError
from replay_operator.catalogue.listing import Chosen, Place, read_cursor, write_cursor
from replay_operator.catalogue.sessions import Sessions, page_of_sessions
from replay_operator.catalogue.tables import ClipStatus, SessionStatus
from replay_operator.catalogue.writing import EntryWriter
from tests.builders import NOW, at
from tests.catalogue.entries import clip, session
from tests.catalogue.statements import recorded, sqlite_plan

CLIP_CHOICES = [
    (Chosen(), {"new", "old", "failed", "theirs", "elsewhere"}),
    (Chosen(owner="user-42"), {"new", "old", "failed", "elsewhere"}),
    (Chosen(room="standup"), {"new", "old", "failed", "theirs"}),
    (Chosen(owner="user-42", room="standup"), {"new", "old", "failed"}),
    (Chosen(owner="user-42", statuses=(ClipStatus.FAILED,)), {"failed"}),
    (Chosen(statuses=(ClipStatus.FAILED, ClipStatus.PENDING)), {"failed", "theirs"}),
    (Chosen(since=at(-60)), {"new", "theirs", "elsewhere", "old"}),
    (Chosen(since=at(-59.9)), {"new", "theirs", "elsewhere"}),
    (Chosen(owner="nobody"), set()),
]


async def test_clips_are_chosen_by_everything_that_is_asked_for(database: Database) -> None:
    await EntryWriter(database).write(
        [
            clip("new"),
            clip("old", created_at=at(-60)),
            clip("failed", created_at=at(-90), status=ClipStatus.FAILED, kinds=()),
            clip("theirs", owner="user-7", status=ClipStatus.PENDING, kinds=()),
            clip("elsewhere", room="another"),
        ]
    )
    for chosen, uids in CLIP_CHOICES:
        page = await Clips(database).page(chosen, limit=10)
        assert {found.uid for found in page.clips} == uids, chosen
        moments = [found.created_at for found in page.clips]
        assert moments == sorted(moments, reverse=True)


async def test_sessions_are_listed_page_by_page_each_once(database: Database) -> None:
    await EntryWriter(database).write(
        [session(f"s{n:02}", created_at=at(-(n // 4))) for n in range(11)]
        + [session("theirs", owner="user-7"), session("ended", status=SessionStatus.ENDED, ended_at=NOW)]
    )
    chosen = Chosen(owner="user-42", statuses=(SessionStatus.ACTIVE,))
    seen: list[str] = []
    after: Place | None = None
    with recorded(database) as statements:
        while True:
            page = await Sessions(database).page(chosen, limit=3, after=after)
            seen += [found.uid for found in page.sessions]
            if page.next is None:
                break
            after = page.next
    assert sorted(seen) == [f"s{n:02}" for n in range(11)]
    assert len(statements) == 4


@pytest.mark.parametrize(
    ("chosen", "index"),
    [
        (Chosen(), "created_at"),
        (Chosen(owner="user-42"), "owner_created_at"),
        (Chosen(room="standup"), "room_created_at"),
        (Chosen(owner="user-42", since=NOW), "owner_created_at"),
        (Chosen(room="standup", statuses=(ClipStatus.READY,)), "room_created_at"),
    ],
)
@pytest.mark.parametrize("after", [None, Place(NOW, "c5")])
async def test_each_list_is_read_from_an_index_in_order(
    sqlite: Database, chosen: Chosen, index: str, after: Place | None
) -> None:
    async with sqlite.reading() as connection:
        clips = await sqlite_plan(connection, page_of_clips(chosen, 50, after))
        sessions = await sqlite_plan(connection, page_of_sessions(chosen, 50, after))
    assert f"INDEX ix_replay_clip_{index}" in next(step for step in clips if "replay_clip" in step)
    assert f"INDEX ix_buffer_session_{index}" in sessions[0]
    assert len(sessions) == 1, "nothing is sorted"


@pytest.mark.parametrize(
    "place",
    [
        Place(NOW, "c0ffee"),
        Place(NOW.replace(microsecond=123456), "uid with blanks"),
        Place(datetime(2026, 1, 1, tzinfo=timezone(timedelta(hours=5, minutes=30))), "ü"),
    ],
)
def test_a_cursor_leads_back_to_its_place(place: Place) -> None:
    cursor = write_cursor(place)
    assert read_cursor(cursor) == place
    assert cursor.isascii()
    assert not set(cursor) & set("+/?&# ")


@pytest.mark.parametrize(
    "cursor",
    ["", "x", "ä", "bm90aGluZw==", write_cursor(Place(NOW.replace(tzinfo=None), "u")), "////", "%00"],
)
def test_what_is_no_cursor_is_refused(cursor: str) -> None:
    with pytest.raises(BadCursorError, match="as it came"):
        read_cursor(cursor)


def test_a_cursor_without_its_uid_is_refused() -> None:
    with pytest.raises(BadCursorError):
        read_cursor(write_cursor(Place(datetime(2026, 1, 1, tzinfo=UTC), "")))
