"""Places for recordings on the workers: where some came free, and which worker should go first."""

from __future__ import annotations

from collections import Counter

from replay_operator.domain.fleet import FleetMap, FleetPod


def places_gained(old: FleetMap, new: FleetMap, per_worker: int) -> int:
    """Give how many places came free: on workers that got ready, or that hold less than before.

    Args:
        old: A map.
        new: The same, later.
        per_worker: How many recordings one worker carries.
    """
    changed = (
        uid
        for uid, pod in new.pods.items()
        if old.pods.get(uid) is not pod or old.views.get(uid) is not new.views.get(uid)
    )
    return sum(max(0, _free(new, uid, per_worker) - _free(old, uid, per_worker)) for uid in changed)


def places_free(fleet: FleetMap, per_worker: int) -> int:
    """Give how many recordings more the ready workers can carry.

    Args:
        fleet: What is known.
        per_worker: How many recordings one worker carries.
    """
    return sum(_free(fleet, uid, per_worker) for uid in fleet.pods)


def workers_by_load(fleet: FleetMap) -> Counter[int]:
    """Count the workers that are there by the number of egresses that each holds.

    Args:
        fleet: What is known.
    """
    return Counter(_held(fleet, uid) for uid, pod in fleet.pods.items() if not pod.finished)


def _free(fleet: FleetMap, uid: str, per_worker: int) -> int:
    pod = fleet.pods.get(uid)
    if pod is None or not pod.ready or pod.terminating:
        return 0
    return max(0, per_worker - _held(fleet, uid))


def _held(fleet: FleetMap, uid: str) -> int:
    view = fleet.views.get(uid)
    return len(view.egress_ids) if view else sum(then.uid == uid for then in fleet.placed.values())


def due_deletion_costs(fleet: FleetMap) -> dict[FleetPod, int]:
    """Give the deletion cost of each worker whose pod says another one: the recordings that it holds.

    A ReplicaSet takes the cheapest pods first, and one that says nothing costs 0: an idle worker needs no
    write. A worker that does not answer keeps its cost.

    Args:
        fleet: What is known.
    """
    costs = {
        fleet.pods[uid]: len(view.egress_ids)
        for uid, view in fleet.views.items()
        if not fleet.pods[uid].terminating
    }
    return {pod: cost for pod, cost in costs.items() if pod.deletion_cost != cost}
