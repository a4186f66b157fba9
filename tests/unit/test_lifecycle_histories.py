"""Histories of a buffer's life that nobody wrote: faults in any order, and what must hold at every second.

The operator's real parts decide and act; world.py is everything else. Bounds are counted from the last fault.
"""

from __future__ import annotations

from typing import Any

from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, precondition, rule

from replay_operator.api.meta import ConditionStatus, find_condition
from replay_operator.api.replaybuffer import ReplayBuffer
from replay_operator.domain.health import stale_limit
from replay_operator.domain.status_contract import RECORDING, BufferState
from tests.unit.simulated_operator import SimulatedOperator
from tests.unit.world import SEGMENT_SECONDS, LostStart, Record, World

RESTART_SECONDS = 5.0

RECOVERY_SECONDS = 150.0
"""A back-off of 60 s and a start of 30 s that were under way, one back-off of the list (15 s), a run that
must be found dead (24 s) and the first segment of the next (13 s)."""

CLEAN_SECONDS = 60.0
"""A stop whose answer was lost is believed for 40 s; a back-off of the list is 15 s."""

HANDOVER_SECONDS = 45.0
"""The successor's first segment comes after 13 s; one that brings none is dead after 24 s, and the list that
shows a surplus one is up to 15 s old."""

PATIENCE_SECONDS = 41.0
"""The agent's word counts for 10 s, and its silence is borne until 30 s after it; a look takes a while."""

NOTICE_SECONDS = 6.0
"""Between the limit and the status lie one look at the files and one stop that a dead worker lets wait."""

STARTS_IN_A_MINUTE = 8
"""With a back-off of 1, 2, 4, 8, 16, 32 s: seven starts, and one for the run that was there before."""


