"""The plan of a run, and the arithmetic of what is lost."""

from __future__ import annotations

from tests.chaos.bounds import BOUND_SECONDS
from tests.chaos.ledger import Episode, FailOver, fail_over_table, table
from tests.chaos.plan import FAULTS_PER_STORM, Fault, FaultKind, make_plan, timeline


def test_the_same_seed_gives_the_same_plan_and_another_seed_another() -> None:
    assert make_plan(seed=7, faults=40) == make_plan(seed=7, faults=40)
    assert make_plan(seed=7, faults=40) != make_plan(seed=8, faults=40)


def test_a_plan_holds_as_many_faults_as_were_asked_for() -> None:
    for faults in (0, 1, 14, 15, 40, 200):
        plan = make_plan(seed=1, faults=faults)
        assert len(plan.singles) + sum(map(len, plan.storms)) == faults
        assert all(1 <= len(storm) <= FAULTS_PER_STORM for storm in plan.storms)


def test_every_kind_comes_alone_first_and_has_a_bound() -> None:
    assert [fault.kind for fault in make_plan(seed=1, faults=40).singles] == list(FaultKind)
    assert set(BOUND_SECONDS) == set(FaultKind)


def test_a_fault_that_lasts_is_still_there_when_the_next_one_begins() -> None:
    long = Fault(FaultKind.LIVEKIT_REFUSES, target=0, seconds=5.0, pause_seconds=1.0)
    instant = Fault(FaultKind.WORKER_KILLED, target=0, seconds=0.0, pause_seconds=0.0)
    steps = timeline((long, instant))
    assert [(step.at_seconds, step.fault, step.begins) for step in steps] == [
        (0.0, long, True),
        (1.0, instant, True),
        (5.0, long, False),
    ]


def test_the_table_has_one_line_for_each_fault_that_came_alone() -> None:
    episode = Episode(
        FaultKind.WORKER_KILLED, lost_seconds=9.25, picture_seconds=9.5, runs=4, settled_seconds=12.0
    )
    lines = table([episode])
    assert len(lines) == 3
    assert lines[-1].split() == ["worker", "killed", "9.25", "13.0", "9.50", "4", "12.0"]


def test_the_table_of_fail_overs_names_the_time_that_is_stated() -> None:
    lines = fail_over_table([FailOver("killed", 12.96, 12.0)])
    assert lines[-1].split() == ["killed", "13.0", "12", "to", "14"]
