"""Which egress belongs to which buffer, in LiveKit's list and between two lists."""

from __future__ import annotations

from dataclasses import dataclass, field, replace

import pytest

from replay_operator.controller.egresses import EgressBook
from replay_operator.domain.egress import Egress, EgressState
from replay_operator.livekit.poller import Snapshot
from tests.builders import BUFFER_UID, NAMESPACE, NOW, at, egress

OTHER_UID = "0ther000-0000-4000-8000-000000000009"


@dataclass
class Lists:
    """LiveKit's last list, and the book that reads it."""

    snapshot: Snapshot = field(default_factory=lambda: Snapshot({}, NOW, NOW, generation=0, complete=False))

    def __post_init__(self) -> None:
        self.book = EgressBook(namespace=NAMESPACE, root="/buffer", snapshot=lambda: self.snapshot)

    def answer(self, *egresses: Egress, asked: float = 0) -> None:
        self.snapshot = Snapshot(
            {e.id: e for e in egresses},
            at(asked),
            at(asked),
            generation=self.snapshot.generation + 1,
            complete=True,
        )

    def ids(self, uid: str = BUFFER_UID) -> list[str]:
        return [e.id for e in self.book.view(uid).egresses]


@pytest.fixture
def lists() -> Lists:
    return Lists()


def of_another_buffer(id_: str) -> Egress:
    return replace(egress(id_), filename_prefix=f"/buffer/{NAMESPACE}/{OTHER_UID}/r1/seg")


def test_before_the_first_list_nothing_is_known(lists: Lists) -> None:
    assert lists.book.view(BUFFER_UID).asked_at is None
    lists.answer(asked=3)
    assert lists.book.view(BUFFER_UID).asked_at == at(3)


def test_an_egress_is_found_by_its_prefix_alone(lists: Lists) -> None:
    lists.answer(egress("EG_1"), of_another_buffer("EG_2"))
    assert (lists.ids(), lists.ids(OTHER_UID)) == (["EG_1"], ["EG_2"])
    assert lists.book.all_buffers() == {BUFFER_UID, OTHER_UID}


@pytest.mark.parametrize(
    "prefix",
    [
        "",
        "recordings/standup",
        f"/elsewhere/{NAMESPACE}/{BUFFER_UID}/r1/seg",
        f"/buffer/another-namespace/{BUFFER_UID}/r1/seg",
        f"/buffer/{NAMESPACE}/{BUFFER_UID}/r1/other",
        f"/buffer/{NAMESPACE}/../{BUFFER_UID}/seg",
    ],
)
def test_egresses_of_other_applications_and_installs_are_not_ours(lists: Lists, prefix: str) -> None:
    lists.answer(replace(egress("EG_1"), filename_prefix=prefix))
    assert lists.ids() == []
    assert lists.book.all_buffers() == frozenset()


def test_an_egress_that_is_ending_no_longer_counts(lists: Lists) -> None:
    lists.answer(egress("EG_1", state=EgressState.ENDING))
    assert lists.ids() == []


def test_our_own_start_counts_until_a_younger_list_has_the_word(lists: Lists) -> None:
    lists.answer(asked=0)
    lists.book.note_started(egress("EG_1"), at(1))
    assert lists.ids() == ["EG_1"]
    assert lists.ids(OTHER_UID) == []
    lists.answer(asked=0.5)  # was asked for before the start had answered
    assert lists.ids() == ["EG_1"]
    lists.answer(asked=2)
    assert lists.ids() == []


def test_an_egress_that_is_listed_and_started_by_us_counts_once(lists: Lists) -> None:
    lists.book.note_started(egress("EG_1"), at(1))
    lists.answer(egress("EG_1"), asked=1)
    assert lists.ids() == ["EG_1"]


