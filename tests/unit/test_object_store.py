"""What the operator knows of its objects."""

from __future__ import annotations

import itertools
from collections.abc import AsyncIterator
from typing import Any

import pytest

from replay_operator.api.replaybuffer import ReplayBuffer
from replay_operator.api.replaycapture import ReplayCapture
from replay_operator.cluster.gateway import ClusterUnreachable
from replay_operator.controller.store import ObjectStore
from tests.builders import BUFFER_UID, buffer_body, capture_body

OTHER_UID = "0ther000-0000-4000-8000-000000000009"


def version(number: int, **parts: Any) -> dict[str, Any]:
    body = buffer_body(**parts)
    body["metadata"]["resourceVersion"] = str(number)
    return body


async def pages(*bodies: dict[str, Any]) -> AsyncIterator[tuple[dict[str, Any], ...]]:
    """A list of which each page holds one object."""
    for body in bodies:
        yield (body,)


@pytest.fixture
def store() -> ObjectStore[ReplayBuffer]:
    return ObjectStore(ReplayBuffer)


def test_an_event_that_is_older_than_our_own_write_changes_nothing(store: ObjectStore[ReplayBuffer]) -> None:
    store.put(version(11, windowSeconds=60))
    assert store.put(version(10, windowSeconds=600)).spec.window_seconds == 60
    found = store.get(BUFFER_UID)
    assert found is not None
    assert found.spec.window_seconds == 60


def test_versions_are_compared_as_numbers(store: ObjectStore[ReplayBuffer]) -> None:
    store.put(version(9, windowSeconds=60))
    assert store.put(version(10, windowSeconds=600)).spec.window_seconds == 600


def test_the_same_version_twice_is_the_same_object(store: ObjectStore[ReplayBuffer]) -> None:
    first = store.put(version(10))
    assert store.put(version(10)) is first
    assert len(store) == 1


def test_objects_are_found_by_uid_and_by_name(store: ObjectStore[ReplayBuffer]) -> None:
    store.put(version(10))
    found = store.by_name("alice-screen")
    assert found is not None
    assert found is store.get(BUFFER_UID)
    assert store.by_name("bob-screen") is None
    assert store.get(OTHER_UID) is None


def test_a_namesake_that_was_made_later_is_another_object(store: ObjectStore[ReplayBuffer]) -> None:
    store.put(version(10))
    store.drop(BUFFER_UID)
    store.put(version(12, uid=OTHER_UID))
    found = store.by_name("alice-screen")
    assert found is not None
    assert found.metadata.uid == OTHER_UID


def test_forgetting_what_is_not_known_is_no_fault(store: ObjectStore[ReplayBuffer]) -> None:
    store.drop(OTHER_UID)
    assert len(store) == 0


async def test_a_complete_list_tells_what_has_gone_and_brings_what_is_new(
    store: ObjectStore[ReplayBuffer],
) -> None:
    await store.replace_all(pages(version(10)))
    assert await store.replace_all(pages(version(12, name="other", uid=OTHER_UID))) == {BUFFER_UID}
    assert [known.metadata.uid for known in store] == [OTHER_UID]


async def test_what_the_watch_has_told_since_the_last_list_is_kept_until_the_next_one(
    store: ObjectStore[ReplayBuffer],
) -> None:
    await store.replace_all(pages())
    store.put(version(10))
    assert await store.replace_all(pages()) == frozenset(), "the list may be older"
    assert store.get(BUFFER_UID) is not None
    assert await store.replace_all(pages()) == {BUFFER_UID}


async def test_a_list_does_not_bring_back_what_the_watch_has_told_to_be_deleted(
    store: ObjectStore[ReplayBuffer],
) -> None:
    await store.replace_all(pages(version(10)))
    store.drop(BUFFER_UID)
    assert await store.replace_all(pages(version(10))) == frozenset()
    assert len(store) == 0


async def test_a_list_that_is_older_than_our_own_write_does_not_bring_the_old_status_back(
    store: ObjectStore[ReplayBuffer],
) -> None:
    store.put(version(11, windowSeconds=60))
    assert await store.replace_all(pages(version(10, windowSeconds=600))) == frozenset()
    assert [known.spec.window_seconds for known in store] == [60]


def test_a_store_may_change_while_it_is_walked_through(store: ObjectStore[ReplayBuffer]) -> None:
    store.put(version(10))
    store.put(version(12, name="other", uid=OTHER_UID))
    for known in store:
        store.drop(known.metadata.uid)
    assert len(store) == 0


class Seconds:
    """A clock that the test moves."""

    def __init__(self) -> None:
        self.now = 100.0

    def __call__(self) -> float:
        return self.now


async def test_a_watch_owes_what_a_list_has_brought_until_it_brings_it_or_something_newer() -> None:
    seconds = Seconds()
    store = ObjectStore(ReplayBuffer, seconds)
    await store.replace_all(pages(version(10), version(11, name="other", uid=OTHER_UID)))
    seconds.now += 5
    assert store.watch_late_seconds == 5
    store.heard(version(9))
    assert store.watch_late_seconds == 5, "that is not it"
    store.heard(version(12))
    assert store.watch_late_seconds == 5, "the other is still owed"
    store.heard(version(11, name="other", uid=OTHER_UID))
    assert store.watch_late_seconds == 0


