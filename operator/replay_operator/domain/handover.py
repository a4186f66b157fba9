"""A buffer that has a run: keep it, or hand over to the next one, make before break (DESIGN §6.5)."""

from __future__ import annotations

from dataclasses import replace
from datetime import datetime, timedelta

from replay_operator.api.meta import Condition, ConditionStatus, find_condition
from replay_operator.api.replaybuffer import ReplayBuffer
from replay_operator.domain.decision import Decision, Start, Stop
from replay_operator.domain.egress import Egress, RecordedPair, pair_of
from replay_operator.domain.endings import ending_of
from replay_operator.domain.health import Health, health_of, stale_limit
from replay_operator.domain.observation import Observation
from replay_operator.domain.renewal import FLUSH, has_new_track, next_flush, reason_to_renew
from replay_operator.domain.starts import after_failure, all_is_well, next_start
from replay_operator.domain.status_contract import RECORDING, RESTARTS, BufferState

HANDOVER_LOOK = timedelta(seconds=1)
FLUSH_LOOK = timedelta(seconds=0.3)
FLUSH_OVERLAP = timedelta(seconds=1)
"""For how long both runs record before the old one is stopped to be flushed (DESIGN §6.9)."""

STARTING = "Egress is starting; the first segment is on its way."  # one text before and after: one write
_RECORDING = "Segments arrive on the buffer volume."


def with_runs(buffer: ReplayBuffer, seen: Observation, alive: tuple[Egress, ...], now: datetime) -> Decision:
    """Keep one run, or hand over from the oldest to its successor.

    Whether two egresses are a hand-over or a mistake needs no memory: the older is kept, unless there is a
    reason to renew it, or it is nothing but an entry in LiveKit's list.

    Args:
        buffer: The resource, with the status that was written last.
        seen: What was observed.
        alive: Its egresses that are not dead, oldest first.
        now: Time of the decision.
    """
    keeper, *others = _oldest_first(buffer, seen, alive, now)
    wanted = seen.source.pair if seen.source.known else None
    reason = reason_to_renew(buffer, keeper, seen, wanted, now)
    if reason is None:
        # Without a word about the source nobody knows whether another pair of tracks is a mistake.
        doubles = [e for e in others if seen.source.known or pair_of(e) == pair_of(keeper)]
        if not _is_real(keeper, seen, now):
            doubles = []
        stops = tuple(Stop(e, "a second egress of the same buffer") for e in doubles)
        decision = replace(with_run(buffer, seen, keeper, now), actions=stops)
        return _looked_at_by(decision, next_flush(keeper, seen, now))
    fit = [e for e in others if reason_to_renew(buffer, e, seen, wanted, now) is None]
    # Of use at once, though it must be renewed in its turn. To stop it first would stop the recording.
    better = [e for e in others if e not in fit and _is_better(e, keeper, seen, wanted, now)]
    candidates = (*fit[:1], *better[:1])
    stops = tuple(
        Stop(e, f"{keeper.id} is handed over ({reason}), and this run would have to be too")
        for e in others
        if e not in candidates
    )
    if not candidates:
        return _begin(buffer, seen, keeper, now, stops=stops, reason=reason)
    successor = next((e for e in candidates if _may_take_over(e, seen, reason, now)), None)
    if successor is not None:
        done = Stop(keeper, f"{successor.id} has taken over: {reason}")
        # It has frames, so its start is no open question any more: not to the next flush either.
        memory = replace(seen.memory, begun=False)
        return replace(with_run(buffer, seen, successor, now), actions=(*stops, done), memory=memory)
    decision = with_run(buffer, seen, keeper, now)
    look = FLUSH_LOOK if reason == FLUSH else HANDOVER_LOOK
    return _looked_at_by(replace(decision, actions=stops, memory=seen.memory), now + look)


def _oldest_first(
    buffer: ReplayBuffer, seen: Observation, alive: tuple[Egress, ...], now: datetime
) -> tuple[Egress, ...]:
    """Put the run that is to be kept first: the oldest of those that surely exist.

    LiveKit lists the egress of a dead worker for ever. While nobody knows the files, one that has long been
    dead looks alive: then the run that the status names is kept.
    """
    named = buffer.status.egress
    if not seen.coverage.known and named is not None:
        return tuple(sorted(alive, key=lambda egress: egress.id != named.id))
    return tuple(sorted(alive, key=lambda egress: not _is_real(egress, seen, now)))


def _is_real(egress: Egress, seen: Observation, now: datetime) -> bool:
    """Tell whether an egress is more than an entry in LiveKit's list: a worker holds it, or it writes."""
    return egress.id in seen.workers or health_of(egress, seen, now)[0] is Health.FRESH


