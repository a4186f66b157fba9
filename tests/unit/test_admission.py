"""Who may record when there are limits."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from replay_operator.api.replaybuffer import ReplayBuffer
from replay_operator.controller.admission import AdmissionBook
from replay_operator.controller.store import ObjectStore
from replay_operator.domain.admission import MEGABYTE, Limits, admit
from tests.builders import at, buffer_body, rfc3339


def made(number: int, **spec: object) -> ReplayBuffer:
    return ReplayBuffer.model_validate(body(number, **spec))


def body(number: int, **spec: object) -> dict[str, object]:
    found = buffer_body(name=f"b{number}", uid=f"uid-{number}", **spec)
    found["metadata"]["creationTimestamp"] = rfc3339(at(number))
    return found


def waiting(buffers: list[ReplayBuffer], limits: Limits) -> set[str]:
    return set(admit(buffers, limits).waiting)


def test_first_come_first_served_whatever_the_order_of_the_list() -> None:
    buffers = [made(3), made(1), made(2)]
    assert waiting(buffers, Limits(total=2)) == {"uid-3"}


def test_owners_and_rooms_have_limits_of_their_own() -> None:
    buffers = [made(1, owner="ann"), made(2, owner="ann"), made(3, owner="bob"), made(4)]
    assert waiting(buffers, Limits(of_owner=1)) == {"uid-2"}
    assert waiting([made(1, room="a"), made(2, room="b"), made(3, room="a")], Limits(of_room=1)) == {"uid-3"}


def test_an_owner_with_a_quota_of_its_own_has_more_or_less_than_the_others() -> None:
    buffers = [made(n, owner=owner) for n, owner in enumerate(("ann", "ann", "bob", "bob", "cid"))]
    limits = Limits(of_owner=1, own={"ann": 2, "cid": 0})
    admission = admit(buffers, limits)
    assert set(admission.waiting) == {"uid-3", "uid-4"}
    assert "(REPLAY_MAX_BUFFERS_PER_OWNER)" in admission.waiting["uid-3"]
    assert "(the owner's own quota)" in admission.waiting["uid-4"]
    assert waiting(buffers, Limits(own={"cid": 0})) == {"uid-4"}


def test_a_suspended_buffer_takes_no_place() -> None:
    assert waiting([made(1, suspend=True), made(2)], Limits(total=1)) == set()


def test_without_limits_nobody_waits() -> None:
    assert waiting([made(n) for n in range(50)], Limits()) == set()


def test_without_limits_no_buffer_is_compared_with_all_the_others(monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(*_: object) -> None:
        raise AssertionError("5000 buffers that are created at once would be 25 million comparisons")

    monkeypatch.setattr("replay_operator.controller.admission.admit", refuse)
    store = ObjectStore(ReplayBuffer)
    store.put(body(1))
    assert AdmissionBook(store, Limits()).refusal("uid-1") is None


def test_the_sentence_says_which_setting_it_was() -> None:
    sentence = admit([made(1), made(2)], Limits(total=1)).waiting["uid-2"]
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


def writing(number: int, kbps: int, **spec: object) -> ReplayBuffer:
    """A buffer that writes so many kbit/s."""
    encoding = {"advanced": {"width": 640, "height": 360, "videoKbps": kbps - 64, "audioKbps": 64}}
    return made(number, encoding=encoding, **spec)


ONE_MEGABYTE = Limits(write_bytes_per_second=MEGABYTE)


def test_over_the_write_budget_later_buffers_wait() -> None:
    buffers = [writing(number, 4000) for number in (1, 2, 3)]
    admission = admit(buffers, ONE_MEGABYTE)
    assert set(admission.waiting) == {"uid-3"}
    assert admission.write_bytes_per_second == MEGABYTE


def test_the_sentence_names_what_is_used_the_budget_and_the_need() -> None:
    sentence = admit([writing(1, 6000), writing(2, 4000)], ONE_MEGABYTE).waiting["uid-2"]
    assert "0.75 MB/s of 1.00 MB/s (REPLAY_WRITE_BUDGET_MBPS)" in sentence
    assert "needs 0.50 MB/s" in sentence


def test_a_small_buffer_does_not_overtake_a_large_one_that_waits_for_budget() -> None:
    buffers = [writing(1, 4000), writing(2, 6000), writing(3, 400)]
    assert list(admit(buffers, ONE_MEGABYTE).waiting) == ["uid-2", "uid-3"]


def test_a_buffer_that_never_fits_holds_nobody_up() -> None:
    admission = admit([writing(1, 9000), writing(2, 4000)], ONE_MEGABYTE)
    assert set(admission.waiting) == {"uid-1"}
    assert "lower spec.encoding" in admission.waiting["uid-1"]


def test_who_waits_for_another_limit_takes_no_budget() -> None:
    buffers = [writing(1, 4000, room="a"), writing(2, 4000, room="a"), writing(3, 4000, room="b")]
    limits = Limits(of_room=1, write_bytes_per_second=MEGABYTE)
    assert set(admit(buffers, limits).waiting) == {"uid-2"}


def test_the_sentence_of_one_that_waits_does_not_change_while_others_like_it_come_and_go() -> None:
    before = admit([writing(number, 4000) for number in (1, 2, 3, 4)], ONE_MEGABYTE)
    after = admit([writing(number, 4000) for number in (2, 3, 4, 5)], ONE_MEGABYTE)
    assert before.waiting["uid-4"] == after.waiting["uid-4"], "each other sentence would be one more write"


def test_the_volume_is_to_hold_the_windows_of_admitted_buffers_and_of_suspended_ones_that_have_one() -> None:
    full = {"window": {"seconds": 600}, "observedGeneration": 1}
    suspended = ReplayBuffer.model_validate(body(2, suspend=True) | {"status": full})
    buffers = [writing(1, 4000, windowSeconds=600), suspended, made(3, suspend=True), made(4)]
    expected = (4000 * (600 + 120) + (3000 + 128) * (suspended.spec.window_seconds + 120)) * 125
    assert admit(buffers, Limits(total=1)).volume_bytes == expected


@given(st.lists(st.integers(400, 20_000), max_size=12), st.integers(1, 10))
def test_the_budget_is_never_exceeded_and_who_is_admitted_stays_so(kbps: list[int], megabytes: int) -> None:
    limits = Limits(write_bytes_per_second=megabytes * MEGABYTE)
    buffers = [writing(number, rate) for number, rate in enumerate(kbps)]
    all_of_them, fewer = admit(buffers, limits), admit(buffers[:-1], limits)
    assert all_of_them.write_bytes_per_second <= megabytes * MEGABYTE
    assert fewer.waiting.keys() <= all_of_them.waiting.keys()
    assert all_of_them.waiting.keys() - fewer.waiting.keys() <= {f"uid-{len(kbps) - 1}"}
