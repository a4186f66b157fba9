"""Each kind of fault alone: what it costs, and that the system is whole again."""

from __future__ import annotations

import time
from dataclasses import dataclass

import pytest

from replay_operator.media.runs import NANOSECONDS_PER_SECOND
from replay_operator.media.timeline import Interval
from tests.chaos.api_server_faults import CALLS_FAIL
from tests.chaos.bounds import BOUND_SECONDS, KEEPS_OPERATOR, MEASURING_SECONDS
from tests.chaos.calm import wait_until_calm, wait_until_nothing_is_wrong, wait_until_on_disk
from tests.chaos.executor import Executor
from tests.chaos.ledger import Episode
from tests.chaos.operators import Operators
from tests.chaos.plan import Fault, FaultKind
from tests.chaos.scene import Scene

QUIET_SECONDS = 10


@dataclass(frozen=True, slots=True)
class Passed:
    """A fault that let every recording go on, as far as LiveKit knows: the files have the last word.

    Attributes:
        kind: What failed.
        between: From its begin until the system was calm, Unix nanoseconds.
        settled_seconds: From its end until the system was calm.
    """

    kind: FaultKind
    between: Interval
    settled_seconds: float


@pytest.fixture(scope="module")
def passed() -> list[Passed]:
    """What the next test looks up on disk, once for all: segments are there seconds after their media."""
    return []


def test_a_fault_of_what_does_not_record_lets_every_recording_go_on(
    whole: Scene, executor: Executor, passed: list[Passed], harmless: Fault
) -> None:
    operators = Operators(whole.stack)
    runs_before, ends_before, begun_ns = whole.runs_started(), operators.exit_codes(), time.time_ns()
    executor.run((harmless,))
    settled_seconds = wait_until_nothing_is_wrong(whole)
    passed.append(Passed(harmless.kind, Interval(begun_ns, time.time_ns()), settled_seconds))
    runs = whole.runs_started() - runs_before
    assert runs == 0, f"{runs} new runs: every recording was to go on"
    if harmless.kind in KEEPS_OPERATOR:
        assert operators.exit_codes() == ends_before, "the operator ended by itself"
    if harmless.kind in CALLS_FAIL | {FaultKind.WEBHOOKS_LIE}:
        assert executor.hits[harmless.kind], "nothing was hit: the fault was none"


def test_no_fault_of_what_does_not_record_costs_any_source_time(
    whole: Scene, passed: list[Passed], episodes: list[Episode]
) -> None:
    now_ns = time.time_ns()
    wait_until_on_disk(whole, now_ns)
    losses = {each: whole.losses(each.between) for each in passed}
    for each, lost in losses.items():
        episodes.append(Episode(each.kind, lost.worst, lost.worst_picture, 0, each.settled_seconds))
    whole.close_account(now_ns)
    assert {each.kind: lost for each, lost in losses.items() if lost.worst > MEASURING_SECONDS} == {}


def test_a_fault_alone_costs_no_more_than_its_bound(
    whole: Scene, executor: Executor, episodes: list[Episode], costly: Fault
) -> None:
    runs_before = whole.runs_started()
    executor.run((costly,))
    calm = wait_until_calm(whole)
    lost = whole.close_account(calm.at_ns)
    runs = whole.runs_started() - runs_before
    episodes.append(Episode(costly.kind, lost.worst, lost.worst_picture, runs, calm.after_seconds))
    assert lost.worst <= BOUND_SECONDS[costly.kind] + MEASURING_SECONDS, lost
    assert runs, "no run was started: the fault was none"


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
