"""Which segments go when the buffer volume has too little free space (DESIGN §8).

First what nothing asks for: what has left its window, and directories that no policy names. Then the oldest
unpinned segments of whichever buffer is the fattest. Never a pinned one, never the newest of a live run.
"""

from __future__ import annotations

import heapq
from collections.abc import Callable, Collection, Iterable, Sequence
from dataclasses import dataclass
from datetime import datetime

from replay_operator.api.agent import BufferPolicy
from replay_operator.domain.retention import StoredSegment, removable_segments, spare_segments


@dataclass(frozen=True, slots=True)
class FloorBuffer:
    """One buffer directory.

    `policy` is None when no policy names it. `segments` gives its segments: they are asked for only of
    buffers from which something may have to go, because there may be hundreds of thousands.
    """

    path: str
    bytes: int
    policy: BufferPolicy | None
    live_runs: Collection[str]
    segments: Callable[[], Sequence[StoredSegment]]


@dataclass(frozen=True, slots=True)
class Victims:
    """What is to go: buffer path to segments. `missing_bytes` cannot be freed: the rest is pinned or newest.

    `unasked` lies outside every window; `wanted` is inside the window of its buffer, and its loss is news.
    """

    unasked: dict[str, list[StoredSegment]]
    wanted: dict[str, list[StoredSegment]]
    missing_bytes: int


def choose_victims(
    buffers: Iterable[FloorBuffer], *, needed_bytes: int, complete: bool, now: datetime
) -> Victims:
    """Choose what goes for the floor.

    Args:
        buffers: Every buffer directory of the volume.
        needed_bytes: How many bytes have to go.
        complete: Whether the policy names every buffer. If not, a directory that it does not name stays.
        now: Time of the decision.
    """
    known = [buffer for buffer in buffers if buffer.policy is not None or complete]
    known.sort(key=lambda buffer: (-buffer.bytes, buffer.path))
    missing = needed_bytes
    unasked: dict[str, list[StoredSegment]] = {}
    for buffer in known:
        if missing <= 0:
            break
        unasked[buffer.path] = _until(missing, _unasked(buffer, now))
        missing -= _bytes(unasked[buffer.path])
    wanted, missing = _fattest_first(known, unasked, missing)
    return Victims({path: gone for path, gone in unasked.items() if gone}, wanted, max(0, missing))


def _unasked(buffer: FloorBuffer, now: datetime) -> list[StoredSegment]:
    if buffer.policy is not None:
        return removable_segments(buffer.policy, buffer.segments(), live_runs=buffer.live_runs, now=now)
    return [] if buffer.live_runs else _spare(buffer)


def _fattest_first(
    buffers: Iterable[FloorBuffer], gone: dict[str, list[StoredSegment]], missing: int
) -> tuple[dict[str, list[StoredSegment]], int]:
    wanted: dict[str, list[StoredSegment]] = {}
    heap = [(_bytes(gone.get(buffer.path, ())) - buffer.bytes, buffer.path, buffer) for buffer in buffers]
    heapq.heapify(heap)
    spare: dict[str, list[StoredSegment]] = {}
    while missing > 0 and heap:
        negative_bytes, path, buffer = heap[0]
        if path not in spare:
            already = set(gone.get(path, ()))
            spare[path] = [segment for segment in reversed(_spare(buffer)) if segment not in already]
        if not spare[path]:
            heapq.heappop(heap)
            continue
        segment = spare[path].pop()
        wanted.setdefault(path, []).append(segment)
        missing -= segment.bytes
        heapq.heapreplace(heap, (negative_bytes + segment.bytes, path, buffer))
    return wanted, missing


def _spare(buffer: FloorBuffer) -> list[StoredSegment]:
    pins = buffer.policy.pins if buffer.policy is not None else ()
    return spare_segments(pins, buffer.segments(), live_runs=buffer.live_runs)


def _until(needed_bytes: int, segments: Iterable[StoredSegment]) -> list[StoredSegment]:
    taken: list[StoredSegment] = []
    for segment in segments:
        if needed_bytes <= 0:
            break
        taken.append(segment)
        needed_bytes -= segment.bytes
    return taken


def _bytes(segments: Iterable[StoredSegment]) -> int:
    return sum(segment.bytes for segment in segments)