class Watcher:
    """Looks at the world every second and at everything that is promised."""

    def __init__(self, world: World) -> None:
        self.world = world
        self.operator: SimulatedOperator | None = None
        self.crashes: list[float] = []
        self.two_since: float | None = None
        self.false_since: float | None = None
        self.written = 0
        self._known: tuple[object, ReplayBuffer] | None = None
        world.after(1.0, self.look)

    def look(self) -> None:
        self.note_crash()
        self.counts_egresses()
        self.counts_starts()
        self.reads_status()
        if self.quiet_seconds() > RECOVERY_SECONDS:
            self.expects_health()
        self.counts_writes()
        if self.quiet_seconds() > CLEAN_SECONDS and not self.shall_record():
            assert not self.live(), "an egress outlives its buffer's end"
        self.world.after(1.0, self.look)

    def note_crash(self) -> None:
        operator = self.operator
        if operator is not None and operator.crashed:
            self.crashes.append(self.world.seconds)
            self.operator = None
            self.world.on_pod = lambda _type, _body: None
            self.world.on_hint = lambda: None
            self.world.after(RESTART_SECONDS, self.start_operator)

    def start_operator(self) -> None:
        self.operator = SimulatedOperator(self.world)
        self.world.on_hint = self.operator.hint
        self.world.disturb()

    def live(self) -> list[Record]:
        return [record for record in self.world.records if record.is_live]

    def quiet_seconds(self) -> float:
        world = self.world
        if world.faults.persist or self.operator is None:
            return 0.0
        return world.seconds - max(world.disturbed_at, world.unclear_until)

    def shall_record(self) -> bool:
        return self.world.body is not None and not self.world.body["spec"].get("suspend", False)

    def buffer(self) -> ReplayBuffer:
        if self._known is None or self._known[0] is not self.world.body:
            self._known = (self.world.body, ReplayBuffer.model_validate(self.world.body))
        return self._known[1]

    def counts_egresses(self) -> None:
        number = len(self.live())
        if number < 2 or self.operator is None or self.world.faults.livekit_away:
            self.two_since = None
            return
        self.two_since = self.two_since or self.world.seconds
        since = max(self.two_since, self.world.disturbed_at, self.world.unclear_until)
        assert self.world.seconds - since <= HANDOVER_SECONDS, (
            "two egresses for longer than a hand-over takes"
        )
        unclear = max([self.world.unclear_until, *self.crashes])
        assert number == 2 or self.world.seconds - unclear < CLEAN_SECONDS, "three egresses"

    def counts_starts(self) -> None:
        since = self.world.seconds - 60.0
        starts = sum(at >= since for at in self.world.starts)
        crashes = sum(at >= since for at in self.crashes)
        assert starts <= STARTS_IN_A_MINUTE + crashes, f"{starts} starts in a minute"

    def reads_status(self) -> None:
        self.operator_looks_again()
        if self.world.body is None or self.is_status_true() or self.operator is None or self.operator.busy:
            self.false_since = None
            return
        self.false_since = self.false_since or self.world.seconds
        known = self.world.faults.agent == "complete"
        limit = NOTICE_SECONDS if known else PATIENCE_SECONDS
        assert self.world.seconds - self.false_since <= limit, "Recording=True, and no segment arrives"

    def is_status_true(self) -> bool:
        """Whether Recording=True, if it is said, is said of a run whose segments arrive."""
        status = self.buffer().status
        said = find_condition(status.conditions, RECORDING)
        if said is None or said.status is not ConditionStatus.TRUE:
            return True
        assert status.egress is not None, "Recording=True names its egress"
        record = next(r for r in self.world.records if r.egress.id == status.egress.id)
        assert record.arrivals, "Recording=True before the first segment"
        return self.world.seconds - record.arrivals[-1] <= stale_limit(SEGMENT_SECONDS).total_seconds()

    def operator_looks_again(self) -> None:
        operator = self.operator
        if operator is None or not operator.delays or self.world.body is None:
            return
        said = find_condition(self.buffer().status.conditions, RECORDING)
        looks_again = operator.delays[-1] is not None or operator.busy
        assert looks_again or said is None or said.reason == BufferState.SUSPENDED, "nobody looks again"

    def expects_health(self) -> None:
        if not self.shall_record():
            return
        said = find_condition(self.buffer().status.conditions, RECORDING)
        assert said is not None
        if not self.world.tracks:
            assert said.reason in (BufferState.SOURCE_GONE, BufferState.WAITING_FOR_SOURCE)
            assert not self.live(), "an egress outlives its source"
            return
        assert said.status is ConditionStatus.TRUE, f"{said.reason}: {said.message}"
        tracks = {r.egress.video_track for r in self.live()} | {r.egress.audio_track for r in self.live()}
        assert tracks >= set(self.world.tracks.values()), "it records other tracks than are there"

    def counts_writes(self) -> None:
        new, self.written = self.world.writes[self.written :], len(self.world.writes)
        last_start = max(self.world.starts, default=0.0)
        is_idle = self.world.seconds - last_start > HANDOVER_SECONDS
        if self.quiet_seconds() > RECOVERY_SECONDS and is_idle:
            assert all(keys <= {"window"} for _, keys in new), f"an idle buffer is written: {new}"


