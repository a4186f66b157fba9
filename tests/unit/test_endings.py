"""A run that ended by itself: what the status says of it, and when the next one starts."""

from __future__ import annotations

from dataclasses import replace

import pytest

from replay_operator.api.replaybuffer import ReplayBuffer, ReplayBufferStatus
from replay_operator.domain.decision import Start
from replay_operator.domain.egress import Egress, EgressState, RecordedPair
from replay_operator.domain.endings import ending_of, is_source_closed
from replay_operator.domain.lifecycle import decide
from replay_operator.domain.observation import CoverageView, LiveKitView, Observation, SourceView, StartMemory
from replay_operator.domain.status_contract import BUFFER_CONTRACT, BufferState, conditions_of
from tests.builders import NOW, at, buffer, egress, run_coverage

PAIR = RecordedPair(video="TR_VC1", audio=None)
CPU = replace(egress(state=EgressState.COMPLETE), details="End reason: CPU exhausted")
KILLED = replace(egress(state=EgressState.FAILED), error="signal: killed", error_code=500)
CLOSED = replace(egress(state=EgressState.COMPLETE), details="End reason: Source closed")
STOPPED = replace(egress(state=EgressState.COMPLETE), details="End reason: StopEgress API")


def seen(ended: Egress | None, *, memory: StartMemory | None = None) -> Observation:
    return Observation(
        livekit=LiveKitView(asked_at=at(-0.1), ended=ended),
        source=SourceView(pair=PAIR, known=True),
        coverage=CoverageView(runs={"r1": run_coverage()}, known=True),
        segment_seconds=6,
        wanted_segment_seconds=6,
        runs={"EG_two": "r2"},
        prefix_of=lambda run: f"/buffer/{run}/seg",
        memory=memory or StartMemory(),
    )


def saying(state: BufferState, message: str) -> ReplayBuffer:
    """A buffer whose status says this."""
    plain = buffer()
    conditions = conditions_of(
        (), BUFFER_CONTRACT[state], reason=state.value, message=message, generation=1, now=NOW
    )
    status = ReplayBufferStatus(observed_generation=1, conditions=conditions)
    return plain.model_copy(update={"status": status})


@pytest.mark.parametrize(
    ("record", "state", "told"),
    [
        (CPU, BufferState.CPU_EXHAUSTED, "give the workers more CPU"),
        (KILLED, BufferState.EGRESS_FAILED, "signal: killed"),
        (CLOSED, BufferState.EGRESS_ENDED, "Source closed"),
        (STOPPED, BufferState.EGRESS_ENDED, "StopEgress API"),
        (replace(KILLED, details="End reason: Process killed"), BufferState.EGRESS_FAILED, "Process killed"),
        (replace(CPU, state=EgressState.ENDING), BufferState.CPU_EXHAUSTED, "give the workers more CPU"),
        (egress(state=EgressState.ABORTED), BufferState.EGRESS_ABORTED, "no reason given"),
        (egress(state=EgressState.LIMIT_REACHED), BufferState.EGRESS_LIMIT_REACHED, "session_limits"),
        (None, BufferState.EGRESS_ENDED, "does not say why"),
    ],
)
def test_each_way_to_end_has_its_own_reason(record: Egress | None, state: BufferState, told: str) -> None:
    ending = ending_of(record)
    assert ending.state is state
    assert told in ending.message


def test_a_run_that_recorded_and_ended_is_followed_at_once_by_another_and_the_status_says_why() -> None:
    decision = decide(buffer(), seen(CPU), NOW)
    assert decision.state is BufferState.CPU_EXHAUSTED
    assert decision.actions == (Start(PAIR),)


def test_a_run_that_ended_before_its_first_segment_is_waited_for_longer_each_time() -> None:
    memory, waits = StartMemory(), []
    now = NOW
    for _ in range(8):
        started = decide(buffer(), replace(seen(KILLED, memory=memory), livekit=listed(now)), now)
        assert started.actions == (Start(PAIR),)
        broke = decide(buffer(), replace(seen(KILLED, memory=started.memory), livekit=listed(now)), now)
        assert (broke.state, broke.actions) == (BufferState.EGRESS_FAILED, ())
        assert "signal: killed" in broke.message
        assert broke.recheck is not None
        waits.append((broke.recheck - now).total_seconds())
        memory, now = broke.memory, broke.recheck
    assert waits == [1, 2, 4, 8, 16, 32, 60, 60]


def listed(now: object) -> LiveKitView:
    return LiveKitView(asked_at=now, ended=KILLED)  # type: ignore[arg-type] # a datetime


def test_the_reason_stays_until_the_next_run_records_so_that_a_reader_sees_it() -> None:
    young = egress("EG_two", run="r2", started=-2)
    told = saying(BufferState.CPU_EXHAUSTED, "why")
    starting = replace(seen(CPU), livekit=LiveKitView(asked_at=at(-0.1), egresses=(young,)))
    decision = decide(told, starting, NOW)
    assert (decision.state, decision.message) == (BufferState.CPU_EXHAUSTED, "why")
    fresh = replace(starting, coverage=CoverageView(runs={"r2": run_coverage("r2")}, known=True))
    assert decide(told, fresh, NOW).state is BufferState.RECORDING


def test_a_reason_that_comes_late_is_told_while_the_next_run_starts() -> None:
    young = egress("EG_two", run="r2", started=-2)
    starting = replace(seen(CPU), livekit=LiveKitView(asked_at=at(-0.1), egresses=(young,), ended=CPU))
    assert decide(buffer(), starting, NOW).state is BufferState.CPU_EXHAUSTED


def test_a_source_that_closed_is_no_trouble() -> None:
    assert is_source_closed(CLOSED)
    assert is_source_closed(replace(CLOSED, state=EgressState.ENDING))
    assert not is_source_closed(CPU)
