"""Which worker holds which egress, over everything that can happen to pods."""

from __future__ import annotations

from collections.abc import Iterable
from datetime import UTC, datetime

import pytest
from hypothesis import given
from hypothesis import strategies as st

from replay_operator.domain.fleet import (
    LOST_KEPT,
    FleetMap,
    FleetPod,
    WorkerView,
    changed_egresses,
    pod_from_body,
)
from tests.fleet_pods import (
    CRASH_LOOP,
    KILLED,
    Json,
    container,
    evicted_body,
    fleet_pod,
    pod_body,
    unscheduled_body,
)

DELETED_AT = "2026-11-22T13:41:07Z"
A, B = fleet_pod("worker-a"), fleet_pod("worker-b")
A_GOING = fleet_pod("worker-a", version=1001, deleted_at=DELETED_AT)


def said(pod: FleetPod, *egress_ids: str) -> WorkerView:
    return WorkerView(pod, frozenset(egress_ids), 2.0)


def two_workers() -> FleetMap:
    """Worker a holds EG_1 and EG_2, worker b holds EG_3."""
    return FleetMap().with_pod(A).with_pod(B).with_view(said(A, "EG_1", "EG_2")).with_view(said(B, "EG_3"))


def lost_of(fleet: FleetMap) -> set[str]:
    return set(fleet.lost)


# Reading a Pod


def test_a_running_pod_is_read() -> None:
    assert pod_from_body(pod_body("worker-a", uid="4d0e", version=77)) == FleetPod(
        uid="4d0e",
        name="worker-a",
        version=77,
        ip="10.244.1.17",
        node="worker-1",
        ready=True,
        finished=False,
        deleted_at=None,
        container_ends=(0,),
    )


def test_a_terminating_pod_tells_when_its_grace_period_ends() -> None:
    assert A_GOING.terminating
    assert A_GOING.deleted_at == datetime(2026, 11, 22, 13, 41, 7, tzinfo=UTC)


@pytest.mark.parametrize("phase", ["Failed", "Succeeded"])
def test_a_pod_that_ended_is_finished(phase: str) -> None:
    assert fleet_pod("worker-a", phase=phase).finished


def test_an_evicted_pod_has_no_address_and_is_finished() -> None:
    pod = pod_from_body(evicted_body("worker-a", version=2))
    assert (pod.finished, pod.ready, pod.ip, pod.container_ends) == (True, False, None, ())


def test_a_pod_without_a_node_is_neither_ready_nor_finished() -> None:
    pod = pod_from_body(unscheduled_body("worker-a"))
    assert (pod.ready, pod.finished, pod.node, pod.ip) == (False, False, None, None)


@pytest.mark.parametrize(
    ("status", "ends"),
    [
        (container(), 0),
        (container(restarts=3), 3),
        (container(state=KILLED), 1),
        (container(state=CRASH_LOOP, last_state=KILLED, restarts=2), 3),
        (container(state={"waiting": {"reason": "ContainerCreating"}}), 0),
    ],
)
def test_the_ends_of_a_container_are_counted_before_it_is_restarted(status: Json, ends: int) -> None:
    assert fleet_pod("worker-a", containers=(status,)).container_ends == (ends,)


@pytest.mark.parametrize(
    ("pod", "may_answer"),
    [
        (A, True),
        (fleet_pod("a", ready=False), False),
        (fleet_pod("a", ready=False, deleted_at=DELETED_AT), True),
        (fleet_pod("a", ip=None), False),
    ],
)
def test_ready_and_draining_workers_are_worth_asking(pod: FleetPod, may_answer: bool) -> None:
    assert pod.may_answer is may_answer


# Placement


def test_an_egress_is_where_its_worker_says() -> None:
    fleet = two_workers()
    assert [fleet.worker_of(id_) for id_ in ("EG_1", "EG_2", "EG_3")] == ["worker-a", "worker-a", "worker-b"]


def test_an_egress_that_nobody_has_seen_is_nowhere_and_neither_doomed_nor_lost() -> None:
    fleet = two_workers()
    assert (fleet.worker_of("EG_9"), fleet.is_doomed("EG_9"), fleet.is_lost("EG_9")) == (None, False, False)


def test_an_egress_that_its_worker_no_longer_holds_has_ended_and_is_not_lost() -> None:
    fleet = two_workers().with_view(said(A, "EG_1"))
    assert fleet.worker_of("EG_2") is None
    assert not fleet.is_lost("EG_2")


def test_a_worker_that_does_not_answer_keeps_what_it_held() -> None:
    fleet = two_workers().without_view(A.uid)
    assert fleet.worker_of("EG_1") == "worker-a"
    assert not fleet.is_lost("EG_1")


def test_a_worker_that_is_not_ready_keeps_what_it_held_and_is_not_doomed() -> None:
    fleet = two_workers().with_pod(fleet_pod("worker-a", version=1001, ready=False))
    assert (fleet.worker_of("EG_1"), fleet.is_doomed("EG_1"), fleet.is_lost("EG_1")) == (
        "worker-a",
        False,
        False,
    )


