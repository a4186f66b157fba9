"""The life of a ReplayBuffer: one pure decision from what is seen.

`observe -> decide -> act -> write status if it differs` (DESIGN §5). Everything that can be argued about is
in this file and its neighbours health, handover and starts; the controller only gathers and carries out.
"""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from datetime import datetime, timedelta

from replay_operator.api.meta import ConditionStatus, find_condition
from replay_operator.api.replaybuffer import ReplayBuffer
from replay_operator.domain.egress import Egress, EgressState, RecordedPair, datetime_to_ns
from replay_operator.domain.health import STALE_SLACK, Health, health_of
from replay_operator.domain.observation import Observation, StartFailure, StartMemory
from replay_operator.domain.renewal import reason_to_renew
from replay_operator.domain.starts import STATE_OF_FAILURE, after_failure, next_start
from replay_operator.domain.status_contract import RECORDING, BufferState

SOURCE_LOOKUP = timedelta(seconds=5)
"""How often a room is looked up for a source that is not there; webhooks make it sooner."""

HANDOVER_LOOK = timedelta(seconds=1)
STOP_LOOK = timedelta(seconds=10)

_RECORDING = "Segments arrive on the buffer volume."
_DIED = "No segment arrived any more: recording again."
_BROKE = "The egress ended before its first segment: see the log of the egress workers."
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


def needs_source(buffer: ReplayBuffer, seen: Observation, now: datetime) -> bool:
    """Tell whether the room must be looked up: when no healthy run answers, or one lacks a wished track."""
    wish = buffer.spec.source.participant
    if buffer.spec.suspend or wish is None:
        return False
    alive = _judge(seen, now).alive
    if not alive:
        return True
    # Of all, not of the newest: in a hand-over the old run's reason to go must stay visible.
    return any((wish.video and not e.video_track) or (wish.audio and not e.audio_track) for e in alive)


def decide(buffer: ReplayBuffer, seen: Observation, now: datetime) -> Decision:
    """Decide what to do for a buffer that exists.

    Args:
        buffer: The resource, with the status that was written last.
        seen: What was observed.
        now: Time of the decision.
    """
    if buffer.metadata.deletion_timestamp is not None or buffer.spec.suspend:
        stops = tuple(Stop(e, "the buffer is suspended") for e in seen.livekit.egresses)
        look_again = now + STOP_LOOK if stops else None  # a stop that failed changes no list, so wakes nobody
        message = "Recording is suspended by spec.suspend."
        return Decision(BufferState.SUSPENDED, message, stops, recheck=look_again)
    if seen.livekit.asked_at is None:
        return _without_livekit(buffer, seen, now)
    judged = _judge(seen, now)
    silent_only = judged.dead and not judged.alive and not seen.lost.issuperset(e.id for e in judged.dead)
    if silent_only and not seen.may_restart():
        return _many_silent(seen, judged, now)
    silent = [e for e in judged.dead if e.id not in seen.lost]
    lost = [e for e in judged.dead if e.id in seen.lost]
    if judged.alive:
        decision = _with_runs(buffer, seen, judged.alive, now)
    else:
        decision = _without_run(buffer, seen, now, died=bool(judged.dead))
    # A silent one is stopped first, to free its place. LiveKit takes 3 s to find a lost one's worker silent.
    first = tuple(Stop(e, "no segment arrives any more") for e in silent)
    last = tuple(Stop(e, "its worker is gone") for e in lost)
    return replace(decision, actions=(*first, *decision.actions, *last))


@dataclass(frozen=True, slots=True)
class _Judged:
    """A buffer's egresses, oldest first."""

    alive: tuple[Egress, ...]
    dead: tuple[Egress, ...]


def _judge(seen: Observation, now: datetime) -> _Judged:
    by_age = sorted(seen.livekit.egresses, key=lambda e: (e.started_at_ns, e.id))
    dead = tuple(e for e in by_age if health_of(e, seen, now)[0] is Health.STALE)
    return _Judged(alive=tuple(e for e in by_age if e not in dead), dead=dead)


def _many_silent(seen: Observation, judged: _Judged, now: datetime) -> Decision:
    """Touch nothing for a moment: so many runs fell silent at once that the cause is elsewhere."""
    return Decision(
        BufferState.UNCERTAIN,
        "Many recordings fell silent at once: one common cause is likely, so they are restarted one by one. "
        "Check the buffer volume and the agent.",
        current=judged.dead[0],
        memory=seen.memory,
        recheck=now + STALE_SLACK,
    )


