"""Two operators, one Lease: who leads when the leader dies, hangs, sleeps, or cannot reach the API server."""

from __future__ import annotations

import signal
from collections.abc import Iterator

import pytest

from replay_operator.domain.leadership import LeaseTimings
from tests.chaos.bounds import MEASURING_SECONDS
from tests.chaos.calm import wait_until_calm
from tests.chaos.deeds import let_time_pass
from tests.chaos.ledger import FailOver
from tests.chaos.operators import Leader, Operators
from tests.chaos.scene import Scene
from tests.testbed.api_faults import ApiFault, Reaction
from tests.testbed.api_front import ApiFrontInThread

LOST_LEASE = 75
"""The exit code of an operator that raises LeadershipLost (docs/operations.md)."""

TIMINGS = LeaseTimings()


@pytest.fixture(scope="module")
def replicas(scene: Scene) -> Iterator[Operators]:
    operators = Operators(scene.stack)
    operators.scale(2)
    yield operators
    operators.scale(1)
    scene.note_end_of_faults()
    wait_until_calm(scene)


@pytest.fixture
def pair(replicas: Operators, whole: Scene, front: ApiFrontInThread) -> Iterator[Operators]:
    """Two operators, of which one leads a system that is calm."""
    whole.note_end_of_faults()
    whole.close_account(wait_until_calm(whole).at_ns)
    yield replicas
    front.heal()


def followed(
    pair: Operators, fallen: Leader, what: str, *, earliest_seconds: float = TIMINGS.lease_seconds
) -> tuple[Leader, FailOver]:
    """Wait for the next leader, and see that the two never led together.

    Args:
        pair: The operators.
        fallen: The leader, to whom something has happened.
        what: That, for the table.
        earliest_seconds: After its last renewal, nobody may lead before.
    """
    last = pair.wait_for_leader()
    assert last.identity == fallen.identity, "it gave the Lease up"
    heir = pair.wait_for_leader(other_than=fallen)
    took = FailOver(what, (heir.acquired_at - last.renewed_at).total_seconds(), earliest_seconds)
    assert heir.epoch > fallen.epoch
    assert took.seconds >= earliest_seconds, "the next one led while the one before might have"
    return heir, took


def assert_nothing_was_lost(scene: Scene, *, runs_before: int) -> None:
    scene.note_end_of_faults()
    lost = scene.close_account(wait_until_calm(scene).at_ns)
    assert lost.worst <= MEASURING_SECONDS, lost
    assert scene.runs_started() == runs_before, "every recording was to go on"


def test_the_other_replica_follows_a_leader_that_is_killed_and_no_recording_notices(
    pair: Operators, whole: Scene, fail_overs: list[FailOver]
) -> None:
    fallen, runs = pair.wait_for_leader(), whole.runs_started()
    pair.signal(fallen.pod, signal.SIGKILL)
    _, took = followed(pair, fallen, "killed")
    fail_overs.append(took)
    assert_nothing_was_lost(whole, runs_before=runs)


def test_a_leader_whose_renewals_hang_ends_itself_before_the_other_replica_follows(
    pair: Operators, whole: Scene, front: ApiFrontInThread, fail_overs: list[FailOver]
) -> None:
    fallen, runs = pair.wait_for_leader(), whole.runs_started()
    ends_before, _ = pair.exit_codes()[fallen.pod]
    hang = ApiFault(Reaction.HANG, methods=frozenset({"PUT"}), path="/leases/", body=fallen.identity.encode())
    front.break_with(hang)
    whole.stack.wait_for("a renewal that hangs", lambda: front.met(hang), seconds=30)
    # It gives the Lease up at its own deadline: that is no renewal, and does not hang.
    heir, took = followed(pair, fallen, "renewals hang", earliest_seconds=TIMINGS.renew_deadline_seconds)
    fail_overs.append(took)
    front.heal()
    assert_nothing_was_lost(whole, runs_before=runs)
    assert pair.exit_codes()[fallen.pod] == (ends_before + 1, LOST_LEASE)
    assert pair.writes(fallen.pod, since=heir.acquired_at) == []


def test_a_deposed_leader_that_wakes_up_in_the_middle_of_a_decision_changes_nothing(
    pair: Operators, whole: Scene, fail_overs: list[FailOver]
) -> None:
    """It is frozen while it looks at a room whose track has just changed: next, it would start a run."""
    fallen, runs, looks = pair.wait_for_leader(), whole.runs_started(), whole.calls("ListParticipants")
    ends_before, _ = pair.exit_codes()[fallen.pod]
    whole.admin.post("faults", {"kind": "hold", "method": "ListParticipants", "seconds": 5.0})
    whole.publish_anew(whole.buffers[0])
    whole.stack.wait_for("a look at the room", lambda: whole.calls("ListParticipants") > looks, seconds=60)
    pair.signal(fallen.pod, signal.SIGSTOP)
    try:
        heir, took = followed(pair, fallen, "frozen in a decision")
        fail_overs.append(took)
        whole.stack.wait_for("the heir's run", lambda: whole.runs_started() == runs + 1, seconds=60)
    finally:
        pair.signal(fallen.pod, signal.SIGCONT)
    whole.stack.wait_for(
        "the end of the deposed leader", lambda: pair.exit_codes()[fallen.pod][0] > ends_before, seconds=60
    )
    assert pair.exit_codes()[fallen.pod] == (ends_before + 1, LOST_LEASE)
    whole.note_end_of_faults()
    whole.close_account(wait_until_calm(whole).at_ns)
    assert whole.runs_started() == runs + 1
    assert pair.writes(fallen.pod, since=heir.acquired_at) == []


def test_an_api_server_that_fails_for_long_costs_one_exit_and_no_recording(
    pair: Operators, whole: Scene, front: ApiFrontInThread, outage_seconds: float
) -> None:
    """Nobody can know whether he leads: the leader ends, its pod starts again, and waits for its turn."""
    leader, runs, stops = pair.wait_for_leader(), whole.runs_started(), whole.calls("StopEgress")
    before = pair.exit_codes()
    front.break_with(ApiFault(Reaction.REFUSE, statuses=(500, 503)))
    let_time_pass(outage_seconds)
    front.heal()
    assert_nothing_was_lost(whole, runs_before=runs)
    assert whole.calls("StopEgress") == stops
    after = pair.exit_codes()
    assert after.keys() == before.keys()
    ends = {pod: after[pod][0] - before[pod][0] for pod in before}
    assert ends == {pod: int(pod == leader.pod) for pod in before}
    assert after[leader.pod][1] == LOST_LEASE


def test_an_api_server_that_fails_for_all_but_the_lease_ends_no_operator(
    pair: Operators, whole: Scene, front: ApiFrontInThread, outage_seconds: float
) -> None:
    leader, runs, stops = pair.wait_for_leader(), whole.runs_started(), whole.calls("StopEgress")
    before = pair.exit_codes()
    front.break_with(ApiFault(Reaction.REFUSE, spares="/leases/", statuses=(500, 503)))
    front.cut_watches()
    let_time_pass(outage_seconds)
    front.heal()
    assert_nothing_was_lost(whole, runs_before=runs)
    assert whole.calls("StopEgress") == stops
    assert pair.exit_codes() == before
    assert pair.wait_for_leader().identity == leader.identity