# Doom and loss


def test_everything_on_a_terminating_pod_is_doomed_and_still_there() -> None:
    fleet = two_workers().with_pod(A_GOING)
    assert [fleet.is_doomed(id_) for id_ in ("EG_1", "EG_2", "EG_3")] == [True, True, False]
    assert fleet.worker_of("EG_1") == "worker-a"
    assert lost_of(fleet) == set()


def test_an_egress_that_lands_on_a_doomed_worker_is_doomed() -> None:
    fleet = two_workers().with_pod(A_GOING).with_view(said(A_GOING, "EG_1", "EG_2", "EG_4"))
    assert fleet.is_doomed("EG_4")


def test_everything_on_a_deleted_pod_is_lost_and_no_longer_doomed() -> None:
    fleet = two_workers().with_pod(A_GOING).without_pod(A.uid)
    assert lost_of(fleet) == {"EG_1", "EG_2"}
    assert not fleet.is_doomed("EG_1")
    assert fleet.worker_of("EG_1") is None


def test_everything_on_an_evicted_pod_is_lost_although_the_object_stays() -> None:
    fleet = two_workers().with_pod(pod_from_body(evicted_body("worker-a", version=1001)))
    assert lost_of(fleet) == {"EG_1", "EG_2"}
    assert A.uid not in fleet.pods


def test_a_second_pod_of_the_same_name_means_that_the_first_is_gone() -> None:
    fleet = two_workers().with_pod(fleet_pod("worker-a", uid="another", version=1001))
    assert lost_of(fleet) == {"EG_1", "EG_2"}


def test_the_end_of_the_only_container_loses_everything_before_it_is_restarted() -> None:
    killed = fleet_pod("worker-a", version=1001, ready=False, containers=(container(state=KILLED),))
    assert lost_of(two_workers().with_pod(killed)) == {"EG_1", "EG_2"}


def test_a_restart_beside_another_container_loses_only_what_the_worker_then_lacks() -> None:
    before = fleet_pod("worker-c", containers=(container("egress"), container("proxy")))
    restarted = fleet_pod(
        "worker-c", version=1001, containers=(container("egress"), container("proxy", restarts=1))
    )
    fleet = FleetMap().with_pod(before).with_view(said(before, "EG_1", "EG_2")).with_pod(restarted)
    assert lost_of(fleet) == set()
    fleet = fleet.with_view(said(restarted, "EG_1"))
    assert (fleet.worker_of("EG_1"), lost_of(fleet)) == ("worker-c", {"EG_2"})


def test_an_answer_from_before_a_restart_places_nothing() -> None:
    restarted = fleet_pod("worker-a", version=1001, containers=(container(restarts=1),))
    fleet = two_workers().with_pod(restarted).with_view(said(A, "EG_1", "EG_2"))
    assert fleet.worker_of("EG_1") is None
    assert lost_of(fleet) == {"EG_1", "EG_2"}


def test_an_answer_of_a_pod_that_has_gone_meanwhile_places_nothing() -> None:
    fleet = two_workers().without_pod(A.uid).with_view(said(A, "EG_1"))
    assert fleet.worker_of("EG_1") is None
    assert fleet.is_lost("EG_1")


def test_a_lost_egress_that_a_worker_names_is_alive() -> None:
    fleet = two_workers().without_pod(A.uid).with_view(said(B, "EG_1", "EG_3"))
    assert fleet.worker_of("EG_1") == "worker-b"
    assert not fleet.is_lost("EG_1")


def test_an_older_version_of_a_pod_changes_nothing() -> None:
    fleet = two_workers().with_pod(A_GOING)
    assert fleet.with_pod(A) is fleet


def test_only_the_newest_losses_are_remembered() -> None:
    fleet = FleetMap().with_pod(A).with_view(said(A, *(f"EG_{i}" for i in range(LOST_KEPT))))
    fleet = fleet.without_pod(A.uid).with_pod(B).with_view(said(B, "EG_newest")).without_pod(B.uid)
    assert len(fleet.lost) == LOST_KEPT
    assert fleet.is_lost("EG_newest")


# Lists, which are older than what the watch told meanwhile


def known(fleet: FleetMap) -> frozenset[str]:
    return frozenset(fleet.pods)


def test_a_pod_that_a_complete_list_lacks_is_gone() -> None:
    fleet = two_workers()
    assert lost_of(fleet.with_list([B], known(fleet))) == {"EG_1", "EG_2"}


def test_a_pod_that_came_after_the_list_was_asked_for_stays() -> None:
    fleet = two_workers()
    newcomer = fleet_pod("worker-c")
    later = fleet.with_pod(newcomer).with_view(said(newcomer, "EG_4")).with_list([A, B], known(fleet))
    assert later.worker_of("EG_4") == "worker-c"


