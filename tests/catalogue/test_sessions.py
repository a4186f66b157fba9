"""Sessions in the catalogue: who records, where, and what is over."""

import pytest
from sqlalchemy import Select, func, select

from replay_operator.catalogue import sessions
from replay_operator.catalogue.chunks import CHUNK
from replay_operator.catalogue.database import Database
from replay_operator.catalogue.entries import DELETED
from replay_operator.catalogue.sessions import Sessions
from replay_operator.catalogue.tables import BufferSession, SessionStatus
from replay_operator.catalogue.writing import EntryWriter
from tests.builders import NAMESPACE, NOW, at
from tests.catalogue.entries import session
from tests.catalogue.statements import recorded, sqlite_plan


async def test_only_what_records_for_a_person_is_listed(database: Database) -> None:
    await EntryWriter(database).write(
        [
            session("a"),
            session("b", status=SessionStatus.PAUSED),
            session("c", status=SessionStatus.ENDED, ended_at=NOW),
            session("d", owner="user-7"),
            session("e", owner=None),
        ]
    )
    assert [found.uid for found in await Sessions(database).active_of_owner("user-42")] == ["a"]


async def test_everybody_who_records_in_a_room_is_listed(database: Database) -> None:
    await EntryWriter(database).write(
        [session("a"), session("b", owner="user-7"), session("c", room="another")]
    )
    found = await Sessions(database).active_of_room("standup")
    assert {(one.uid, one.owner) for one in found} == {("a", "user-42"), ("b", "user-7")}


async def test_what_ended_is_listed_oldest_end_first_and_no_more_than_asked(database: Database) -> None:
    ends = {"a": -30, "b": -90, "c": -60, "d": 30}
    await EntryWriter(database).write(
        [session("open")]
        + [session(uid, status=SessionStatus.ENDED, ended_at=at(end)) for uid, end in ends.items()]
    )
    found = await Sessions(database).ended_before(NOW, limit=2)
    assert [(one.uid, one.ended_at) for one in found] == [("b", at(-90)), ("c", at(-60))]


async def test_a_session_is_forgotten(database: Database) -> None:
    await EntryWriter(database).write([session("a"), session("b")])
    await Sessions(database).forget(["a", "never was"])
    assert [found.uid for found in await Sessions(database).active_of_owner("user-42")] == ["b"]


async def test_a_session_whose_buffer_went_unseen_is_closed(database: Database) -> None:
    await EntryWriter(database).write(
        [session("alive"), session("gone"), session("paused", status=SessionStatus.PAUSED)]
    )
    assert await Sessions(database).close_missing(NAMESPACE, ["alive"], at(5)) == 2
    (alive,) = await Sessions(database).active_of_owner("user-42")
    assert alive.uid == "alive"
    ended = await Sessions(database).ended_before(at(6), limit=10)
    assert [(one.uid, one.ended_at) for one in ended] == [("gone", at(5)), ("paused", at(5))]
    async with database.reading() as connection:
        reason = select(BufferSession.reason).where(BufferSession.uid == "gone")
        assert await connection.scalar(reason) == DELETED


async def test_sessions_of_another_install_are_not_closed(database: Database) -> None:
    await EntryWriter(database).write([session("theirs", namespace="another-team")])
    assert await Sessions(database).close_missing(NAMESPACE, [], NOW) == 0


async def test_when_nothing_is_missing_nothing_is_written(database: Database) -> None:
    await EntryWriter(database).write([session("alive")])
    with recorded(database) as statements:
        await Sessions(database).close_missing(NAMESPACE, ["alive"], NOW)
    assert [statement.split()[0] for statement in statements] == ["SELECT"]


async def test_many_are_closed_in_few_statements(database: Database) -> None:
    await EntryWriter(database).write([session(f"s{number}") for number in range(CHUNK + 1)])
    with recorded(database) as statements:
        assert await Sessions(database).close_missing(NAMESPACE, [], NOW) == CHUNK + 1
    assert [statement.split()[0] for statement in statements] == ["SELECT", "UPDATE", "UPDATE"]
    async with database.reading() as connection:
        ended = select(func.count()).where(BufferSession.status == SessionStatus.ENDED)
        assert await connection.scalar(ended) == CHUNK + 1


@pytest.mark.parametrize(
    ("query", "index"),
    [
        (sessions.active_of_owner("user-42"), "ix_buffer_session_owner_status (owner=? AND status=?)"),
        (sessions.active_of_room("standup"), "ix_buffer_session_room_status (room=? AND status=?)"),
        (
            sessions.ended_before(NOW, 100),
            "ix_buffer_session_status_ended_at (status=? AND ended_at<?)",
        ),
        (sessions.open_in(NAMESPACE), "ix_buffer_session_status_ended_at (status=?)"),
    ],
)
async def test_each_question_is_one_search_in_its_index_without_sorting(
    sqlite: Database, query: Select[*tuple[object, ...]], index: str
) -> None:
    async with sqlite.reading() as connection:
        (step,) = await sqlite_plan(connection, query)
    assert step.endswith(index)


async def test_each_question_is_one_statement(database: Database) -> None:
    await EntryWriter(database).write([session(f"s{number}") for number in range(20)])
    asked = Sessions(database)
    with recorded(database) as statements:
        await asked.active_of_owner("user-42")
        await asked.active_of_room("standup")
        await asked.ended_before(NOW, limit=10)
    assert len(statements) == 3
