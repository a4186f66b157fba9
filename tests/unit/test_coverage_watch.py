"""What is known of the disk, how long that holds, and who is woken by it."""

from __future__ import annotations

from dataclasses import dataclass, field
from datetime import timedelta

import pytest

from replay_operator.api.agent import BufferCoverage, Coverage, RunCoverage
from replay_operator.controller.agent_client import AgentUnavailable
from replay_operator.controller.coverage import PATIENCE, RECENT, CoverageWatch
from tests.builders import NOW, run_coverage
from tests.contract.scripted import HandClock, ScriptedAgent


class SayingAgent(ScriptedAgent):
    """Says word for word what the test wants."""

    complete = True
    said: tuple[BufferCoverage, ...] = ()
    mark: str | None = None
    since: str | None = None
    gone: tuple[str, ...] = ()

    def __init__(self, clock: HandClock) -> None:
        super().__init__(clock)
        self.asked_since: list[str | None] = []

    async def coverage(self, since: str | None = None) -> Coverage:
        self.asked_since.append(since)
        if self.away:
            raise AgentUnavailable("away")
        return Coverage(
            as_of=NOW,
            complete=self.complete,
            epoch=1,
            seq=1,
            mark=self.mark,
            since=self.since,
            buffers=self.said,
            gone=self.gone,
        )

    def says(self, **runs_by_path: tuple[RunCoverage, ...]) -> None:
        self.said = tuple(
            BufferCoverage(path=f"team/{path}", bytes=1, runs=runs) for path, runs in runs_by_path.items()
        )


@dataclass
class Post:
    """A watch with everything around it."""

    clock: HandClock = field(default_factory=HandClock)
    changes: list[frozenset[str]] = field(default_factory=list)
    answers: int = 0

    def __post_init__(self) -> None:
        self.agent = SayingAgent(self.clock)
        self.watch = CoverageWatch(
            self.agent,
            interval=timedelta(seconds=1),
            clock=self.clock,
            on_change=self.changes.append,
            on_answer=self.answered,
        )

    def answered(self) -> None:
        self.answers += 1


@pytest.fixture
def post() -> Post:
    return Post()


async def test_before_the_first_word_nothing_is_known(post: Post) -> None:
    assert not post.watch.of("team/a").known
    post.agent.away = True
    await post.watch.refresh()
    assert not post.watch.of("team/a").known
    assert (post.changes, post.answers) == ([], 0)


async def test_a_word_tells_the_runs_of_each_buffer(post: Post) -> None:
    post.agent.says(a=(run_coverage("r1"), run_coverage("r2")), b=())
    await post.watch.refresh()
    assert post.watch.of("team/a").known
    assert post.watch.of("team/a").runs == {"r1": run_coverage("r1"), "r2": run_coverage("r2")}
    assert post.watch.of("team/b").runs == {}


async def test_a_buffer_that_a_complete_word_does_not_name_is_known_to_be_empty(post: Post) -> None:
    await post.watch.refresh()
    assert post.watch.of("team/a").known
    assert post.watch.of("team/a").runs == {}


async def test_an_unfinished_scan_makes_nothing_known(post: Post) -> None:
    post.agent.complete = False
    post.agent.says(a=(run_coverage("r1"),))
    await post.watch.refresh()
    assert not post.watch.of("team/a").known
    assert post.watch.of("team/a").runs.keys() == {"r1"}


async def test_a_word_grows_too_old_when_the_agent_is_away(post: Post) -> None:
    post.agent.says(a=(run_coverage("r1"),))
    await post.watch.refresh()
    post.agent.away = True
    post.clock.go_on(RECENT.total_seconds())
    await post.watch.refresh()
    assert post.watch.of("team/a").known
    post.clock.go_on(0.1)
    assert not post.watch.of("team/a").known
    assert post.watch.of("team/a").runs.keys() == {"r1"}, "what lay there lies there still"


async def test_one_more_segment_wakes_nobody(post: Post) -> None:
    post.agent.says(a=(run_coverage("r1", newest=-7),))
    await post.watch.refresh()
    post.changes.clear()
    post.agent.says(a=(run_coverage("r1", newest=-1, arrived=0),))
    await post.watch.refresh()
    assert post.changes == []
    assert post.answers == 2


async def test_a_run_that_appears_ends_or_goes_wakes_its_buffer_and_no_other(post: Post) -> None:
    post.agent.says(a=(), b=(run_coverage("r9"),))
    await post.watch.refresh()
    post.changes.clear()
    for runs in ((run_coverage("r1"),), (run_coverage("r1", ended=True),), ()):
        post.agent.says(a=runs, b=(run_coverage("r9"),))
        await post.watch.refresh()
    assert post.changes == [frozenset({"team/a"})] * 3


