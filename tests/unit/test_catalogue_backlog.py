"""What waits to be written to the catalogue."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from replay_operator.catalogue.backlog import Backlog
from replay_operator.catalogue.tables import SessionStatus
from replay_operator.catalogue.writing import Entry
from tests.catalogue.entries import session

ACTIVE, PAUSED = session("a"), session("a", status=SessionStatus.PAUSED)


def test_of_one_object_the_newest_entry_alone_waits() -> None:
    backlog = Backlog()
    backlog.put(ACTIVE)
    backlog.put(PAUSED)
    assert backlog.take(10) == [PAUSED]


def test_who_has_waited_longest_is_first_though_it_has_changed_since() -> None:
    backlog = Backlog()
    for entry in (ACTIVE, session("b"), PAUSED):
        backlog.put(entry)
    assert backlog.take(1) == [PAUSED]


def test_what_changed_while_it_was_being_written_waits_on() -> None:
    backlog = Backlog()
    backlog.put(ACTIVE)
    batch = backlog.take(10)
    backlog.put(PAUSED)
    backlog.settle(batch)
    assert backlog.take(10) == [PAUSED]


def test_what_was_written_last_is_not_written_again_until_there_is_doubt() -> None:
    backlog = Backlog()
    backlog.put(ACTIVE)
    backlog.settle(backlog.take(10))
    backlog.put(ACTIVE)
    assert len(backlog) == 0
    backlog.doubt()
    backlog.put(ACTIVE)
    assert backlog.take(10) == [ACTIVE]


def test_who_changes_and_changes_back_before_the_write_costs_none() -> None:
    backlog = Backlog()
    backlog.put(ACTIVE)
    backlog.settle(backlog.take(10))
    backlog.put(PAUSED)
    backlog.put(ACTIVE)
    assert len(backlog) == 0


def test_who_changes_back_while_the_change_is_being_written_is_written_once_more() -> None:
    backlog = Backlog()
    backlog.put(ACTIVE)
    backlog.settle(backlog.take(10))
    backlog.put(PAUSED)
    batch = backlog.take(10)
    backlog.put(ACTIVE)
    backlog.settle(batch)
    assert backlog.take(10) == [ACTIVE]


def test_nothing_is_remembered_of_who_is_gone() -> None:
    backlog = Backlog()
    backlog.put(ACTIVE)
    backlog.settle(backlog.take(10))
    backlog.put(PAUSED, last=True)
    backlog.settle(backlog.take(10))
    backlog.put(session("b"))
    backlog.settle(backlog.take(10))
    backlog.put(session("b"), last=True)
    assert backlog._written == {}
    assert len(backlog) == 0


steps = st.lists(
    st.one_of(
        st.tuples(st.just("put"), st.sampled_from("abc"), st.sampled_from(SessionStatus), st.booleans()),
        st.tuples(st.just("write"), st.integers(1, 3), st.booleans()),
        st.tuples(st.just("doubt")),
    ),
    max_size=40,
)


@given(steps)
def test_whatever_happens_the_table_ends_with_what_was_said_last(history: list[tuple[object, ...]]) -> None:
    backlog, table, truth = Backlog(), dict[str, Entry](), dict[str, Entry]()
    for step in history:
        match step:
            case ("put", str(uid), SessionStatus() as status, bool(last)):
                truth[uid] = session(uid, status=status)
                backlog.put(truth[uid], last=last)
            case ("write", int(most), True):
                batch = backlog.take(most)
                table |= {entry.uid: entry for entry in batch}
                backlog.settle(batch)
            case ("write", int(most), False):
                backlog.take(most)  # the database was away
            case _:
                backlog.doubt()
    batch = backlog.take(100)
    table |= {entry.uid: entry for entry in batch}
    backlog.settle(batch)
    assert table == truth
    assert len(backlog) == 0
