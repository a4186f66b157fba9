"""The life of a ReplayBuffer: one pure decision from what is seen.

`observe -> decide -> act -> write status if it differs` (DESIGN §5). Everything that can be argued about is
in this file; the controller only gathers and carries out.
"""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from datetime import datetime, timedelta
from enum import StrEnum

from replay_operator.api.agent import RunCoverage
from replay_operator.api.meta import ConditionStatus, find_condition
from replay_operator.api.replaybuffer import ReplayBuffer
from replay_operator.domain.egress import Egress, EgressState, RecordedPair, datetime_to_ns
from replay_operator.domain.observation import Observation, StartFailure, StartMemory
from replay_operator.domain.status_contract import RECORDING, BufferState

STALE_AFTER_SEGMENTS = 2
STALE_SLACK = timedelta(seconds=3)
"""A run without a new segment for 2 x segmentSeconds + 3 s is dead (DESIGN §6.3)."""

FIRST_SEGMENT_SLACK = timedelta(seconds=12)
"""The first segment needs 2 x segmentSeconds + 0.65 s, 10 s more on a muted start
(livekit-measured §2, §3)."""

START_SETTLES = timedelta(seconds=30)
"""A start whose answer was lost can still come true for 27 s (livekit-measured §3)."""

MAX_BACKOFF = timedelta(seconds=60)

SOURCE_LOOKUP = timedelta(seconds=5)
"""How often a room is looked up for a source that is not there; webhooks make it sooner."""

_RECORDING = "Segments arrive on the buffer volume."
_STARTING = "Egress is starting; the first segment is on its way."  # one text before and after: one write


@dataclass(frozen=True, slots=True)
class Start:
    """Start a new run of these tracks."""

    pair: RecordedPair


@dataclass(frozen=True, slots=True)
class Stop:
    """Stop an egress."""

    egress: Egress
    why: str


Action = Start | Stop


@dataclass(frozen=True, slots=True)
class Decision:
    """What to do now, and what to say.

    `recheck` is when the decision must be made again though nothing has been heard.
    """

    state: BufferState
    message: str
    actions: tuple[Action, ...] = ()
    current: Egress | None = None
    memory: StartMemory = field(default_factory=StartMemory)
    recheck: datetime | None = None


class Health(StrEnum):
    """What the files say about a run: the only proof of life (DESIGN §6.3)."""

    STARTING = "Starting"
    FRESH = "Fresh"
    STALE = "Stale"
    UNKNOWN = "Unknown"


def stale_limit(segment_seconds: int) -> timedelta:
    """Give how long a live run may go without a new segment."""
    return timedelta(seconds=STALE_AFTER_SEGMENTS * segment_seconds) + STALE_SLACK


def run_health(
    egress: Egress, run: RunCoverage | None, *, known: bool, segment_seconds: int, now: datetime
) -> tuple[Health, datetime]:
    """Judge a run by its files, and say when the judgement must be looked at again.

    Args:
        egress: The egress that writes the run.
        run: What lies on disk of it.
        known: Whether the agent's word is complete and recent.
        segment_seconds: Segment length of the run.
        now: Time of the decision.
    """
    if not known:
        return Health.UNKNOWN, now + STALE_SLACK
    if run is not None:
        limit = run.arrived_at + stale_limit(segment_seconds)
        return (Health.FRESH if now <= limit else Health.STALE), limit
    begun = egress.media_started_at or datetime.fromtimestamp(egress.started_at_ns / 1e9, tz=now.tzinfo)
    limit = begun + timedelta(seconds=STALE_AFTER_SEGMENTS * segment_seconds) + FIRST_SEGMENT_SLACK
    return (Health.STARTING if now <= limit else Health.STALE), limit


def needs_source(buffer: ReplayBuffer, seen: Observation, now: datetime) -> bool:
    """Tell whether the room must be looked up: only when no healthy run answers the question."""
    if buffer.spec.suspend or buffer.spec.source.participant is None:
        return False
    return not _judge(seen, now).alive