class BufferLife(RuleBasedStateMachine):
    """One buffer, and everything that can happen to it."""

    def __init__(self) -> None:
        super().__init__()
        self.world = World()
        self.watcher = Watcher(self.world)

    @initialize(sources=st.sets(st.sampled_from(["SCREEN_SHARE", "MICROPHONE"])))
    def begins(self, sources: set[str]) -> None:
        for source in sorted(sources):
            self.world.publish(source)
        self.watcher.start_operator()

    @rule(seconds=st.sampled_from([1.0, 3.0, 8.0, 15.0, 30.0]))
    def time_passes(self, seconds: float) -> None:
        self.world.pass_time(seconds)

    @rule()
    def nothing_happens_for_minutes(self) -> None:
        self.world.pass_time(RECOVERY_SECONDS + 20.0)

    @rule(source=st.sampled_from(["SCREEN_SHARE", "MICROPHONE"]))
    def a_track_comes_or_is_published_again(self, source: str) -> None:
        self.world.unpublish(source)
        self.world.publish(source)
        self.world.disturb()

    @rule(source=st.sampled_from(["SCREEN_SHARE", "MICROPHONE"]))
    def a_track_goes(self, source: str) -> None:
        self.world.unpublish(source)
        self.world.disturb()

    @precondition(lambda self: self.world.present)
    @rule()
    def the_participant_leaves(self) -> None:
        self.world.leave()
        self.world.disturb()

    @precondition(lambda self: self.watcher.live())
    @rule(noticed_after=st.sampled_from([0.0, 30.0]))
    def a_worker_is_killed(self, noticed_after: float) -> None:
        self.world.kill_worker(self.watcher.live()[0].worker, noticed_after=noticed_after)
        self.world.disturb()

    @precondition(lambda self: any(r.worker.terminating_since is None for r in self.watcher.live()))
    @rule()
    def a_worker_is_told_to_go(self) -> None:
        live = next(r for r in self.watcher.live() if r.worker.terminating_since is None)
        self.world.doom_worker(live.worker)
        self.world.disturb()

    @precondition(lambda self: self.watcher.live())
    @rule()
    def a_handler_is_killed(self) -> None:
        self.world.kill_handler(self.watcher.live()[-1])
        self.world.disturb()

    @rule(away=st.booleans())
    def livekit_goes_or_comes_back(self, away: bool) -> None:
        self.world.faults.livekit_away = away
        self.world.disturb()

    @rule(broken=st.sampled_from([None, 0.05, 5.0, 20.0]))
    def every_run_breaks(self, broken: float | None) -> None:
        self.world.faults.runs_break_after = broken
        self.world.disturb()

    @rule(
        fate=st.sampled_from(
            ["full", "failed", LostStart(10.0, 27.0), LostStart(30.0, 1.0), LostStart(10.0, None)]
        )
    )
    def the_next_start_fails(self, fate: str | LostStart) -> None:
        self.world.faults.starts.append(fate)

    @rule()
    def the_next_stop_is_not_answered(self) -> None:
        self.world.faults.stops_unanswered += 1

    @rule(lie=st.sampled_from(["empty", "lacks one"]))
    def the_next_list_lies(self, lie: str) -> None:
        self.world.faults.lists.append(lie)

    @rule(mode=st.sampled_from(["complete", "scanning", "away"]), lag=st.sampled_from([0.0, 2.0]))
    def the_agent_changes(self, mode: str, lag: float) -> None:
        self.world.faults.agent, self.world.faults.agent_lag = mode, lag
        self.world.disturb()

    @precondition(lambda self: self.watcher.operator is not None)
    @rule(
        point=st.sampled_from(
            ["", "before a start", "inside a start", "after a start", "after a stop", "before a status write"]
        )
    )
    def the_operator_crashes(self, point: str) -> None:
        if point:
            self.world.faults.crash_at = point
        elif self.watcher.operator is not None:
            self.watcher.operator.crash()

    @rule(suspend=st.booleans())
    def the_user_suspends_or_resumes(self, suspend: bool) -> None:
        self.world.edit(suspend=suspend)
        self.world.disturb()
        if self.watcher.operator is not None:
            self.watcher.operator.hear(self.world.body)

    def teardown(self) -> None:
        """All is well again; the buffer records within the bound, then it is deleted."""
        faults, world = self.world.faults, self.world
        faults.livekit_away, faults.agent, faults.runs_break_after, faults.crash_at = (
            False,
            "complete",
            None,
            "",
        )
        faults.starts.clear()
        world.disturb()
        world.pass_time(RECOVERY_SECONDS + 40.0)
        world.body = None
        world.disturb()
        if self.watcher.operator is not None:
            self.watcher.operator.hear(None)
        world.pass_time(CLEAN_SECONDS + 5.0)


PROFILE: dict[str, Any] = {
    "deadline": None,
    "derandomize": True,
    "suppress_health_check": list(HealthCheck),
    "print_blob": True,
}

BufferLife.TestCase.settings = settings(max_examples=20, stateful_step_count=15, **PROFILE)
TestHistories = BufferLife.TestCase
