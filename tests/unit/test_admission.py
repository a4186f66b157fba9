"""Who may record when there are limits."""

from __future__ import annotations

from replay_operator.api.replaybuffer import ReplayBuffer
from replay_operator.controller.admission import AdmissionBook
from replay_operator.controller.store import ObjectStore
from replay_operator.domain.admission import Limits, refusals
from tests.builders import at, buffer_body, rfc3339


def made(number: int, **spec: object) -> ReplayBuffer:
    return ReplayBuffer.model_validate(body(number, **spec))


def body(number: int, **spec: object) -> dict[str, object]:
    found = buffer_body(name=f"b{number}", uid=f"uid-{number}", **spec)
    found["metadata"]["creationTimestamp"] = rfc3339(at(number))
    return found


def waiting(buffers: list[ReplayBuffer], limits: Limits) -> set[str]:
    return set(refusals(buffers, limits))


def test_first_come_first_served_whatever_the_order_of_the_list() -> None:
    buffers = [made(3), made(1), made(2)]
    assert waiting(buffers, Limits(total=2)) == {"uid-3"}


def test_owners_and_rooms_have_limits_of_their_own() -> None:
    buffers = [made(1, owner="ann"), made(2, owner="ann"), made(3, owner="bob"), made(4)]
    assert waiting(buffers, Limits(of_owner=1)) == {"uid-2"}
    assert waiting([made(1, room="a"), made(2, room="b"), made(3, room="a")], Limits(of_room=1)) == {"uid-3"}


def test_a_suspended_buffer_takes_no_place() -> None:
    assert waiting([made(1, suspend=True), made(2)], Limits(total=1)) == set()


def test_without_limits_nobody_waits() -> None:
    assert waiting([made(n) for n in range(50)], Limits()) == set()


def test_the_sentence_says_which_setting_it_was() -> None:
    sentence = refusals([made(1), made(2)], Limits(total=1))["uid-2"]
    assert "REPLAY_MAX_BUFFERS" in sentence


def test_a_place_that_becomes_free_is_given_to_the_next() -> None:
    store = ObjectStore(ReplayBuffer)
    for number in (1, 2):
        store.put(body(number))
    book = AdmissionBook(store, Limits(total=1))
    assert book.refusal("uid-1") is None
    assert book.refusal("uid-2") is not None
    store.drop("uid-1")
    assert book.refusal("uid-2") is None
