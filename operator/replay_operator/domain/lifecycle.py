"""The life of a ReplayBuffer: one pure decision from what is seen.

`observe -> decide -> act -> write status if it differs` (DESIGN §5). Everything that can be argued about is
in this file and its neighbours health, handover and starts; the controller only gathers and carries out.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from datetime import datetime, timedelta

from replay_operator.api.meta import Condition, find_condition
from replay_operator.api.replaybuffer import ReplayBuffer
from replay_operator.domain.decision import Decision, Start, Stop
from replay_operator.domain.egress import Egress, EgressState, RecordedPair, datetime_to_ns, pair_of
from replay_operator.domain.endings import LOST, SILENT, Ending, ending_of
from replay_operator.domain.handover import STARTING, with_run, with_runs
from replay_operator.domain.health import STALE_SLACK, Health, health_of
from replay_operator.domain.observation import Observation
from replay_operator.domain.renewal import reason_to_renew
from replay_operator.domain.starts import after_failure, all_is_well, next_start
from replay_operator.domain.status_contract import FINAL, RECORDING, BufferState

SOURCE_LOOKUP = timedelta(seconds=5)
"""How often a room is looked up for a source that is not there; webhooks make it sooner."""

GONE_FOR_GOOD = timedelta(seconds=10)
"""How long fixed tracks must be missing: one answer may come from a LiveKit that has just started."""

STOP_LOOK = timedelta(seconds=10)


def needs_source(buffer: ReplayBuffer, seen: Observation, now: datetime) -> bool:
    """Tell whether the room must be looked up.

    That is when no healthy run answers, one lacks a wished track or is about to be renewed, or when something
    is said to have changed there.
    """
    if buffer.spec.suspend:
        return False
    alive = _judge(seen, now).alive
    if not alive:
        return _final_word(buffer) is None
    if len({pair_of(e) for e in alive}) > 1:  # which of them records what is there now?
        return True
    wish = buffer.spec.source.participant
    if wish is None:
        return False
    if seen.source_due or any(reason_to_renew(buffer, e, seen, None, now) for e in alive):
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
    silent = [e for e in judged.dead if e.id not in seen.lost]
    lost = [e for e in judged.dead if e.id in seen.lost]
    if judged.alive:
        decision = with_runs(buffer, seen, judged.alive, now)
    elif (unlisted := _forgotten_but_writing(buffer, seen, now)) is not None:
        decision = unlisted
    elif silent and not seen.may_restart():
        return _many_silent(seen, silent[0], now)
    else:
        dead = SILENT if silent else LOST if lost else None
        decision = _without_run(buffer, seen, now, dead=dead)
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


def _many_silent(seen: Observation, current: Egress, now: datetime) -> Decision:
    """Touch nothing for a moment: so many runs fell silent at once that the cause is elsewhere."""
    return Decision(
        BufferState.UNCERTAIN,
        "Many recordings fell silent at once: one common cause is likely, so they are restarted one by one. "
        "Check the buffer volume and the agent.",
        current=current,
        memory=seen.memory,
        recheck=now + STALE_SLACK,
    )


def _without_livekit(buffer: ReplayBuffer, seen: Observation, now: datetime) -> Decision:
    """Say what the files say: LiveKit that is away does not stop a worker from recording."""
    current, named = _remembered(buffer, seen)
    if current is not None and health_of(current, named, now)[0] is not Health.STALE:
        return with_run(buffer, named, current, now)
    final = _final_word(buffer)
    if final is not None:
        return Decision(BufferState(final.reason), final.message)
    return Decision(
        BufferState.WAITING_FOR_LIVEKIT,
        "LiveKit has not answered yet: check LIVEKIT_URL, its keys and the network.",
        memory=seen.memory,
        recheck=now + timedelta(seconds=1),
    )


def _forgotten_but_writing(buffer: ReplayBuffer, seen: Observation, now: datetime) -> Decision | None:
    """Go on with a run that LiveKit does not know of while its segments arrive: the files have the last word.

    A LiveKit that has lost its memory may know of the room before it knows of its egresses: a start in
    between would be a second recording.
    """
    current, named = _remembered(buffer, seen)
    if current is None or current.id not in seen.livekit.forgotten:
        return None
    run = seen.coverage.runs.get(named.runs[current.id])
    if run is None or run.ended or health_of(current, named, now)[0] is not Health.FRESH:
        return None
    return with_run(buffer, named, current, now)


def _remembered(buffer: ReplayBuffer, seen: Observation) -> tuple[Egress | None, Observation]:
    """Give the egress that the status names, and the observation with its run in it."""
    remembered = buffer.status.egress
    if remembered is None:
        return None, seen
    current = Egress(
        id=remembered.id,
        room=buffer.spec.room,
        state=EgressState.ACTIVE,
        filename_prefix=seen.prefix_of(remembered.run),
        media_started_at_ns=datetime_to_ns(remembered.started_at) if remembered.started_at else 0,
        video_track=buffer.status.tracks.video if buffer.status.tracks else None,
        audio_track=buffer.status.tracks.audio if buffer.status.tracks else None,
    )
    return current, replace(seen, runs={**seen.runs, remembered.id: remembered.run})


def _without_run(buffer: ReplayBuffer, seen: Observation, now: datetime, *, dead: Ending | None) -> Decision:
    final = _final_word(buffer)
    if final is not None:
        return Decision(BufferState(final.reason), final.message)
    if not seen.source.known:
        return Decision(
            BufferState.WAITING_FOR_LIVEKIT,
            "LiveKit does not say who is in the room: check that it is reachable.",
            memory=seen.memory,
            recheck=now + STALE_SLACK,
        )
    if seen.source.pair is None:
        return _source_gone(buffer, seen, now)
    if seen.refusal is not None:
        return Decision(BufferState.WAITING_FOR_ADMISSION, seen.refusal, recheck=now + SOURCE_LOOKUP)
    look_again = next_start(seen, now)
    if look_again is not None:
        state, message = seen.memory.failure or BufferState.STARTING, seen.memory.message or STARTING
        return Decision(state, message, memory=seen.memory, recheck=look_again)
    return _start(seen, seen.source.pair, now, dead=dead)


def _start(seen: Observation, pair: RecordedPair, now: datetime, *, dead: Ending | None) -> Decision:
    """Start a run, at once unless the last one broke so early that the next one surely will."""
    memory = replace(seen.memory, gone_since=None)
    if dead is not None:
        memory = after_failure(memory, dead.state, dead.message, now, outcome_unknown=False)
        return Decision(dead.state, dead.message, (Start(pair),), memory=replace(memory, begun=True))
    ending = ending_of(seen.livekit.ended)
    if memory.begun:
        memory = after_failure(memory, ending.state, ending.message, now, outcome_unknown=False)
        return Decision(ending.state, ending.message, memory=memory, recheck=memory.retry_at)
    begun = replace(memory, begun=True)
    if seen.livekit.ended is not None:
        return Decision(ending.state, ending.message, (Start(pair),), memory=begun)
    return Decision(BufferState.STARTING, STARTING, (Start(pair),), memory=begun)


def _source_gone(buffer: ReplayBuffer, seen: Observation, now: datetime) -> Decision:
    recorded = bool(seen.coverage.runs) or buffer.status.window is not None
    memory = all_is_well(seen)
    if buffer.spec.source.tracks is not None:
        gone_since = seen.memory.gone_since or now
        if now - gone_since >= GONE_FOR_GOOD:
            return _gone_for_good(recorded=recorded)
        memory = replace(memory, gone_since=gone_since)
    if recorded:
        state, message = (
            BufferState.SOURCE_GONE,
            "The source has gone; what was recorded stays for keepAfterEndSeconds.",
        )
    else:
        state = BufferState.WAITING_FOR_SOURCE
        message = "Nobody publishes the wanted tracks yet; recording starts by itself when they appear."
    return Decision(state, message, memory=memory, recheck=now + SOURCE_LOOKUP)


def _gone_for_good(*, recorded: bool) -> Decision:
    if recorded:
        return Decision(
            BufferState.ENDED,
            "The fixed tracks are no longer published, and LiveKit never gives an id twice: nothing more "
            "will be recorded. What was recorded stays for keepAfterEndSeconds.",
        )
    return Decision(
        BufferState.TRACK_NOT_FOUND,
        "Nobody in the room publishes the tracks that spec.source.tracks names: correct the ids, or name the "
        "participant with spec.source.participant, which follows every publication.",
    )


def _final_word(buffer: ReplayBuffer) -> Condition | None:
    """Give what was said when this generation of the buffer ended for good, or None."""
    said = find_condition(buffer.status.conditions, RECORDING)
    if said is None or said.reason not in FINAL or said.observed_generation != buffer.metadata.generation:
        return None
    return said
