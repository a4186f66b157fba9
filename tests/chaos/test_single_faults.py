"""Each kind of fault alone: what it costs, and that the system is whole again."""

from __future__ import annotations

from replay_operator.media.runs import NANOSECONDS_PER_SECOND
from tests.chaos.bounds import BOUND_SECONDS, MEASURING_SECONDS, RECORDS_ON
from tests.chaos.calm import wait_until_calm
from tests.chaos.executor import Executor
from tests.chaos.ledger import Episode
from tests.chaos.plan import Fault, FaultKind
from tests.chaos.scene import Scene

QUIET_SECONDS = 10


def test_a_fault_alone_costs_no_more_than_its_bound(
    whole: Scene, executor: Executor, episodes: list[Episode], fault: Fault
) -> None:
    runs_before = whole.runs_started()
    executor.run((fault,))
    calm = wait_until_calm(whole)
    lost = whole.close_account(calm.at_ns)
    worst, runs = max(lost.everything.values()), whole.runs_started() - runs_before
    episodes.append(Episode(fault.kind, worst, max(lost.picture.values()), runs, calm.after_seconds))
    assert worst <= BOUND_SECONDS[fault.kind] + MEASURING_SECONDS, lost
    if fault.kind in RECORDS_ON:
        assert runs == 0, f"{runs} new runs: every recording was to go on"


def test_a_dead_worker_is_not_asked_again_and_again_to_stop(whole: Scene, executor: Executor) -> None:
    """LiveKit keeps the records of a dead worker as active for ever, and needs 3 s for each refusal."""
    executor.run((Fault(FaultKind.WORKER_KILLED, target=0, seconds=0.0, pause_seconds=0.0),))
    calm = wait_until_calm(whole)
    whole.close_account(calm.at_ns)
    asked = whole.calls("StopEgress")
    later_ns = calm.at_ns + QUIET_SECONDS * NANOSECONDS_PER_SECOND
    whole.stack.wait_for("more segments", lambda: whole.is_on_disk(later_ns), seconds=60)
    again = whole.calls("StopEgress") - asked
    assert again == 0, f"StopEgress was called {again} times while nothing was to do"