def test_our_own_stop_is_not_undone_by_a_list(lists: Lists) -> None:
    lists.answer(egress("EG_1"))
    lists.book.note_stopped("EG_1", at(1))
    assert lists.ids() == []
    lists.answer(egress("EG_1"), asked=0.5)
    assert lists.ids() == []
    lists.answer(egress("EG_1"), asked=2)  # it has not gone yet
    assert lists.ids() == []
    assert lists.book.was_stopped("EG_1")


def test_a_stop_is_forgotten_when_its_egress_has_left_the_list(lists: Lists) -> None:
    lists.answer(egress("EG_1"))
    lists.book.note_stopped("EG_1", at(1))
    lists.answer(asked=2)
    lists.ids()
    assert not lists.book.was_stopped("EG_1")


def test_a_start_that_was_stopped_before_any_list_is_gone(lists: Lists) -> None:
    lists.answer()
    lists.book.note_started(egress("EG_1"), at(1))
    lists.book.note_stopped("EG_1", at(2))
    assert lists.ids() == []


def test_a_buffer_is_named_also_for_an_egress_that_has_just_vanished(lists: Lists) -> None:
    lists.answer(egress("EG_1"), of_another_buffer("EG_2"))
    assert lists.book.buffers_of(frozenset({"EG_1"})) == {BUFFER_UID}
    lists.answer(of_another_buffer("EG_2"))
    assert lists.book.buffers_of(frozenset({"EG_1"})) == {BUFFER_UID}
    assert lists.book.buffers_of(frozenset({"EG_9"})) == frozenset()


def test_the_run_of_an_egress_is_the_last_directory_of_its_prefix(lists: Lists) -> None:
    path = lists.book.run_of(egress(run="20261123T120000Z-abcdef"))
    assert path is not None
    assert (path.buffer_uid, path.run) == (BUFFER_UID, "20261123T120000Z-abcdef")


def test_an_egress_that_vanishes_from_the_list_is_told_until_it_is_explained(lists: Lists) -> None:
    lists.answer(egress("EG_1"), asked=1)
    assert lists.book.vanished(BUFFER_UID) == frozenset()
    lists.answer(asked=2)
    lists.answer(asked=3)
    assert lists.book.vanished(BUFFER_UID) == {"EG_1"}
    lists.book.note_explained(BUFFER_UID, "EG_1")
    assert lists.book.vanished(BUFFER_UID) == frozenset()


def test_an_egress_that_we_started_and_no_later_list_tells_of_has_vanished(lists: Lists) -> None:
    lists.answer(asked=1)
    lists.book.note_started(egress("EG_1"), at(2))
    lists.answer(asked=1.5)
    assert lists.book.vanished(BUFFER_UID) == frozenset()
    lists.answer(asked=3)
    assert lists.book.vanished(BUFFER_UID) == {"EG_1"}


def test_an_egress_that_we_stopped_or_that_comes_back_has_not_vanished(lists: Lists) -> None:
    lists.answer(egress("EG_1"), egress("EG_2"), asked=1)
    assert lists.ids() == ["EG_1", "EG_2"]
    lists.book.note_stopped("EG_1", at(1))
    lists.answer(asked=2)
    assert lists.book.vanished(BUFFER_UID) == {"EG_2"}
    lists.answer(egress("EG_2"), asked=3)
    assert lists.book.vanished(BUFFER_UID) == frozenset()


def test_a_hand_over_is_a_second_run_until_the_first_one_is_stopped(lists: Lists) -> None:
    lists.answer(egress("EG_1"), egress("EG_2", run="r2"), of_another_buffer("EG_3"))
    assert lists.book.second_runs() == 1
    lists.book.note_stopped("EG_1", at(1))
    assert lists.book.second_runs() == 0


def test_an_egress_without_a_worker_is_no_second_run_however_long_it_is_listed(lists: Lists) -> None:
    lists.answer(egress("EG_1"), egress("EG_2", run="r2"))
    lists.book.note_silent("EG_1", at(1))
    lists.answer(egress("EG_1"), egress("EG_2", run="r2"), asked=2)
    assert lists.book.second_runs() == 0
