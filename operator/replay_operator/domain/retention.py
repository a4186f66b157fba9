"""What the agent may delete: pure decisions over what lies on the buffer volume (DESIGN §4, §6.7).

Everything here errs on the side of keeping. The shell that deletes is `agent/sweep.py`.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Collection, Iterable, Mapping
from datetime import UTC, datetime, timedelta
from typing import NamedTuple

from replay_operator.api.agent import BufferPolicy, Pin, Policy
from replay_operator.domain.egress import datetime_to_ns

NEWEST_KEPT = 2
"""Segments at the end of a live run that never go, so that no wrong clock can empty a recording."""

_BEGINNING_OF_TIME = datetime.min.replace(tzinfo=UTC)
_END_OF_TIME = datetime.max.replace(tzinfo=UTC)


class StoredSegment(NamedTuple):
    """One segment file, with the capture times of its media in Unix nanoseconds.

    A tuple of plain numbers: hundreds of thousands are made in each round.
    """

    run: str
    index: int  # type: ignore[assignment]  # the word for a segment's number; nobody searches the tuple
    start_ns: int
    end_ns: int
    bytes: int


def removable_segments(
    policy: BufferPolicy, segments: Collection[StoredSegment], *, live_runs: Collection[str], now: datetime
) -> list[StoredSegment]:
    """Choose the segments of one buffer that nothing needs any more, oldest index of each run first.

    Args:
        policy: What to keep of the buffer.
        segments: Every segment file of the buffer, in any order.
        live_runs: Names of the runs that are still written.
        now: Time of the decision.
    """
    cutoff_ns = datetime_to_ns(window_cutoff(policy, now))
    forgotten = _to_forget(policy, segments)
    if forgotten:
        segments = [s for s in segments if s not in forgotten]
    elif all(segment.end_ns >= cutoff_ns for segment in segments):
        return []
    removable = sorted(forgotten, key=lambda s: (s.run, s.index))
    for run, stored in _by_run(segments).items():
        kept = _kept_positions(stored, policy.pins, is_live=run in live_runs)
        removable += [s for position, s in enumerate(stored) if s.end_ns < cutoff_ns and position not in kept]
    return removable


def spare_segments(
    pins: Collection[Pin], segments: Collection[StoredSegment], *, live_runs: Collection[str]
) -> list[StoredSegment]:
    """Give the segments of one buffer that could go if they had to, oldest first: neither pinned nor newest.

    Args:
        pins: What captures need of it.
        segments: Segment files of the buffer, in any order.
        live_runs: Names of the runs that are still written.
    """
    spare: list[StoredSegment] = []
    for run, stored in _by_run(segments).items():
        kept = _kept_positions(stored, pins, is_live=run in live_runs)
        spare += [segment for position, segment in enumerate(stored) if position not in kept]
    return sorted(spare, key=lambda s: (s.start_ns, s.run, s.index))


def beyond_byte_limit(
    policy: BufferPolicy, segments: Collection[StoredSegment], *, live_runs: Collection[str], now: datetime
) -> list[StoredSegment]:
    """Choose what goes of a buffer whose window is larger than it may be, oldest first.

    What a pin holds outside the window does not count: a capture that waits is no reason to lose the window.

    Args:
        policy: What to keep of the buffer.
        segments: Its segment files without those that go anyway, in any order.
        live_runs: Names of the runs that are still written.
        now: Time of the decision.
    """
    if policy.max_bytes is None:
        return []
    cutoff_ns = datetime_to_ns(window_cutoff(policy, now))
    excess = sum(s.bytes for s in segments if s.end_ns >= cutoff_ns) - policy.max_bytes
    if excess <= 0:
        return []
    gone: list[StoredSegment] = []
    for segment in spare_segments(policy.pins, segments, live_runs=live_runs):
        if excess <= 0:
            break
        if segment.end_ns >= cutoff_ns:
            gone.append(segment)
            excess -= segment.bytes
    return gone


def _to_forget(policy: BufferPolicy, segments: Iterable[StoredSegment]) -> set[StoredSegment]:
    """Privacy goes before everything: not even a pin or the newest segments of a live run are spared."""
    if policy.forget_before is None:
        return set()
    before_ns = datetime_to_ns(policy.forget_before)
    return {segment for segment in segments if segment.start_ns < before_ns}


def window_cutoff(policy: BufferPolicy, now: datetime) -> datetime:
    """Give the time before which a segment must have ended to be outside the window.

    Args:
        policy: What to keep of the buffer.
        now: Time of the decision; it does not count once the source has gone (`frozen_at`).
    """
    if policy.expires_at is not None and now >= policy.expires_at:
        return _END_OF_TIME
    newest = policy.frozen_at or now
    try:
        return newest - timedelta(seconds=policy.window_seconds + policy.slack_seconds)
    except OverflowError:
        # A stored policy outlives the agent: one that it dies of would keep it dead.
        return _BEGINNING_OF_TIME


def orphans_since(
    before: Mapping[str, float], *, on_disk: Collection[str], policy: Policy, now_seconds: float
) -> dict[str, float]:
    """Update since when each buffer directory has been named by no policy.

    An incomplete policy cannot make an orphan: it only ends being one.

    Args:
        before: The answer of the last call: buffer path to monotonic seconds.
        on_disk: Paths of the buffer directories that exist.
        policy: The policy in force.
        now_seconds: Monotonic seconds of this call.
    """
    named = {buffer.path for buffer in policy.buffers}
    unnamed = [path for path in on_disk if path not in named]
    return {path: before.get(path, now_seconds) for path in unnamed if policy.complete or path in before}


def orphans_due(
    since: Mapping[str, float], *, policy: Policy, now_seconds: float, grace_seconds: float
) -> list[str]:
    """Choose the orphan directories whose grace period has passed, only under a complete policy.

    Args:
        since: What `orphans_since` gave: buffer path to monotonic seconds.
        policy: The policy in force.
        now_seconds: Monotonic seconds of this call.
        grace_seconds: How long a directory must have been an orphan.
    """
    if not policy.complete:
        return []
    return sorted(path for path, first in since.items() if now_seconds - first >= grace_seconds)


def deletion_allowed(
    *,
    now_seconds: float,
    started_seconds: float,
    heard_seconds: float | None,
    silence_seconds: float,
    startup_quiet_seconds: float,
) -> bool:
    """Say whether the agent may delete at all: an outage must cost nobody the start of a capture.

    Args:
        now_seconds: Monotonic seconds of this call.
        started_seconds: When the agent started.
        heard_seconds: When it last accepted a policy, None if not since its start.
        silence_seconds: How old that may be.
        startup_quiet_seconds: How long after its start the agent deletes nothing in any case.
    """
    if heard_seconds is None or now_seconds - started_seconds < startup_quiet_seconds:
        return False
    return now_seconds - heard_seconds <= silence_seconds


def _by_run(segments: Iterable[StoredSegment]) -> dict[str, list[StoredSegment]]:
    runs: defaultdict[str, list[StoredSegment]] = defaultdict(list)
    for segment in segments:
        runs[segment.run].append(segment)
    for stored in runs.values():
        stored.sort(key=lambda segment: segment.index)
    return runs


def _kept_positions(stored: list[StoredSegment], pins: Iterable[Pin], *, is_live: bool) -> set[int]:
    kept = _pinned_positions(stored, pins)
    if is_live:
        kept.update(range(len(stored) - NEWEST_KEPT, len(stored)))
    return kept


def _pinned_positions(stored: list[StoredSegment], pins: Iterable[Pin]) -> set[int]:
    """Find the positions that a pin touches, and their neighbours: clocks are only known to a frame or so."""
    ranges = [(datetime_to_ns(pin.start), datetime_to_ns(pin.end)) for pin in pins]
    touched = {
        position
        for start_ns, end_ns in ranges
        for position, segment in enumerate(stored)
        if segment.start_ns <= end_ns and start_ns <= segment.end_ns
    }
    return {near for position in touched for near in (position - 1, position, position + 1)}