async def test_a_buffer_that_vanishes_from_the_disk_is_woken(post: Post) -> None:
    post.agent.says(a=(run_coverage("r1"),))
    await post.watch.refresh()
    post.changes.clear()
    post.agent.says()
    await post.watch.refresh()
    assert post.changes == [frozenset({"team/a"})]


async def test_everybody_is_woken_when_the_scan_is_complete_at_last(post: Post) -> None:
    post.agent.complete = False
    post.agent.says(a=(run_coverage("r1"),), b=())
    await post.watch.refresh()
    post.changes.clear()
    post.agent.complete = True
    await post.watch.refresh()
    assert post.changes == [frozenset({"team/a", "team/b"})]


@pytest.mark.parametrize("heard", [False, True])
async def test_an_agent_is_given_up_only_after_a_long_silence_and_not_when_it_speaks_again(
    post: Post, heard: bool
) -> None:
    if heard:
        await post.watch.refresh()
    post.clock.go_on(PATIENCE.total_seconds())
    assert not post.watch.of("team/a").given_up
    post.clock.go_on(0.1)
    assert post.watch.of("team/a").given_up
    await post.watch.refresh()
    assert not post.watch.of("team/a").given_up


async def test_scans_that_never_finish_are_no_sign_of_life(post: Post) -> None:
    post.agent.complete = False
    post.clock.go_on(PATIENCE.total_seconds() + 1)
    await post.watch.refresh()
    assert post.watch.of("team/a").given_up


async def test_changes_are_taken_over_what_was_known(post: Post) -> None:
    post.agent.mark = "m1"
    post.agent.says(a=(run_coverage("r1"),), b=(run_coverage("r2"),), c=(run_coverage("r3"),))
    await post.watch.refresh()
    post.changes.clear()
    post.agent.since, post.agent.mark, post.agent.gone = "m1", "m2", ("team/c", "team/never-heard-of")
    post.agent.says(b=(run_coverage("r2", ended=True),), d=(run_coverage("r4"),))
    await post.watch.refresh()
    known = {path: list(post.watch.of(f"team/{path}").runs) for path in "abcd"}
    assert known == {"a": ["r1"], "b": ["r2"], "c": [], "d": ["r4"]}
    assert post.watch.of("team/b").runs["r2"].ended
    assert post.changes == [frozenset({"team/b", "team/c", "team/d"})]
    assert post.agent.asked_since == [None, "m1"]


async def test_a_lost_answer_is_asked_for_again_from_the_last_one_that_came(post: Post) -> None:
    post.agent.mark = "m1"
    await post.watch.refresh()
    post.agent.away = True
    await post.watch.refresh()
    post.agent.away = False
    await post.watch.refresh()
    assert post.agent.asked_since == [None, "m1", "m1"]


async def test_a_whole_answer_of_a_new_agent_replaces_everything(post: Post) -> None:
    post.agent.mark = "m1"
    post.agent.says(a=(run_coverage("r1"),), b=(run_coverage("r2"),))
    await post.watch.refresh()
    post.agent.mark = "n1"
    post.agent.says(b=(run_coverage("r2"),))
    post.changes.clear()
    await post.watch.refresh()
    assert post.watch.of("team/a").runs == {}
    assert post.changes == [frozenset({"team/a"})]
    await post.watch.refresh()
    assert post.agent.asked_since == [None, "m1", "n1"]


async def test_changes_to_something_else_than_what_is_held_are_dropped_and_the_whole_is_asked_for(
    post: Post,
) -> None:
    post.agent.mark = "m1"
    post.agent.says(a=(run_coverage("r1"),))
    await post.watch.refresh()
    post.agent.since, post.agent.mark = "m0", "m2"
    post.agent.says(a=())
    await post.watch.refresh()
    assert post.watch.of("team/a").runs.keys() == {"r1"}
    assert post.answers == 1
    post.agent.since = None
    await post.watch.refresh()
    assert post.watch.of("team/a").runs == {}
    assert post.agent.asked_since == [None, "m1", None]


async def test_buffers_that_changes_do_not_name_are_woken_too_when_the_scan_is_complete(post: Post) -> None:
    post.agent.complete, post.agent.mark = False, "m1"
    post.agent.says(a=(run_coverage("r1"),))
    await post.watch.refresh()
    post.changes.clear()
    post.agent.complete, post.agent.since, post.agent.mark = True, "m1", "m2"
    post.agent.says()
    await post.watch.refresh()
    assert post.changes == [frozenset({"team/a"})]