def test_a_watch_owes_our_own_writes_since_the_first_that_it_has_not_told() -> None:
    seconds = Seconds()
    store = ObjectStore(ReplayBuffer, seconds)
    store.heard(version(10))
    store.put(version(11))
    seconds.now += 5
    store.put(version(12))
    store.heard(version(11))
    assert store.watch_late_seconds == 5
    store.heard(version(12))
    assert store.watch_late_seconds == 0


def test_a_watch_that_owes_nothing_is_late_by_nothing_while_time_goes_on() -> None:
    moments = itertools.count(100)
    assert ObjectStore(ReplayBuffer, lambda: float(next(moments))).watch_late_seconds == 0


async def test_a_watch_owes_nothing_of_what_has_gone() -> None:
    seconds = Seconds()
    store = ObjectStore(ReplayBuffer, seconds)
    await store.replace_all(pages(version(10), version(11, name="other", uid=OTHER_UID)))
    seconds.now += 5
    store.drop(BUFFER_UID)
    await store.replace_all(pages())
    assert store.watch_late_seconds == 0


async def test_a_watch_that_tells_first_owes_nothing() -> None:
    seconds = Seconds()
    store = ObjectStore(ReplayBuffer, seconds)
    store.heard(version(10))
    await store.replace_all(pages(version(10)))
    seconds.now += 5
    assert store.watch_late_seconds == 0


async def test_a_list_that_breaks_off_shows_nothing_to_be_gone(store: ObjectStore[ReplayBuffer]) -> None:
    await store.replace_all(pages(version(10)))

    async def broken() -> AsyncIterator[tuple[dict[str, Any], ...]]:
        yield (version(12, name="other", uid=OTHER_UID),)
        raise ClusterUnreachable(0, "away")

    with pytest.raises(ClusterUnreachable):
        await store.replace_all(broken())
    assert {known.metadata.uid for known in store} == {BUFFER_UID, OTHER_UID}


async def test_what_is_deleted_between_two_pages_does_not_come_back(store: ObjectStore[ReplayBuffer]) -> None:
    async def meanwhile() -> AsyncIterator[tuple[dict[str, Any], ...]]:
        yield (version(10),)
        store.drop(BUFFER_UID)
        yield (version(10),)

    await store.replace_all(meanwhile())
    assert len(store) == 0


async def test_every_change_is_counted_and_what_changes_nothing_is_not(
    store: ObjectStore[ReplayBuffer],
) -> None:
    counts = [store.changes]
    for step in (version(10), version(11, windowSeconds=60), None):
        store.put(step) if step else store.drop(BUFFER_UID)
        counts.append(store.changes)
    assert counts == sorted(set(counts)), "a new object, a new version, a deletion"
    store.put(version(12))
    before = store.changes
    store.put(version(12))
    store.put(version(11))
    await store.replace_all(pages(version(12)))
    assert store.changes == before
    await store.replace_all(pages())
    assert store.changes > before, "a deletion that no watch has told"


def unreadable_capture() -> dict[str, Any]:
    body = capture_body(name="odd", uid=OTHER_UID)
    body["spec"]["range"]["last"]["until"] = "0000-01-01T00:00:00Z"
    return body


async def test_one_object_that_cannot_be_read_does_not_hide_the_others(
    caplog: pytest.LogCaptureFixture,
) -> None:
    captures = ObjectStore(ReplayCapture)
    for _ in range(2):
        await captures.replace_all(pages(unreadable_capture(), capture_body()))
    assert [capture.metadata.name for capture in captures] == ["goal"]
    assert captures.unreadable == {OTHER_UID}
    (said,) = [record.getMessage() for record in caplog.records]
    assert "ReplayCapture team/odd" in said
    assert "spec.range.last.until" in said
    assert "0000" not in said


async def test_an_object_that_could_be_read_once_is_kept_as_it_was() -> None:
    captures = ObjectStore(ReplayCapture)
    captures.put(capture_body(name="odd", uid=OTHER_UID))
    newer = unreadable_capture()
    newer["metadata"]["resourceVersion"] = "21"
    captures.heard(newer)
    assert await captures.replace_all(pages(newer)) == frozenset()
    assert [capture.metadata.name for capture in captures] == ["odd"]
    assert captures.unreadable == frozenset()


def test_what_the_watch_brings_and_nobody_can_read_is_known_to_be_there(
    store: ObjectStore[ReplayBuffer],
) -> None:
    before = store.changes
    store.heard(version(10, windowSeconds="long"))
    assert (len(store), store.unreadable) == (0, {BUFFER_UID})
    assert store.changes > before, "the policy is another one now"


@pytest.mark.parametrize("end", ["it is mended", "it is deleted", "it is not in the next list"])
async def test_what_could_not_be_read_is_so_until_it_is_mended_or_gone(
    store: ObjectStore[ReplayBuffer], end: str
) -> None:
    await store.replace_all(pages(version(10, windowSeconds="long")))
    if end == "it is mended":
        store.heard(version(11))
    elif end == "it is deleted":
        store.drop(BUFFER_UID)
    else:
        await store.replace_all(pages())
    assert store.unreadable == frozenset()