def test_a_pod_that_went_after_the_list_was_asked_for_stays_gone() -> None:
    fleet = two_workers()
    assert A.uid not in fleet.without_pod(A.uid).with_list([A, B], known(fleet)).pods


def test_a_list_brings_pods_that_no_watch_has_told_of() -> None:
    assert known(FleetMap().with_list([A, B], frozenset())) == {A.uid, B.uid}


# Idle workers


def test_a_worker_is_idle_only_when_it_just_said_so() -> None:
    fleet = two_workers().with_view(said(B))
    assert fleet.idle_workers() == ("worker-b",)
    assert fleet.without_view(B.uid).idle_workers() == ()


def test_a_worker_that_must_go_is_not_idle() -> None:
    fleet = two_workers().with_view(said(A)).with_pod(A_GOING)
    assert fleet.idle_workers() == ()


# Changes


def test_what_changed_is_told_and_nothing_else() -> None:
    before = two_workers()
    assert changed_egresses(before, before.with_view(said(A, "EG_1", "EG_2"))) == set()
    assert changed_egresses(before, before.with_view(said(B, "EG_3", "EG_4"))) == {"EG_4"}
    assert changed_egresses(before, before.with_view(said(A, "EG_1"))) == {"EG_2"}
    assert changed_egresses(before, before.with_pod(A_GOING)) == {"EG_1", "EG_2"}
    assert changed_egresses(before, before.without_pod(B.uid)) == {"EG_3"}


# Any history

NAMES = st.sampled_from(["worker-a", "worker-b", "worker-c"])
EGRESS_IDS = st.frozensets(st.sampled_from([f"EG_{i}" for i in range(5)]))

HARMLESS = st.one_of(
    st.tuples(st.just("answers"), NAMES, EGRESS_IDS),
    st.tuples(st.just("is silent"), NAMES, st.just(frozenset[str]())),
    st.tuples(st.just("is unready"), NAMES, st.just(frozenset[str]())),
    st.tuples(st.just("must go"), NAMES, st.just(frozenset[str]())),
)
ANYTHING = st.one_of(
    HARMLESS,
    st.tuples(st.sampled_from(["is deleted", "is evicted", "restarts"]), NAMES, st.just(frozenset[str]())),
)
Happening = tuple[str, str, frozenset[str]]


def history(happenings: Iterable[Happening]) -> FleetMap:
    """Three workers that hold nothing, and what happens to them then."""
    fleet = FleetMap()
    for name in ("worker-a", "worker-b", "worker-c"):
        fleet = fleet.with_pod(fleet_pod(name))
    for version, (what, name, egress_ids) in enumerate(happenings, 2000):
        fleet = _after(fleet, what, name, egress_ids, version)
    return fleet


def _after(fleet: FleetMap, what: str, name: str, egress_ids: frozenset[str], version: int) -> FleetMap:
    uid = fleet_pod(name).uid
    pod = fleet.pods.get(uid)
    restarts = pod.container_ends[0] if pod else 0
    match what:
        case "answers":
            return fleet.with_view(WorkerView(pod or fleet_pod(name), egress_ids, 1.0))
        case "is silent":
            return fleet.without_view(uid)
        case "is deleted":
            return fleet.without_pod(uid)
        case "is evicted":
            return fleet.with_pod(pod_from_body(evicted_body(name, version=version)))
        case _:
            own = container(restarts=restarts + (what == "restarts"))
            going = DELETED_AT if what == "must go" else None
            ready = what != "is unready"
            return fleet.with_pod(
                fleet_pod(name, version=version, ready=ready, deleted_at=going, containers=(own,))
            )


@given(st.lists(HARMLESS, max_size=20))
def test_without_a_death_nothing_is_ever_lost(happenings: list[Happening]) -> None:
    assert lost_of(history(happenings)) == set()


@given(st.lists(ANYTHING, max_size=20), NAMES)
def test_a_failing_probe_never_changes_what_becomes_of_an_egress(
    happenings: list[Happening], name: str
) -> None:
    fleet = history(happenings)
    assert changed_egresses(fleet, fleet.without_view(fleet_pod(name).uid)) == set()


@given(st.lists(ANYTHING, max_size=20), NAMES, st.sampled_from(["is deleted", "is evicted", "restarts"]))
def test_the_death_of_a_worker_always_loses_what_it_held_and_nothing_else(
    happenings: list[Happening], name: str, death: str
) -> None:
    before = history(happenings)
    held = {id_ for id_ in before.placed if before.worker_of(id_) == name}
    after = _after(before, death, name, frozenset(), 9000)
    assert lost_of(after) - lost_of(before) == held
    assert changed_egresses(before, after) == held


@given(st.lists(ANYTHING, max_size=20))
def test_no_egress_is_both_held_and_lost_and_every_holder_is_there(happenings: list[Happening]) -> None:
    fleet = history(happenings)
    assert fleet.placed.keys().isdisjoint(fleet.lost)
    assert {pod.uid for pod in fleet.placed.values()} <= known(fleet)
    assert fleet.views.keys() <= known(fleet)
