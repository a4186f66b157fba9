"""What the reader of a plan has to know: where it does not fit, and which figures nobody has measured."""

from __future__ import annotations

from collections.abc import Sequence

from replay_operator.domain.recording_cost import MEGABYTE, Assumption, RecordingCost
from replay_operator.domain.sizing import DEFAULT_FLEET_MAX, Question, Sizing
from replay_operator.domain.storage_budget import HDD_BUFFERS, StorageBudget

_ROOM_COMPOSITE = (
    "Room Composite: 2 to 6 cores a recording and about five times the cost are published, for no preset in "
    "particular; nobody measured it here. One of them records a whole room, and no person alone"
)
_PUBLISHED = (
    "published cost per recording, which contradicts itself: 4 to 8 recordings of 0.5 to 1 CPU and 0.5 to 1 "
    "GB need 2 to 8 of each, on a pod of 2 CPU and 2 GB (docs/capacity.md)"
)


def warnings(question: Question, sizings: Sequence[Sizing]) -> tuple[str, ...]:
    """Say where the plan does not fit.

    Args:
        question: What is planned.
        sizings: The answers, one for each number of users.
    """
    told = list[str]()
    cost = question.cost
    measured = question.assumption is Assumption.MEASURED
    if measured and (
        cost.cores.most > question.pod_cores or cost.memory_bytes.most > question.pod_memory_bytes
    ):
        told.append(
            f"one recording may take {cost.cores.most:g} cores and {cost.memory_bytes.most / 1e9:.2g} GB, "
            "more than a pod requests: raise its requests (manifests/base/fleet.yaml), and plan with "
            "--pod-cpu and --pod-memory-gib"
        )
    too_many = [s for s in sizings if s.pods.most > DEFAULT_FLEET_MAX]
    if too_many:
        first = min(too_many, key=lambda sizing: sizing.users)
        told.append(
            f"{first.users} users want up to {first.pods.most:.0f} pods: maxReplicas (manifests/base/"
            f"autoscaler.yaml) and REPLAY_FLEET_MAX are {DEFAULT_FLEET_MAX} and stop them, raise both"
        )
    if question.storage is not None:
        told += [_over(cost, question.storage, s) for s in sizings if s.over_budget_bytes_per_second]
    return tuple(told)


def notes(question: Question) -> tuple[str, ...]:
    """Say where the figures come from.

    Args:
        question: What is planned.
    """
    storage = question.storage
    told = [
        *_about_recording(question),
        _ROOM_COMPOSITE,
    ]
    if storage is not None and storage.guessed:
        told.append(
            f"{storage.name} is a published sequential rate, not that of your volume: measure it with "
            "`replay-operator benchmark-volume`"
        )
    if storage is not None and storage.is_hard_disk:
        told.append(
            f"the same source gives a hard disk 20 to {HDD_BUFFERS} buffers in a table and 166 by a formula: "
            "trust neither"
        )
    return (
        *told,
        "IOPS are arithmetic: 256 KiB to an I/O, and one for each file change",
        "workers write each byte to their scratch volume first, and the agent reads each segment once",
    )


def _about_recording(question: Question) -> list[str]:
    if question.assumption is Assumption.PUBLISHED:
        return [_PUBLISHED]
    told = []
    if question.cost.extrapolated_from is not None:
        told.append(
            f"CPU and RAM of {question.preset} are EXTRAPOLATED from those of "
            f"{question.cost.extrapolated_from}, by pixels x frames a second (RAM: at most so)"
        )
    if question.cost.starved:
        told.append("1080p was measured on two cores, and one run of two was starved: it may take more")
    return told


def _over(cost: RecordingCost, storage: StorageBudget, sizing: Sizing) -> str:
    over = sizing.over_budget_bytes_per_second or 0
    return (
        f"{sizing.users} users write {sizing.write_bytes_per_second / MEGABYTE:.0f} MB/s, "
        f"{over / MEGABYTE:.0f} MB/s more than {storage.name}: that is enough for {storage.buffers(cost)}"
    )