def decide(buffer: ReplayBuffer, seen: Observation, now: datetime) -> Decision:
    """Decide what to do for a buffer that exists.

    Args:
        buffer: The resource, with the status that was written last.
        seen: What was observed.
        now: Time of the decision.
    """
    if buffer.metadata.deletion_timestamp is not None or buffer.spec.suspend:
        stops = tuple(Stop(e, "the buffer is suspended") for e in seen.livekit.egresses)
        return Decision(BufferState.SUSPENDED, "Recording is suspended by spec.suspend.", stops)
    if seen.livekit.asked_at is None:
        return _without_livekit(buffer, seen, now)
    judged = _judge(seen, now)
    stops = tuple(Stop(e, "no segment arrives any more") for e in judged.dead)
    if judged.alive:
        current, *doubles = judged.alive
        stops += tuple(Stop(e, "a second egress of the same buffer") for e in doubles)
        decision = _with_run(buffer, seen, current, now)
    else:
        decision = _without_run(buffer, seen, now, died=bool(judged.dead))
    return replace(decision, actions=(*stops, *decision.actions))


@dataclass(frozen=True, slots=True)
class _Judged:
    """A buffer's egresses, oldest first. The older of two living ones is kept: it holds more."""

    alive: tuple[Egress, ...]
    dead: tuple[Egress, ...]


def _judge(seen: Observation, now: datetime) -> _Judged:
    by_age = sorted(seen.livekit.egresses, key=lambda e: (e.started_at_ns, e.id))
    dead = tuple(e for e in by_age if _health(e, seen, now)[0] is Health.STALE)
    return _Judged(alive=tuple(e for e in by_age if e not in dead), dead=dead)


def _health(current: Egress, seen: Observation, now: datetime) -> tuple[Health, datetime]:
    return run_health(
        current,
        seen.coverage.runs.get(seen.runs.get(current.id, "")),
        known=seen.coverage.known,
        segment_seconds=seen.segment_seconds,
        now=now,
    )


def _with_run(buffer: ReplayBuffer, seen: Observation, current: Egress, now: datetime) -> Decision:
    health, look_again = _health(current, seen, now)
    was_recording = _is_recording(buffer, current)
    unheard = health is Health.UNKNOWN and was_recording
    if health is Health.FRESH or (unheard and not seen.coverage.given_up):
        return Decision(BufferState.RECORDING, _RECORDING, current=current, recheck=look_again)
    if unheard:
        return Decision(
            BufferState.UNCERTAIN,
            "The agent does not answer, so nobody can say whether segments arrive: check the agent's pod.",
            current=current,
            memory=seen.memory,
            recheck=look_again,
        )
    return Decision(BufferState.STARTING, _STARTING, current=current, memory=seen.memory, recheck=look_again)


def _is_recording(buffer: ReplayBuffer, egress: Egress) -> bool:
    """Tell whether the status says of this very egress that it records, or that nobody knows."""
    said = find_condition(buffer.status.conditions, RECORDING)
    return (
        said is not None
        and said.status is not ConditionStatus.FALSE
        and buffer.status.egress is not None
        and buffer.status.egress.id == egress.id
    )


def _without_livekit(buffer: ReplayBuffer, seen: Observation, now: datetime) -> Decision:
    """Say what the files say: LiveKit that is away does not stop a worker from recording."""
    remembered = buffer.status.egress
    if remembered is not None:
        current = Egress(
            id=remembered.id,
            room=buffer.spec.room,
            state=EgressState.ACTIVE,
            filename_prefix=seen.prefix_of(remembered.run),
            media_started_at_ns=datetime_to_ns(remembered.started_at) if remembered.started_at else 0,
            video_track=buffer.status.tracks.video if buffer.status.tracks else None,
            audio_track=buffer.status.tracks.audio if buffer.status.tracks else None,
        )
        named = replace(seen, runs={remembered.id: remembered.run})
        if _health(current, named, now)[0] is not Health.STALE:
            return _with_run(buffer, named, current, now)
    return Decision(
        BufferState.WAITING_FOR_LIVEKIT,
        "LiveKit has not answered yet: check LIVEKIT_URL, its keys and the network.",
        memory=seen.memory,
        recheck=now + timedelta(seconds=1),
    )


