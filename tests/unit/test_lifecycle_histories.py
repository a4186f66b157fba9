"""Histories of a buffer's life that nobody wrote: faults in any order, and what must hold at every second.

The operator's real parts decide and act; world.py is everything else, lifecycle_promises.py what is promised.
`REPLAY_HISTORIES=2000` plays more of them; `--hypothesis-show-statistics` tells their states.
"""

from __future__ import annotations

import os
from typing import Any

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

THEN = st.sampled_from([0.0, 0.7, 3.0, 8.0, 15.0, 30.0, 90.0, RECOVERY_SECONDS + 20.0])
"""Seconds until the next thing happens."""


def thing(name: str, **arguments: st.SearchStrategy[Any]) -> st.SearchStrategy[tuple[str, dict[str, Any]]]:
    return st.tuples(st.just(name), st.fixed_dictionaries(arguments))


FATES = st.sampled_from(
    ["full", "failed", LostStart(10.0, 27.0), LostStart(30.0, 1.0), LostStart(10.0, None)]
)
CRASH_POINTS = st.sampled_from(
    ["", "before a start", "inside a start", "after a start", "after a stop", "before a status write"]
)
THINGS = st.one_of(
    thing("a_track_comes_or_is_published_again", source=SOURCES),
    thing("a_track_goes", source=SOURCES),
    thing("the_participant_leaves"),
    thing("a_worker_is_killed", noticed_after=st.sampled_from([0.0, 30.0])),
    thing("a_worker_is_told_to_go"),
    thing("a_handler_is_killed"),
    thing("livekit_goes_or_comes_back", away=st.booleans()),
    thing("livekit_forgets_or_knows_again", blank=st.booleans()),
    thing("every_run_breaks", broken=st.sampled_from([None, None, 0.05, 5.0, 20.0])),
    thing("the_next_start_fails", fate=FATES),
    thing("the_next_stop_is_not_answered"),
    thing("the_next_list_lies", lie=st.sampled_from(["empty", "lacks one"])),
    thing(
        "the_agent_changes",
        mode=st.sampled_from(["complete", "complete", "scanning", "away"]),
        lag=st.sampled_from([0.0, 2.0]),
    ),
    thing("the_operator_crashes", point=CRASH_POINTS),
    thing("another_operator_starts_it_too"),
    thing("the_user_suspends_or_resumes", suspend=st.booleans()),
    thing("the_user_deletes_it"),
)
"""One rule draws from all of them: hypothesis would switch some rules off for a whole history."""


class BufferLife(RuleBasedStateMachine):
    """One buffer, and everything that can happen to it. What cannot happen now passes as mere time."""

    def __init__(self) -> None:
        super().__init__()
        self.world = World()
        self.watcher = Watcher(self.world)
        self.steps = 0

    @initialize(sources=BEGINNINGS, then=THEN)
    def begins(self, sources: tuple[str, ...], then: float) -> None:
        for source in sources:
            self.world.livekit.publish(source)
        self.watcher.start_operator()
        self.world.time.advance(then)

    @rule(thing=THINGS, then=THEN)
    def happens(self, thing: tuple[str, dict[str, Any]], then: float) -> None:
        self.steps += 1
        name, arguments = thing
        getattr(self, name)(**arguments)
        self.world.time.advance(then)

    def a_track_comes_or_is_published_again(self, source: str) -> None:
        self.world.livekit.unpublish(source)
        self.world.livekit.publish(source)
        self.world.faults.disturb()

    def a_track_goes(self, source: str) -> None:
        self.world.livekit.unpublish(source)
        self.world.faults.disturb()

    def the_participant_leaves(self) -> None:
        if self.world.livekit.present:
            self.world.livekit.leave()
        self.world.faults.disturb()

    def a_worker_is_killed(self, noticed_after: float) -> None:
        for record in self.watcher.live()[:1]:
            self.world.fleet.kill(record.worker, noticed_after=noticed_after)
        self.world.faults.disturb()

    def a_worker_is_told_to_go(self) -> None:
        staying = [r.worker for r in self.watcher.live() if r.worker.terminating_since is None]
        for worker in staying[:1]:
            self.world.fleet.doom(worker)
        self.world.faults.disturb()

    def a_handler_is_killed(self) -> None:
        for record in self.watcher.live()[-1:]:
            self.world.livekit.kill_handler(record)
        self.world.faults.disturb()

    def livekit_goes_or_comes_back(self, away: bool) -> None:
        self.world.faults.livekit_away = away
        self.world.faults.disturb()

    def livekit_forgets_or_knows_again(self, blank: bool) -> None:
        self.world.faults.livekit_blank = blank
        self.world.faults.disturb()

    def every_run_breaks(self, broken: float | None) -> None:
        self.world.faults.runs_break_after = broken
        self.world.faults.disturb()

    def the_next_start_fails(self, fate: str | LostStart) -> None:
        self.world.faults.starts.append(fate)

    def the_next_stop_is_not_answered(self) -> None:
        self.world.faults.stops_unanswered += 1

    def the_next_list_lies(self, lie: str) -> None:
        self.world.faults.lists.append(lie)

    def the_agent_changes(self, mode: str, lag: float) -> None:
        self.world.faults.agent, self.world.faults.agent_lag = mode, lag
        self.world.faults.disturb()

    def the_operator_crashes(self, point: str) -> None:
        if point:
            self.world.faults.crash_at = point
        elif self.watcher.operator is not None:
            self.watcher.operator.crash()

    def another_operator_starts_it_too(self) -> None:
        for record in self.watcher.live()[:1]:
            self.world.livekit.start_twice(record)
        self.world.faults.disturb()

    def the_user_suspends_or_resumes(self, suspend: bool) -> None:
        if self.world.api_server.body is not None:
            self.world.api_server.edit(suspend=suspend)
            self.watcher.tell_operator()
        self.world.faults.disturb()

    def the_user_deletes_it(self) -> None:
        if self.steps > DELETED_AFTER_STEPS:
            self.world.api_server.body = None
            self.watcher.tell_operator()
        self.world.faults.disturb()

    def teardown(self) -> None:
        """All is well again; the buffer records within the bound, then it is deleted or suspended."""
        self.world.faults.end()
        self.world.time.advance(RECOVERY_SECONDS + 40.0)
        for state in sorted(self.watcher.states):
            event(f"state {state}")
        event(f"hand-overs: {min(self.watcher.handovers, 5)}")
        event(f"crashes: {min(len(self.watcher.crashes), 5)}")
        if len(self.world.livekit.starts) % 2 and self.world.api_server.body is not None:
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
