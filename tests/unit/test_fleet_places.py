"""Places on workers, deletion costs, and how a fleet shrinks."""

from __future__ import annotations

from datetime import timedelta

from hypothesis import given
from hypothesis import strategies as st

from replay_operator.domain.fleet import DELETION_COST, FleetMap, WorkerView, pod_from_body
from replay_operator.domain.fleet_places import (
    due_deletion_costs,
    places_free,
    places_gained,
    workers_by_load,
)
from replay_operator.domain.fleet_size import WantedFloors
from tests.builders import NOW, at
from tests.fleet_pods import fleet_pod, pod_body

DELETED_AT = "2026-11-22T13:41:07Z"
LOWER_AFTER = timedelta(seconds=600)


def holding(fleet: FleetMap, name: str, *egress_ids: str) -> FleetMap:
    pod = next(pod for pod in fleet.pods.values() if pod.name == name)
    return fleet.with_view(WorkerView(pod, frozenset(egress_ids), 1.0))


def test_a_worker_that_gets_ready_brings_all_its_places() -> None:
    starting = FleetMap().with_pod(fleet_pod("a", ready=False))
    ready = starting.with_pod(fleet_pod("a", version=1001))
    assert places_gained(FleetMap(), starting, 4) == 0
    assert places_gained(starting, ready, 4) == 4
    assert places_gained(ready, holding(ready, "a"), 4) == 0, "it said what was assumed"


def test_a_recording_that_ends_frees_one_place() -> None:
    busy = holding(FleetMap().with_pod(fleet_pod("a")), "a", "EG_1", "EG_2")
    assert places_gained(busy, holding(busy, "a", "EG_2"), 4) == 1
    assert places_gained(holding(busy, "a", "EG_2"), busy, 4) == 0


def test_a_worker_that_holds_more_than_its_share_frees_no_place_until_it_holds_less() -> None:
    full = holding(FleetMap().with_pod(fleet_pod("a")), "a", "EG_1", "EG_2", "EG_3")
    assert places_gained(full, holding(full, "a", "EG_1", "EG_2"), 2) == 0


def test_a_worker_that_must_go_has_no_places() -> None:
    busy = holding(FleetMap().with_pod(fleet_pod("a")), "a", "EG_1")
    going = busy.with_pod(fleet_pod("a", version=1001, deleted_at=DELETED_AT))
    assert places_gained(busy, holding(going, "a"), 4) == 0


def test_a_worker_that_answers_again_after_a_silence_has_no_more_places_than_before() -> None:
    busy = holding(FleetMap().with_pod(fleet_pod("a")), "a", "EG_1")
    silent = busy.without_view("uid-of-a")
    assert places_gained(busy, silent, 4) == places_gained(silent, busy, 4) == 0


def test_busy_workers_cost_what_they_hold_and_idle_ones_need_no_write() -> None:
    fleet = FleetMap().with_pod(fleet_pod("idle")).with_pod(fleet_pod("busy"))
    fleet = holding(holding(fleet, "idle"), "busy", "EG_1", "EG_2")
    assert {pod.name: cost for pod, cost in due_deletion_costs(fleet).items()} == {"busy": 2}


def test_a_cost_that_is_right_already_is_not_written_again() -> None:
    body = pod_body("busy")
    body["metadata"]["annotations"] = {DELETION_COST: "1"}
    fleet = holding(FleetMap().with_pod(pod_from_body(body)), "busy", "EG_1")
    assert due_deletion_costs(fleet) == {}
    assert list(due_deletion_costs(holding(fleet, "busy")).values()) == [0]


def test_a_worker_that_does_not_answer_or_must_go_keeps_its_cost() -> None:
    fleet = FleetMap().with_pod(fleet_pod("silent")).with_pod(fleet_pod("going", deleted_at=DELETED_AT))
    assert due_deletion_costs(holding(fleet, "going", "EG_1")) == {}


def test_the_fleet_grows_at_once() -> None:
    floors = WantedFloors(NOW).wanting(2, at(0), LOWER_AFTER).wanting(9, at(5), LOWER_AFTER)
    assert floors.floor == 9


def test_a_short_lull_does_not_shrink_the_fleet() -> None:
    floors = WantedFloors(NOW).wanting(9, at(0), LOWER_AFTER)
    for seconds in range(5, 600, 5):
        floors = floors.wanting(2, at(seconds), LOWER_AFTER)
    assert floors.floor == 9
    assert floors.wanting(2, at(600), LOWER_AFTER).floor == 2


def test_a_fleet_shrinks_to_the_most_that_was_wanted_meanwhile() -> None:
    floors = WantedFloors(NOW).wanting(9, at(0), LOWER_AFTER).wanting(5, at(300), LOWER_AFTER)
    assert floors.wanting(2, at(600), LOWER_AFTER).floor == 5


def test_nothing_shrinks_before_it_is_known_how_much_was_wanted() -> None:
    floors = WantedFloors(NOW).wanting(2, NOW, LOWER_AFTER)
    assert not floors.may_lower(at(599), LOWER_AFTER)
    assert floors.may_lower(at(600), LOWER_AFTER)


@given(st.lists(st.tuples(st.integers(0, 400), st.integers(1, 30)), min_size=1, max_size=60))
def test_the_floor_is_the_highest_of_the_last_ten_minutes(steps: list[tuple[int, int]]) -> None:
    floors, seconds, wanted = WantedFloors(NOW), 0, list[tuple[int, int]]()
    for pause, floor in steps:
        seconds += pause
        wanted.append((seconds, floor))
        floors = floors.wanting(floor, at(seconds), LOWER_AFTER)
        assert floors.floor == max(f for s, f in wanted if s > seconds - 600)


def test_free_places_are_those_of_workers_that_take_recordings() -> None:
    fleet = FleetMap().with_pod(fleet_pod("a")).with_pod(fleet_pod("b")).with_pod(fleet_pod("c", ready=False))
    assert places_free(fleet, 4) == 8
    assert places_free(holding(fleet, "a", "EG_1", "EG_2", "EG_3"), 4) == 5
    assert places_free(holding(fleet, "a", *(f"EG_{n}" for n in range(6))), 4) == 4, "none below zero"


def test_workers_are_counted_by_what_they_hold() -> None:
    fleet = FleetMap().with_pod(fleet_pod("a")).with_pod(fleet_pod("b")).with_pod(fleet_pod("c"))
    assert workers_by_load(holding(fleet, "a", "EG_1", "EG_2")) == {2: 1, 0: 2}