def _with_runs(buffer: ReplayBuffer, seen: Observation, alive: tuple[Egress, ...], now: datetime) -> Decision:
    """Keep one run, or hand over from the oldest to its successor: make before break (DESIGN §6.5).

    Whether two egresses are a hand-over or a mistake needs no memory: the older is kept, unless there is a
    reason to renew it.
    """
    keeper, *others = alive
    pair, known = _wanted(buffer, seen)
    wanted = pair if known else None
    reason = reason_to_renew(buffer, keeper, seen, wanted, now)
    if reason is None:
        doubles = tuple(Stop(e, "a second egress of the same buffer") for e in others)
        return replace(_with_run(buffer, seen, keeper, now), actions=doubles)
    unfit = [e for e in others if reason_to_renew(buffer, e, seen, wanted, now) is not None]
    fit = [e for e in others if e not in unfit]
    stops = tuple(Stop(e, f"it would have to be renewed at once: {reason}") for e in (*unfit, *fit[1:]))
    if not fit:
        return _begin_handover(buffer, seen, keeper, now, stops=stops, reason=reason)
    successor = fit[0]
    if health_of(successor, seen, now)[0] is Health.FRESH:
        done = Stop(keeper, f"{successor.id} has taken over: {reason}")
        return replace(_with_run(buffer, seen, successor, now), actions=(*stops, done))
    decision = _with_run(buffer, seen, keeper, now)
    return replace(decision, actions=stops, memory=seen.memory, recheck=now + HANDOVER_LOOK)


def _begin_handover(
    buffer: ReplayBuffer,
    seen: Observation,
    keeper: Egress,
    now: datetime,
    *,
    stops: tuple[Stop, ...],
    reason: str,
) -> Decision:
    """Start the successor while the old run goes on. A failure to do so costs nothing but another try."""
    decision = _with_run(buffer, seen, keeper, now)
    if stops:  # LiveKit picks the worker, and picked one that cannot keep it: wait before asking again
        memory = after_failure(seen.memory, StartFailure.SAME_WORKER, reason, now, outcome_unknown=False)
        return replace(decision, actions=stops, memory=memory, recheck=memory.retry_at)
    look_again = next_start(seen, now)
    if look_again is not None:
        return replace(decision, memory=seen.memory, recheck=look_again)
    if seen.memory.begun:
        memory = after_failure(seen.memory, StartFailure.RUN_DIED, _BROKE, now, outcome_unknown=False)
        return replace(decision, memory=memory, recheck=memory.retry_at)
    pair, known = _wanted(buffer, seen)
    if not known or pair is None:
        pair = RecordedPair(video=keeper.video_track, audio=keeper.audio_track)
    return replace(decision, actions=(Start(pair),), memory=replace(seen.memory, begun=True))


def _with_run(buffer: ReplayBuffer, seen: Observation, current: Egress, now: datetime) -> Decision:
    health, look_again = health_of(current, seen, now)
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
        if health_of(current, named, now)[0] is not Health.STALE:
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
    if seen.refusal is not None:
        return Decision(BufferState.WAITING_FOR_ADMISSION, seen.refusal, recheck=now + SOURCE_LOOKUP)
    look_again = next_start(seen, now)
    if look_again is not None and seen.memory.failure is not None:
        state = STATE_OF_FAILURE[seen.memory.failure]
        return Decision(state, seen.memory.message, memory=seen.memory, recheck=look_again)
    return _start(seen, pair, now, died=died)


def _start(seen: Observation, pair: RecordedPair, now: datetime, *, died: bool) -> Decision:
    """Start a run, at once unless the last one broke so early that the next one surely will."""
    if not died and not seen.memory.begun:
        memory = replace(seen.memory, begun=True)
        return Decision(BufferState.STARTING, _STARTING, (Start(pair),), memory=memory)
    message = _DIED if died else _BROKE
    memory = after_failure(seen.memory, StartFailure.RUN_DIED, message, now, outcome_unknown=False)
    if died:
        memory = replace(memory, begun=True)
        return Decision(BufferState.RESTARTING, message, (Start(pair),), memory=memory)
    return Decision(BufferState.RESTARTING, message, memory=memory, recheck=memory.retry_at)


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


def after_failed_start(decision: Decision, memory: StartMemory) -> Decision:
    """Turn a decision whose start has failed into the wait that follows.

    A hand-over whose start failed goes on recording: only a buffer without a run waits visibly.

    Args:
        decision: What was decided.
        memory: What `after_failure` remembers of the failure.
    """
    if memory.failure is None or decision.current is not None:
        return replace(decision, memory=memory, recheck=memory.retry_at)
    return replace(
        decision,
        state=STATE_OF_FAILURE[memory.failure],
        message=memory.message,
        memory=memory,
        recheck=memory.retry_at,
    )
