"""Histories of a buffer's life that nobody wrote: faults in any order, and what must hold at every second.

The operator's real parts decide and act; world.py is everything else, lifecycle_promises.py what is promised.
`REPLAY_HISTORIES=2000` plays more of them; `--hypothesis-show-statistics` tells their states.
"""

from __future__ import annotations

import os

from hypothesis import HealthCheck, Phase, event, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, rule

from tests.unit.lifecycle_promises import CLEAN_SECONDS, RECOVERY_SECONDS, Watcher
from tests.unit.world import World
from tests.unit.world_faults import LostStart

HISTORIES = int(os.environ.get("REPLAY_HISTORIES", "100"))
STEPS = 15
DELETED_AFTER_STEPS = 8
"""A deletion ends most of what can go wrong, so it comes late."""

SCREEN, SOUND = "SCREEN_SHARE", "MICROPHONE"
SOURCES = st.sampled_from([SCREEN, SOUND])
BEGINNINGS = st.sampled_from([(SCREEN, SOUND), (SCREEN, SOUND), (SCREEN, SOUND), (SCREEN,), (SOUND,), ()])
"""Most have something to record: what happens to a recording is what is searched."""

THEN = st.sampled_from([0.0, 0.7, 3.0, 8.0, 15.0, 30.0, 90.0])
"""Seconds until the next thing happens."""


class BufferLife(RuleBasedStateMachine):
    """One buffer, and everything that can happen to it. What cannot happen now passes as mere time."""

    def __init__(self) -> None:
        super().__init__()
        self.world = World()
        self.watcher = Watcher(self.world)
        self.steps = 0

    def happened(self, then: float, *, disturbs: bool = True) -> None:
        self.steps += 1
        if disturbs:
            self.world.faults.disturb()
        self.world.time.advance(then)

    @initialize(sources=BEGINNINGS, then=THEN)
    def begins(self, sources: tuple[str, ...], then: float) -> None:
        for source in sources:
            self.world.livekit.publish(source)
        self.watcher.start_operator()
        self.world.time.advance(then)

    @rule()
    def nothing_happens_for_minutes(self) -> None:
        self.happened(RECOVERY_SECONDS + 20.0, disturbs=False)

    @rule(source=SOURCES, then=THEN)
    def a_track_comes_or_is_published_again(self, source: str, then: float) -> None:
        self.world.livekit.unpublish(source)
        self.world.livekit.publish(source)
        self.happened(then)

    @rule(source=SOURCES, then=THEN)
    def a_track_goes(self, source: str, then: float) -> None:
        self.world.livekit.unpublish(source)
        self.happened(then)

    @rule(then=THEN)
    def the_participant_leaves(self, then: float) -> None:
        if self.world.livekit.present:
            self.world.livekit.leave()
        self.happened(then)

    @rule(noticed_after=st.sampled_from([0.0, 30.0]), then=THEN)
    def a_worker_is_killed(self, noticed_after: float, then: float) -> None:
        for record in self.watcher.live()[:1]:
            self.world.fleet.kill(record.worker, noticed_after=noticed_after)
        self.happened(then)

    @rule(then=THEN)
    def a_worker_is_told_to_go(self, then: float) -> None:
        staying = [r.worker for r in self.watcher.live() if r.worker.terminating_since is None]
        for worker in staying[:1]:
            self.world.fleet.doom(worker)
        self.happened(then)

    @rule(then=THEN)
    def a_handler_is_killed(self, then: float) -> None:
        for record in self.watcher.live()[-1:]:
            self.world.livekit.kill_handler(record)
        self.happened(then)

    @rule(away=st.booleans(), then=THEN)
    def livekit_goes_or_comes_back(self, away: bool, then: float) -> None:
        self.world.faults.livekit_away = away
        self.happened(then)

    @rule(broken=st.sampled_from([None, 0.05, 5.0, 20.0]), then=THEN)
    def every_run_breaks(self, broken: float | None, then: float) -> None:
        self.world.faults.runs_break_after = broken
        self.happened(then)

    @rule(
        fate=st.sampled_from(
            ["full", "failed", LostStart(10.0, 27.0), LostStart(30.0, 1.0), LostStart(10.0, None)]
        ),
        then=THEN,
    )
    def the_next_start_fails(self, fate: str | LostStart, then: float) -> None:
        self.world.faults.starts.append(fate)
        self.happened(then, disturbs=False)

    @rule(then=THEN)
    def the_next_stop_is_not_answered(self, then: float) -> None:
        self.world.faults.stops_unanswered += 1
        self.happened(then, disturbs=False)

    @rule(lie=st.sampled_from(["empty", "lacks one"]), then=THEN)
    def the_next_list_lies(self, lie: str, then: float) -> None:
        self.world.faults.lists.append(lie)
        self.happened(then, disturbs=False)

    @rule(mode=st.sampled_from(["complete", "scanning", "away"]), lag=st.sampled_from([0.0, 2.0]), then=THEN)
    def the_agent_changes(self, mode: str, lag: float, then: float) -> None:
        self.world.faults.agent, self.world.faults.agent_lag = mode, lag
        self.happened(then)

    @rule(
        point=st.sampled_from(
            ["", "before a start", "inside a start", "after a start", "after a stop", "before a status write"]
        ),
        then=THEN,
    )
    def the_operator_crashes(self, point: str, then: float) -> None:
        if point:
            self.world.faults.crash_at = point
        elif self.watcher.operator is not None:
            self.watcher.operator.crash()
        self.happened(then, disturbs=False)

    @rule(then=THEN)
    def another_operator_starts_it_too(self, then: float) -> None:
        for record in self.watcher.live()[:1]:
            self.world.livekit.start_twice(record)
        self.happened(then)

    @rule(suspend=st.booleans(), then=THEN)
    def the_user_suspends_or_resumes(self, suspend: bool, then: float) -> None:
        if self.world.api_server.body is not None:
            self.world.api_server.edit(suspend=suspend)
            self.watcher.tell_operator()
        self.happened(then)

    @rule(then=THEN)
    def the_user_deletes_it(self, then: float) -> None:
        if self.steps > DELETED_AFTER_STEPS:
            self.world.api_server.body = None
            self.watcher.tell_operator()
        self.happened(then)

    def teardown(self) -> None:
        """All is well again; the buffer records within the bound, then it is deleted or suspended."""
        self.world.faults.end()
        self.world.time.advance(RECOVERY_SECONDS + 40.0)
        for state in sorted(self.watcher.states):
            event(f"state {state}")
        event(f"hand-overs: {min(self.watcher.handovers, 5)}")
        event(f"crashes: {min(len(self.watcher.crashes), 5)}")
        if self.steps % 2 and self.world.api_server.body is not None:
            self.world.api_server.edit(suspend=True)
        else:
            self.world.api_server.body = None
        self.world.faults.disturb()
        self.watcher.tell_operator()
        self.world.time.advance(CLEAN_SECONDS + 5.0)


BufferLife.TestCase.settings = settings(
    max_examples=HISTORIES,
    stateful_step_count=STEPS,
    deadline=None,
    derandomize=True,
    suppress_health_check=list(HealthCheck),
    phases=(Phase.explicit, Phase.reuse, Phase.generate, Phase.shrink),  # explaining takes minutes here
    print_blob=True,
)
TestHistories = BufferLife.TestCase