def _without_run(buffer: ReplayBuffer, seen: Observation, now: datetime, *, died: bool) -> Decision:
    pair, known = _wanted(buffer, seen)
    if not known:
        return Decision(
            BufferState.WAITING_FOR_LIVEKIT,
            "LiveKit does not say who is in the room: check that it is reachable.",
            memory=seen.memory,
            recheck=now + STALE_SLACK,
        )
    if pair is None:
        return _source_gone(buffer, seen, now)
    waiting = _must_wait(seen, now)
    if waiting is not None:
        return waiting
    if not died:
        return Decision(BufferState.STARTING, _STARTING, (Start(pair),), memory=seen.memory)
    message = "No segment arrived any more: recording again."
    memory = after_failure(seen.memory, StartFailure.RUN_DIED, message, now, outcome_unknown=False)
    return Decision(BufferState.RESTARTING, message, (Start(pair),), memory=memory)


def _wanted(buffer: ReplayBuffer, seen: Observation) -> tuple[RecordedPair | None, bool]:
    fixed = buffer.spec.source.tracks
    if fixed is not None:
        return RecordedPair(video=fixed.video, audio=fixed.audio), True
    return seen.source.pair, seen.source.known


def _source_gone(buffer: ReplayBuffer, seen: Observation, now: datetime) -> Decision:
    if seen.coverage.runs or buffer.status.window is not None:
        message = "The source has gone; what was recorded stays for keepAfterEndSeconds."
        return Decision(BufferState.SOURCE_GONE, message, recheck=now + SOURCE_LOOKUP)
    message = "Nobody publishes the wanted tracks yet; recording starts by itself when they appear."
    return Decision(BufferState.WAITING_FOR_SOURCE, message, recheck=now + SOURCE_LOOKUP)


_WAITING = {
    StartFailure.NO_CAPACITY: BufferState.WAITING_FOR_CAPACITY,
    StartFailure.STORAGE: BufferState.WAITING_FOR_STORAGE,
    StartFailure.LIVEKIT: BufferState.WAITING_FOR_LIVEKIT,
    StartFailure.REFUSED: BufferState.REFUSED,
    StartFailure.RUN_DIED: BufferState.RESTARTING,
}


def _must_wait(seen: Observation, now: datetime) -> Decision | None:
    memory, asked_at = seen.memory, seen.livekit.asked_at
    if memory.failure is None:
        return None
    state = _WAITING[memory.failure]
    if memory.retry_at is not None and now < memory.retry_at:
        return Decision(state, memory.message, memory=memory, recheck=memory.retry_at)
    needed = memory.list_needed_after
    if needed is not None and (asked_at is None or asked_at <= needed):
        return Decision(state, memory.message, memory=memory, recheck=max(now, needed) + STALE_SLACK)
    return None


def after_failure(
    memory: StartMemory, failure: StartFailure, message: str, now: datetime, *, outcome_unknown: bool
) -> StartMemory:
    """Remember that a start brought nothing: wait twice as long as last time, a minute at most.

    Args:
        memory: What was remembered.
        failure: What kind of failure.
        message: Sentence for the status.
        now: When it failed.
        outcome_unknown: Whether an egress may have been made all the same.
    """
    failures = memory.failures + 1
    backoff = min(MAX_BACKOFF, timedelta(seconds=2 ** min(failures - 1, 6)))
    return StartMemory(
        failures=failures,
        retry_at=now + backoff,
        list_needed_after=now + START_SETTLES if outcome_unknown else now,
        failure=failure,
        message=message,
    )


def waiting_after(decision: Decision, memory: StartMemory) -> Decision:
    """Turn a decision whose start has failed into the wait that follows.

    Args:
        decision: What was decided.
        memory: What `after_failure` remembers of the failure.
    """
    if memory.failure is None:
        return replace(decision, memory=memory)
    return replace(
        decision,
        state=_WAITING[memory.failure],
        message=memory.message,
        memory=memory,
        recheck=memory.retry_at,
    )
