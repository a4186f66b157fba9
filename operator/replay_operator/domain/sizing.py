"""How much of everything a number of recordings needs: workers, CPU, memory, the two volumes."""

from __future__ import annotations

import math
from dataclasses import dataclass

from replay_operator.api.replaybuffer import EncodingPreset
from replay_operator.domain.capacity import DEFAULT_SLACK_SECONDS, worker_floor
from replay_operator.domain.quantity import GIB
from replay_operator.domain.recording_cost import (
    ROOM_COMPOSITE_CORES,
    Assumption,
    Range,
    RecordingCost,
    recording_cost,
)
from replay_operator.domain.storage_budget import StorageBudget

HPA_CPU_TARGET = 0.70
HPA_MEMORY_TARGET = 0.75
"""Of what a pod requests: manifests/base/autoscaler.yaml."""
FLEET_MIN = 2
FLEET_HEADROOM = 1
DEFAULT_FLEET_MAX = 20
"""Defaults of REPLAY_FLEET_MIN, REPLAY_FLEET_HEADROOM and REPLAY_FLEET_MAX; published are 2 and 20 too."""

PUBLISHED_PLACES = Range(4, 8)
"""Recordings that one pod of 2 CPU and 2 GB carries, as published (docs/capacity.md)."""
PUBLISHED_POD_CORES = 2
PUBLISHED_POD_MEMORY_BYTES = 2_000_000_000

FILE_CHANGES_PER_SEGMENT = 5
"""The worker makes the segment and rewrites two playlists; the agent adds a line to the index and deletes the
oldest segment. Counted: benchmarks/README.md, `segments`."""

IO_BYTES = 256 * 1024
"""As Amazon EBS counts the I/O of its SSD volumes: a longer one counts several times."""

CLAIM_HEADROOM = 1.2
DEFAULT_CLAIM_MAX_BYTES = 200 * GIB
"""Defaults of REPLAY_BUFFER_CLAIM_HEADROOM_PERCENT and REPLAY_BUFFER_CLAIM_MAX."""


@dataclass(frozen=True, slots=True)
class Question:
    """What is planned.

    Attributes:
        preset: Encoding of all recordings.
        assumption: Whose figures of what a recording costs.
        window_seconds: How far back each buffer reaches.
        segment_seconds: Length of one segment.
        pod_cores: CPU that a worker's pod requests.
        pod_memory_bytes: Memory that it requests.
        buffers_per_worker: Recordings for which the operator asks for one pod.
        captures_per_hour: Captures that each user makes, on average.
        clip_seconds: Length of one.
        archive_days: How long clips are kept.
        storage: What the buffer volume can take; None when nobody has said.
    """

    preset: EncodingPreset
    assumption: Assumption
    window_seconds: int
    segment_seconds: int
    pod_cores: float
    pod_memory_bytes: float
    buffers_per_worker: int
    captures_per_hour: float
    clip_seconds: int
    archive_days: int
    storage: StorageBudget | None

    @property
    def cost(self) -> RecordingCost:
        """What one recording costs."""
        return recording_cost(self.preset, self.assumption)

    @property
    def buffer_bytes(self) -> float:
        """Bytes of one buffer on the volume: its window, and what is kept beyond it."""
        return self.cost.bytes_per_second * (self.window_seconds + DEFAULT_SLACK_SECONDS)

    @property
    def files_per_window(self) -> int:
        """Segments of one window."""
        return math.ceil(self.window_seconds / self.segment_seconds)


@dataclass(frozen=True, slots=True)
class Sizing:
    """The answer for one number of users. Each records one buffer all the time.

    Attributes:
        users: How many.
        pods: Workers while all record, with one to spare.
        cores: CPU that the recordings take.
        requested_cores: CPU that the pods request.
        memory_bytes: Memory that the recordings take.
        requested_memory_bytes: Memory that the pods request.
        hpa_min: `minReplicas`, as the operator sets it while all record.
        hpa_max: `maxReplicas` that is needed.
        write_bytes_per_second: Of all workers to the buffer volume.
        iops: Writes a second, as a cloud counts them; arithmetic, not measured.
        file_changes_per_minute: Files made, rewritten, added to and deleted.
        files: Segments on the buffer volume.
        buffer_volume_bytes: What they take.
        claim_bytes: Size of the claim for that.
        archive_bytes_per_day: Clips made in a day.
        archive_bytes: Clips that are kept.
        room_composite_cores: CPU, if each were a Room Composite.
        room_composite_times: That, as a multiple of `cores`.
        over_budget_bytes_per_second: By how much the volume is asked for too much; 0 if not, None when
            nobody has said what it can take.
    """

    users: int
    pods: Range
    cores: Range
    requested_cores: Range
    memory_bytes: Range
    requested_memory_bytes: Range
    hpa_min: int
    hpa_max: int
    write_bytes_per_second: float
    iops: float
    file_changes_per_minute: float
    files: int
    buffer_volume_bytes: float
    claim_bytes: int
    archive_bytes_per_day: float
    archive_bytes: float
    room_composite_cores: Range
    room_composite_times: Range
    over_budget_bytes_per_second: float | None