def _looked_at_by(decision: Decision, moment: datetime | None) -> Decision:
    """Make a decision be looked at again at a time, if it is not sooner anyway."""
    if moment is None or (decision.recheck is not None and decision.recheck <= moment):
        return decision
    return replace(decision, recheck=moment)


def _is_better(
    other: Egress, keeper: Egress, seen: Observation, wanted: RecordedPair | None, now: datetime
) -> bool:
    """Tell whether a run does more than the one that is kept: it has a segment, or the tracks of now."""
    if health_of(other, seen, now)[0] is Health.FRESH:
        return True
    return wanted is not None and has_new_track(wanted, keeper) and not has_new_track(wanted, other)


def _may_take_over(successor: Egress, seen: Observation, reason: str, now: datetime) -> bool:
    """Tell whether the old run may be stopped: the successor has a segment, or frames to flush."""
    if health_of(successor, seen, now)[0] is Health.FRESH:
        return True
    begun, until = successor.media_started_at, seen.flush_until
    if reason != FLUSH or begun is None or until is None:
        return False
    return now >= max(begun + FLUSH_OVERLAP, until)


def _begin(
    buffer: ReplayBuffer,
    seen: Observation,
    keeper: Egress,
    now: datetime,
    *,
    stops: tuple[Stop, ...],
    reason: str,
) -> Decision:
    """Start the successor while the old run goes on. A failure to do so costs nothing but another try."""
    decision = with_run(buffer, seen, keeper, now)
    if stops:  # LiveKit picks the worker, and picked one that cannot keep it: wait before asking again
        memory = after_failure(
            seen.memory, BufferState.WAITING_FOR_CAPACITY, reason, now, outcome_unknown=False
        )
        return _looked_at_by(replace(decision, actions=stops, memory=memory), memory.retry_at)
    look_again = next_start(seen, now)
    if look_again is not None:
        return _looked_at_by(replace(decision, memory=seen.memory), look_again)
    if seen.memory.begun:
        ending = ending_of(seen.livekit.ended)
        memory = after_failure(seen.memory, ending.state, ending.message, now, outcome_unknown=False)
        return _looked_at_by(replace(decision, memory=memory), memory.retry_at)
    pair = seen.source.pair or pair_of(keeper)
    return replace(decision, actions=(Start(pair),), memory=replace(seen.memory, begun=True))


def with_run(buffer: ReplayBuffer, seen: Observation, current: Egress, now: datetime) -> Decision:
    """Say what one run that is not dead means for its buffer.

    Args:
        buffer: The resource, with the status that was written last.
        seen: What was observed.
        current: The egress that writes the run.
        now: Time of the decision.
    """
    health, look_again = health_of(current, seen, now)
    said = find_condition(buffer.status.conditions, RECORDING)
    unheard = health is Health.UNKNOWN and _is_recording(buffer, current, said)
    fresh_until = _predecessor_fresh_until(seen, said, now)
    if health is Health.STARTING and fresh_until is not None:
        return Decision(
            BufferState.RECORDING,
            _RECORDING,
            current=current,
            memory=seen.memory,
            recheck=min(look_again, fresh_until),
        )
    if health is Health.FRESH or (unheard and not seen.coverage.given_up):
        return Decision(
            BufferState.RECORDING, _RECORDING, current=current, memory=all_is_well(seen), recheck=look_again
        )
    if unheard:
        return Decision(
            BufferState.UNCERTAIN,
            "The agent does not answer, so nobody can say whether segments arrive: check the agent's pod.",
            current=current,
            memory=seen.memory,
            recheck=look_again,
        )
    state, message = BufferState.STARTING, STARTING
    ended = seen.livekit.ended
    if ended is not None and ended.id != current.id:  # a reader wants to know why it had to start again
        state, message = ending_of(ended).state, ending_of(ended).message
    elif said is not None and said.reason in RESTARTS:
        state, message = BufferState(said.reason), said.message
    return Decision(state, message, current=current, memory=seen.memory, recheck=look_again)


def _predecessor_fresh_until(seen: Observation, said: Condition | None, now: datetime) -> datetime | None:
    """Give until when a recording goes on in a run without a segment: its predecessor's last one is fresh."""
    if said is None or said.status is not ConditionStatus.TRUE:
        return None
    behind = now - (seen.coverage.as_of or now)
    arrived = max((run.arrived_at for run in seen.coverage.runs.values()), default=None)
    until = arrived + stale_limit(seen.segment_seconds) + behind if arrived is not None else None
    return max(until, now + HANDOVER_LOOK) if until is not None and until >= now else None


def _is_recording(buffer: ReplayBuffer, egress: Egress, said: Condition | None) -> bool:
    """Tell whether the status says of this very egress that it records, or that nobody knows."""
    return (
        said is not None
        and said.status is not ConditionStatus.FALSE
        and buffer.status.egress is not None
        and buffer.status.egress.id == egress.id
    )
