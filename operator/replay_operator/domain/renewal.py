"""When a run that is alive must be replaced all the same."""

from __future__ import annotations

from datetime import datetime, timedelta
from zlib import crc32

from replay_operator.api.agent import RunCoverage
from replay_operator.api.replaybuffer import ReplayBuffer
from replay_operator.api.replaycapture import Clock
from replay_operator.domain.egress import Egress, RecordedPair, ns_to_datetime
from replay_operator.domain.observation import Observation

SPREAD = 0.1
"""Runs that began together are renewed up to a tenth of the age apart: a hand-over of eight buffers at once
would need eight free places (DESIGN §8)."""

DRIFT_EARLY = timedelta(seconds=1)
DRIFT_LATE = timedelta(seconds=3)
"""A segment arrives one segment and 0.65 s after its media ended, within 18 ms (livekit-measured §2). Outside
this band the run's clock drifts, its worker is far behind, or a node's clock is off (DESIGN §6.8)."""

CLOCK_AHEAD_MILLISECONDS = 500
CLOCK_BEHIND_MILLISECONDS = 1000
"""The time from a segment's media to its arrival is constant within 18 ms (ibid.). More than this, several
times in a row, is a clock that has jumped or a worker that falls behind (DESIGN §6.8). Late is allowed more:
on two busy cores segments of a right clock were seen to come 0.5 s late for a while, and moving the recording
made the machine busier still."""

DRIFT_MIN_AGE = timedelta(minutes=5)
"""A clock that is off on every worker must not cause a hand-over a minute."""

STARVED_MIN_AGE = timedelta(seconds=30)
"""When every worker is short of CPU, moving from one to the next for ever would make it worse."""

FLUSH = "a capture wants what the worker still holds"
FLUSH_LEAD = timedelta(seconds=1)
"""A new run's media starts 1 to 2 s after it was asked for: asked for earlier, it is there in time."""


def reason_to_renew(
    buffer: ReplayBuffer, egress: Egress, seen: Observation, wanted: RecordedPair | None, now: datetime
) -> str | None:
    """Say why a living run must be handed over, or None.

    Args:
        buffer: Whose run.
        egress: The egress that writes it.
        seen: What was observed.
        wanted: The tracks that are there now; None: nobody asked, or there are none.
        now: Time of the decision.
    """
    if egress.id in seen.doomed:
        return "its worker is told to go"
    age = now - ns_to_datetime(egress.started_at_ns)
    if age >= max_age(buffer, seen.max_run_age):
        return "it has reached its maximum age"
    if egress.id in seen.starved and age >= STARVED_MIN_AGE:
        return "its worker has no CPU left"
    run = seen.coverage.runs.get(seen.runs.get(egress.id, ""))
    if run is not None and (shown := _shown_by_its_files(run, age, seen)):
        return shown
    if wanted is not None and has_new_track(wanted, egress):
        return "its source publishes other tracks now"
    return FLUSH if _wants_flush(egress, seen, now) else None


def _shown_by_its_files(run: RunCoverage, age: timedelta, seen: Observation) -> str | None:
    if run.segment_seconds not in (None, seen.wanted_segment_seconds):
        return "its segments are to have another length"
    if is_clock_wrong(run, age, seen.segment_seconds):
        return "its clock drifts or has jumped, or its worker falls behind"
    return None


def _wants_flush(egress: Egress, seen: Observation, now: datetime) -> bool:
    due = _flush_due(egress, seen)
    return due is not None and now >= due


def next_flush(egress: Egress, seen: Observation, now: datetime) -> datetime | None:
    """Give when a flush that is wanted but not due must be looked at, or None.

    Args:
        egress: The egress that writes the run.
        seen: What was observed.
        now: Time of the decision.
    """
    due = _flush_due(egress, seen)
    return due if due is not None and due > now else None


def _flush_due(egress: Egress, seen: Observation) -> datetime | None:
    """Give from when on ending this run brings wanted media to the disk sooner (DESIGN §6.9), or None.

    A run is left alone for the length of a segment, so captures that come one upon the other share a flush.
    """
    until, begun = seen.flush_until, egress.media_started_at
    if until is None or begun is None or any(run.newest >= until for run in seen.coverage.runs.values()):
        return None
    return max(until - FLUSH_LEAD, begun + timedelta(seconds=seen.segment_seconds))


def has_new_track(wanted: RecordedPair, egress: Egress) -> bool:
    """Tell whether there is a track that a run does not record. One that has gone leaves silence or black.

    Args:
        wanted: The tracks that are there now.
        egress: The egress that writes the run.
    """
    return wanted.video not in (None, egress.video_track) or wanted.audio not in (None, egress.audio_track)


def max_age(buffer: ReplayBuffer, age: timedelta) -> timedelta:
    """Give the age at which this buffer's runs are renewed, the same at each look.

    Args:
        buffer: Whose runs.
        age: The setting.
    """
    share = (crc32(buffer.metadata.uid.encode()) % 1000) / 1000
    return age * (1 - SPREAD * share)


def is_clock_wrong(run: RunCoverage, age: timedelta, segment_seconds: int) -> bool:
    """Tell whether a run's newest segments arrived at a time that its own clock cannot explain.

    Args:
        run: What lies on disk of it.
        age: How long it has been recording.
        segment_seconds: Its segment length.
    """
    if run.ended:
        return False
    if not -CLOCK_AHEAD_MILLISECONDS <= run.clock_shift_milliseconds <= CLOCK_BEHIND_MILLISECONDS:
        return True
    if run.clock is not Clock.STARTED_AT or age < DRIFT_MIN_AGE:
        return False
    late = run.arrived_at - run.newest - timedelta(seconds=segment_seconds)
    return not -DRIFT_EARLY <= late <= DRIFT_LATE