def covered_by_requests(cost: RecordingCost, pod_cores: float, pod_memory_bytes: float) -> int:
    """Give how many recordings a pod's requests cover when each costs the most; at least one.

    Args:
        cost: What one recording costs.
        pod_cores: CPU that the pod requests.
        pod_memory_bytes: Memory that it requests.
    """
    return max(1, int(min(pod_cores / cost.cores.most, pod_memory_bytes / cost.memory_bytes.most)))


def size(question: Question, users: int) -> Sizing:
    """Answer for one number of users.

    Args:
        question: What is planned.
        users: How many record at the same time.
    """
    cost = question.cost
    if question.assumption is Assumption.PUBLISHED:
        hpa_min, hpa_max = FLEET_MIN, DEFAULT_FLEET_MAX
        pods = _published_pods(users)
    else:
        hpa_min = _floor(question.buffers_per_worker, users)
        pods = _pods(question, users, hpa_min)
        hpa_max = int(pods.most)
    rate = cost.bytes_per_second * users
    segments_per_second = users / question.segment_seconds
    per_day = users * question.captures_per_hour * 24 * cost.bytes_per_second * question.clip_seconds
    over = None if question.storage is None else max(0.0, rate - question.storage.bytes_per_second)
    kept_seconds = question.window_seconds + DEFAULT_SLACK_SECONDS
    return Sizing(
        users=users,
        pods=pods,
        cores=cost.cores.times(users),
        requested_cores=pods.times(question.pod_cores),
        memory_bytes=cost.memory_bytes.times(users),
        requested_memory_bytes=pods.times(question.pod_memory_bytes),
        hpa_min=hpa_min,
        hpa_max=hpa_max,
        write_bytes_per_second=rate,
        iops=rate / IO_BYTES + FILE_CHANGES_PER_SEGMENT * segments_per_second,
        file_changes_per_minute=60 * FILE_CHANGES_PER_SEGMENT * segments_per_second,
        files=users * math.ceil(kept_seconds / question.segment_seconds),
        buffer_volume_bytes=users * question.buffer_bytes,
        claim_bytes=math.ceil(users * question.buffer_bytes * CLAIM_HEADROOM / GIB) * GIB,
        archive_bytes_per_day=per_day,
        archive_bytes=per_day * question.archive_days,
        room_composite_cores=ROOM_COMPOSITE_CORES.times(users),
        room_composite_times=_room_composite_times(cost),
        over_budget_bytes_per_second=over,
    )


def _published_pods(users: int) -> Range:
    return Range(math.ceil(users / PUBLISHED_PLACES.most), math.ceil(users / PUBLISHED_PLACES.least))


def _floor(per_worker: int, users: int) -> int:
    maximum = FLEET_MIN + users + FLEET_HEADROOM
    return worker_floor(
        users, per_worker=per_worker, headroom=FLEET_HEADROOM, minimum=FLEET_MIN, maximum=maximum
    )


def _pods(question: Question, users: int, floor: int) -> Range:
    """Count the pods: what the operator asks for, or as many as the autoscaler makes of their use."""
    cores, memory_bytes = question.cost.cores, question.cost.memory_bytes
    return Range(
        max(floor, _autoscaled(question, users * cores.least, users * memory_bytes.least)),
        max(floor, _autoscaled(question, users * cores.most, users * memory_bytes.most)),
    )


def _autoscaled(question: Question, cores: float, memory_bytes: float) -> int:
    """Give where the autoscaler settles: pods use its targets of what they request, on average."""
    by_cpu = cores / (question.pod_cores * HPA_CPU_TARGET)
    by_memory = memory_bytes / (question.pod_memory_bytes * HPA_MEMORY_TARGET)
    # Rounded first: 0.7 has no exact binary form, and must not cost a pod.
    return math.ceil(round(max(by_cpu, by_memory), 9))


def _room_composite_times(cost: RecordingCost) -> Range:
    pair = (
        ROOM_COMPOSITE_CORES.least / cost.cores.least,
        ROOM_COMPOSITE_CORES.most / cost.cores.most,
    )
    return Range(min(pair), max(pair))
