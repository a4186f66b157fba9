"""Whose Job is next."""

from __future__ import annotations

from collections import Counter

from hypothesis import given
from hypothesis import strategies as st

from replay_operator.api.replaycapture import CaptureSource, JobStatus, ReplayCapture
from replay_operator.domain.capture_queue import has_place, line, owner_of
from replay_operator.domain.status_contract import CAPTURE_CONTRACT, CaptureState, conditions_of
from tests.builders import at, capture

PLACES = 3


def a_capture(
    uid: str, owner: str | None, *, created: float, state: CaptureState, since: float = 0.0, buffer: str = "b"
) -> ReplayCapture:
    plain = capture(name=uid, uid=uid)
    conditions = conditions_of(
        (), CAPTURE_CONTRACT[state], reason=state.value, message="m", generation=1, now=at(since)
    )
    has_job = state in (CaptureState.CUTTING, CaptureState.READY, CaptureState.FAILED)
    status = plain.status.model_copy(
        update={
            "conditions": conditions,
            "source": CaptureSource(buffer_uid=buffer, path=f"team/{buffer}", owner=owner),
            "job": JobStatus(name=uid, attempts=1) if has_job else None,
        }
    )
    meta = plain.metadata.model_copy(update={"creation_timestamp": at(created)})
    return plain.model_copy(update={"status": status, "metadata": meta})


def queued(uid: str, owner: str | None, created: float) -> ReplayCapture:
    return a_capture(uid, owner, created=created, state=CaptureState.QUEUED)


def cutting(uid: str, owner: str | None) -> ReplayCapture:
    return a_capture(uid, owner, created=0, state=CaptureState.CUTTING)


def test_within_an_owner_it_is_first_come_first_served() -> None:
    asked = [queued("late", "ann", 9), queued("early", "ann", 1), queued("middle", "ann", 5)]
    assert line(asked, running=frozenset()) == ("early", "middle", "late")


def test_owners_take_turns_however_much_one_of_them_asks_for() -> None:
    many = [queued(f"a{n}", "ann", n) for n in range(4)]
    few = [queued(f"b{n}", "bob", 100 + n) for n in range(2)]
    assert line([*many, *few], running=frozenset()) == ("a0", "b0", "a1", "b1", "a2", "a3")


def test_who_has_fewer_jobs_is_next() -> None:
    captures = [cutting("x", "ann"), queued("a", "ann", 1), queued("b", "bob", 2)]
    assert line(captures, running=frozenset({"x"})) == ("b", "a")


def test_with_one_place_the_turn_goes_on_to_who_was_served_longest_ago() -> None:
    ready = CaptureState.READY
    served = [
        a_capture("a0", "ann", created=0, state=ready, since=30),
        a_capture("b0", "bob", created=0, state=ready, since=20),
    ]
    asked = [queued("a1", "ann", 1), queued("b1", "bob", 9)]
    assert line([*served, *asked], running=frozenset()) == ("b1", "a1")


def test_without_an_owner_each_buffer_counts_for_itself() -> None:
    one = a_capture("1", None, created=1, state=CaptureState.QUEUED, buffer="b1")
    two = a_capture("2", None, created=2, state=CaptureState.QUEUED, buffer="b1")
    other = a_capture("3", None, created=3, state=CaptureState.QUEUED, buffer="b2")
    assert line([one, two, other], running=frozenset()) == ("1", "3", "2")
    assert owner_of(one) != owner_of(other)
    assert owner_of(queued("x", "b1", 0)) != owner_of(one), "an owner who is called like a buffer is not it"


def test_a_capture_that_is_due_stands_in_line_before_its_status_says_so() -> None:
    due = a_capture("due", "ann", created=0, state=CaptureState.WAITING_FOR_TAIL)
    asked = [due, queued("a", "ann", 1)]
    assert line(asked, running=frozenset()) == ("a",)
    assert line(asked, running=frozenset(), asking="due") == ("due", "a")


def test_who_is_being_deleted_neither_waits_nor_keeps_a_place() -> None:
    def deleted(found: ReplayCapture) -> ReplayCapture:
        meta = found.metadata.model_copy(update={"deletion_timestamp": at(5)})
        return found.model_copy(update={"metadata": meta})

    assert line([deleted(queued("a", "ann", 1))], running=frozenset()) == ()
    assert has_place(cutting("x", "ann"))
    assert not has_place(deleted(cutting("x", "ann")))
    assert not has_place(a_capture("x", "ann", created=0, state=CaptureState.READY))
    assert not has_place(queued("a", "ann", 1))


@given(st.lists(st.tuples(st.sampled_from("abcd"), st.integers(0, 20)), max_size=30))
def test_everybody_is_in_line_once_and_no_owner_gets_two_turns_ahead(asked: list[tuple[str, int]]) -> None:
    captures = [queued(f"{n:02}", owner, created) for n, (owner, created) in enumerate(asked)]
    owner_by_uid = {c.metadata.uid: owner_of(c) for c in captures}
    order = line(captures, running=frozenset())
    assert sorted(order) == sorted(owner_by_uid)
    left = Counter(owner_by_uid.values())
    turns: Counter[str] = Counter()
    for uid in order:
        owner = owner_by_uid[uid]
        turns[owner] += 1
        left[owner] -= 1
        waiting = [turns[o] for o, number in left.items() if number > 0]
        assert all(turns[owner] <= others + 1 for others in waiting)


@given(st.lists(st.tuples(st.sampled_from("abc"), st.integers(0, 9)), min_size=1, max_size=15), st.randoms())
def test_served_one_by_one_each_capture_has_its_turn_whatever_ends_first(
    asked: list[tuple[str, int]], dice: object
) -> None:
    """A house of three places, with a restart before each decision: the line has no memory."""
    captures = {f"{n:02}": queued(f"{n:02}", owner, created) for n, (owner, created) in enumerate(asked)}
    running: list[str] = []
    for step in range(10 * len(asked)):
        turn = line(captures.values(), running=frozenset(running))
        for uid in turn[: PLACES - len(running)]:
            owner = captures[uid].status.source
            assert owner is not None
            captures[uid] = cutting(uid, owner.owner)
            running.append(uid)
        assert len(running) <= PLACES
        if not running:
            break
        done = running.pop(dice.randrange(len(running)))  # type: ignore[attr-defined] # random.Random
        source = captures[done].status.source
        assert source is not None
        captures[done] = a_capture(done, source.owner, created=0, state=CaptureState.READY, since=step)
    assert all(c.status.job is not None for c in captures.values())
