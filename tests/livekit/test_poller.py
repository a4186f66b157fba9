"""The poller with a scripted LiveKit and a time that the test moves."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import suppress
from dataclasses import dataclass, field

import pytest

from replay_operator.domain.egress import EgressState
from replay_operator.livekit.errors import LiveKitRefused, LiveKitUnreachable
from replay_operator.livekit.poller import (
    SnapshotPoller,
    backoff_seconds,
    changed_ids,
    rest_seconds,
    wait_for_event,
)
from tests.livekit.scripted import START_OF_TIME, HandTime, ScriptedLiveKit, an_egress

pytestmark = pytest.mark.timeout(120)

AWAY = LiveKitUnreachable("away")


@dataclass
class Stage:
    """A poller with everything around it."""

    livekit: ScriptedLiveKit = field(default_factory=ScriptedLiveKit)
    time: HandTime = field(default_factory=HandTime)
    changes: list[frozenset[str]] = field(default_factory=list)

    def __post_init__(self) -> None:
        self.poller = SnapshotPoller(
            self.livekit,
            self.changes.append,
            self.time.clock,
            interval_seconds=5,
            gap_seconds=0.5,
            max_backoff_seconds=4,
            sleep=self.time.sleep,
            wait=self.time.wait,
        )

    async def until_asked_again(self) -> None:
        """Let the gap and the rest of the interval pass."""
        await self.time.let_pass()
        await self.time.let_pass()
        await self.livekit.until_asked()


@pytest.fixture
async def stage() -> AsyncIterator[Stage]:
    stage = Stage()
    running = asyncio.create_task(stage.poller.run())
    yield stage
    running.cancel()
    with suppress(asyncio.CancelledError):
        await running


async def test_before_the_first_answer_the_snapshot_means_nothing(stage: Stage) -> None:
    await stage.livekit.until_asked()
    assert not stage.poller.snapshot.complete
    assert stage.poller.snapshot.generation == 0


async def test_an_empty_first_answer_is_complete(stage: Stage) -> None:
    await stage.livekit.until_asked()
    stage.livekit.answer()
    await stage.time.until_waiting()
    assert stage.poller.snapshot.complete
    assert stage.poller.snapshot.egresses == {}
    assert stage.changes == []


async def test_a_snapshot_tells_when_it_was_asked_for_and_when_it_came(stage: Stage) -> None:
    await stage.livekit.until_asked()
    came = stage.time.go_on(2)
    stage.livekit.answer(an_egress("EG_1"))
    await stage.time.until_waiting()
    snapshot = stage.poller.snapshot
    assert (snapshot.asked_at, snapshot.as_of) == (START_OF_TIME, came)
    assert snapshot.egresses == {"EG_1": an_egress("EG_1")}


async def test_a_snapshot_cannot_be_changed_by_its_readers(stage: Stage) -> None:
    await stage.livekit.until_asked()
    stage.livekit.answer(an_egress("EG_1"))
    await stage.time.until_waiting()
    with pytest.raises(TypeError):
        stage.poller.snapshot.egresses["EG_2"] = an_egress("EG_2")  # type: ignore[index]  # that is the point


async def test_who_appeared_changed_or_vanished_is_told_once_and_nobody_else(stage: Stage) -> None:
    await stage.livekit.until_asked()
    stage.livekit.answer(an_egress("EG_same"), an_egress("EG_changes"), an_egress("EG_goes"))
    await stage.until_asked_again()
    ending = an_egress("EG_changes", EgressState.ENDING)
    stage.livekit.answer(an_egress("EG_same"), ending, an_egress("EG_comes"))
    await stage.until_asked_again()
    stage.livekit.answer(an_egress("EG_same"), ending, an_egress("EG_comes"))
    await stage.time.until_waiting()
    assert stage.changes == [
        {"EG_same", "EG_changes", "EG_goes"},
        {"EG_changes", "EG_goes", "EG_comes"},
    ]


async def test_polls_follow_each_other_at_the_interval(stage: Stage) -> None:
    await stage.livekit.until_asked()
    stage.livekit.answer()
    await stage.until_asked_again()
    stage.livekit.answer()
    await stage.time.until_waiting()
    assert (stage.poller.snapshot.asked_at - START_OF_TIME).total_seconds() == 5
    assert stage.poller.snapshot.generation == 2


async def test_while_livekit_is_away_the_last_snapshot_stays_and_since_when_is_known(stage: Stage) -> None:
    await stage.livekit.until_asked()
    stage.livekit.answer(an_egress("EG_1"))
    await stage.until_asked_again()
    first_failure = stage.time.now
    stage.time.go_on(10)  # the call hung before it failed
    stage.livekit.fail(AWAY)
    await stage.time.let_pass()
    await stage.livekit.until_asked()
    stage.livekit.fail(LiveKitRefused("no"))
    await stage.time.until_waiting()
    assert stage.poller.snapshot.egresses.keys() == {"EG_1"}
    assert stage.poller.snapshot.as_of == START_OF_TIME
    assert stage.poller.unreachable_since == first_failure
    assert isinstance(stage.poller.last_error, LiveKitRefused)
    assert len(stage.changes) == 1


async def test_an_answer_ends_the_absence(stage: Stage) -> None:
    await stage.livekit.until_asked()
    stage.livekit.fail(AWAY)
    await stage.time.let_pass()
    assert stage.poller.unreachable_since == START_OF_TIME
    await stage.livekit.until_asked()
    stage.livekit.answer()
    await stage.time.until_waiting()
    assert stage.poller.unreachable_since is None
    assert stage.poller.last_error is None


async def test_the_wait_doubles_while_livekit_is_away_up_to_its_bound_and_is_short_again_after(
    stage: Stage,
) -> None:
    waits = []
    for _ in range(6):
        await stage.livekit.until_asked()
        stage.livekit.fail(AWAY)
        waits.append(await stage.time.let_pass())
    await stage.livekit.until_asked()
    stage.livekit.answer()
    await stage.until_asked_again()
    stage.livekit.fail(AWAY)
    waits.append(await stage.time.until_waiting())
    assert waits == [0.5, 1, 2, 4, 4, 4, 0.5]


async def test_a_poke_does_not_shorten_the_wait_while_livekit_is_away(stage: Stage) -> None:
    await stage.livekit.until_asked()
    stage.livekit.fail(AWAY)
    stage.poller.poke()
    assert await stage.time.let_pass() == 0.5
    await stage.livekit.until_asked()
    stage.livekit.fail(AWAY)
    stage.poller.poke()
    assert await stage.time.let_pass() == 1
    assert stage.livekit.calls == 2


async def test_a_poke_asks_at_once(stage: Stage) -> None:
    await stage.livekit.until_asked()
    stage.livekit.answer()
    await stage.time.let_pass()
    assert await stage.time.until_waiting() == 4.5
    stage.poller.poke()
    await stage.livekit.until_asked()
    stage.livekit.answer()
    await stage.time.until_waiting()
    assert (stage.poller.snapshot.asked_at - START_OF_TIME).total_seconds() == 0.5


async def test_a_poke_while_a_call_is_out_leads_to_another_call(stage: Stage) -> None:
    await stage.livekit.until_asked()
    generation = stage.poller.poke()
    stage.livekit.answer()
    await stage.time.let_pass()  # the gap; the interval is cut short by the poke
    assert stage.poller.snapshot.generation < generation
    await stage.livekit.until_asked()
    stage.livekit.answer()
    await stage.time.until_waiting()
    assert stage.livekit.calls == 2


async def test_only_a_list_that_was_asked_for_after_a_poke_reaches_its_generation(stage: Stage) -> None:
    await stage.livekit.until_asked()
    started_now = stage.poller.poke()
    stage.livekit.answer()
    await stage.time.let_pass()
    assert stage.poller.snapshot.generation < started_now
    await stage.livekit.until_asked()
    stage.livekit.answer(an_egress("EG_1"))
    await stage.time.until_waiting()
    assert stage.poller.snapshot.generation >= started_now


async def test_many_pokes_become_one_call_and_calls_never_overlap(stage: Stage) -> None:
    await stage.livekit.until_asked()
    for _ in range(1000):
        stage.poller.poke()
    stage.livekit.answer()
    await stage.time.let_pass()
    await stage.livekit.until_asked()
    stage.livekit.answer()
    await stage.time.let_pass()
    assert await stage.time.until_waiting() == 4.5  # at rest: no poke is left over
    assert stage.livekit.calls == 2
    assert stage.livekit.most_calls_at_once == 1


async def test_a_second_run_beside_the_first_is_refused(stage: Stage) -> None:
    await stage.livekit.until_asked()
    with pytest.raises(RuntimeError, match="start it once"):
        await stage.poller.run()
    stage.livekit.answer()
    await stage.time.until_waiting()
    assert stage.poller.snapshot.complete


async def test_a_run_that_was_cancelled_in_a_call_keeps_its_snapshot_and_can_run_again() -> None:
    stage = Stage()
    running = asyncio.create_task(stage.poller.run())
    await stage.livekit.until_asked()
    stage.livekit.answer(an_egress("EG_1"))
    await stage.until_asked_again()
    running.cancel()
    with pytest.raises(asyncio.CancelledError):
        await running
    assert stage.livekit.calls_at_once == 0
    assert stage.poller.snapshot.egresses.keys() == {"EG_1"}
    again = asyncio.create_task(stage.poller.run())
    await stage.livekit.until_asked()
    stage.livekit.answer()
    await stage.time.until_waiting()
    again.cancel()
    assert stage.changes == [{"EG_1"}, {"EG_1"}]


async def test_a_fault_that_is_no_livekit_error_ends_the_run_and_is_seen() -> None:
    stage = Stage()
    stage.livekit.fail(ZeroDivisionError())
    with pytest.raises(ZeroDivisionError):
        await stage.poller.run()


def test_the_ids_that_differ_are_those_that_came_went_or_changed() -> None:
    old = {"EG_1": an_egress("EG_1"), "EG_2": an_egress("EG_2"), "EG_3": an_egress("EG_3")}
    new = {
        "EG_1": an_egress("EG_1"),
        "EG_2": an_egress("EG_2", EgressState.ENDING),
        "EG_4": an_egress("EG_4"),
    }
    assert changed_ids(old, new) == {"EG_2", "EG_3", "EG_4"}


def test_the_wait_after_a_very_long_outage_is_still_the_bound() -> None:
    assert backoff_seconds(1_000_000, gap_seconds=0.5, max_seconds=15) == 15


async def test_a_wait_ends_when_its_event_is_set() -> None:
    event = asyncio.Event()
    event.set()
    await wait_for_event(event, 3600)


async def test_a_wait_ends_without_its_event_when_its_time_is_over() -> None:
    event = asyncio.Event()
    await wait_for_event(event, 0.01)
    assert not event.is_set()


@pytest.mark.parametrize(("took", "rest"), [(0.0, 0.5), (0.02, 0.5), (0.2, 1.8), (3.0, 5.0), (-7.0, 0.5)])
def test_a_list_that_takes_long_is_followed_by_a_long_rest_within_the_interval(
    took: float, rest: float
) -> None:
    assert rest_seconds(took, gap_seconds=0.5, interval_seconds=5.0) == pytest.approx(rest)


async def test_starts_that_ask_for_lists_all_the_time_leave_time_between_slow_ones(stage: Stage) -> None:
    await stage.livekit.until_asked()
    stage.time.go_on(0.3)
    stage.livekit.answer(an_egress("EG_1"))
    stage.poller.poke()
    assert await stage.time.until_waiting() == pytest.approx(2.7)
