"""Watching the fleet with scripted workers and a time that the test moves."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import suppress
from dataclasses import dataclass, field

import pytest

from replay_operator.domain.fleet import DELETION_COST, FleetPod, WorkerView
from replay_operator.livekit.workers import FleetWatch
from tests.fleet_pods import KILLED, container, pod_body
from tests.livekit.scripted import HandTime

pytestmark = pytest.mark.timeout(120)

DELETED_AT = "2026-11-22T13:41:07Z"


class ScriptedWorkers:
    """Answers for each worker by name; one that has no answer is silent."""

    def __init__(self) -> None:
        self.answers: dict[str, set[str]] = {}
        self.asked: list[str] = []

    async def ask(self, pod: FleetPod) -> WorkerView | None:
        self.asked.append(pod.name)
        held = self.answers.get(pod.name)
        return None if held is None else WorkerView(pod, frozenset(held), 1.0)


@dataclass
class Stage:
    """A watch with everything around it."""

    workers: ScriptedWorkers = field(default_factory=ScriptedWorkers)
    time: HandTime = field(default_factory=HandTime)
    changes: list[frozenset[str]] = field(default_factory=list)
    places: list[int] = field(default_factory=list)

    def __post_init__(self) -> None:
        self.watch = FleetWatch(
            self.workers.ask,
            self.changes.append,
            on_places=self.places.append,
            per_worker=4,
            interval_seconds=10,
            gap_seconds=0.5,
            sleep=self.time.sleep,
            wait=self.time.wait,
        )

    async def after_a_round(self) -> None:
        """Let the gap pass, so that the watch waits for the interval or a poke."""
        assert await self.time.let_pass() == 0.5


@pytest.fixture
async def stage() -> AsyncIterator[Stage]:
    """Worker a holds EG_1, and the first round is over."""
    stage = Stage()
    stage.workers.answers["worker-a"] = {"EG_1"}
    stage.watch.pod("ADDED", pod_body("worker-a"))
    running = asyncio.create_task(stage.watch.run())
    await stage.after_a_round()
    assert await stage.time.until_waiting() == 9.5
    yield stage
    running.cancel()
    with suppress(asyncio.CancelledError):
        await running


async def test_what_the_workers_say_is_told(stage: Stage) -> None:
    assert stage.watch.worker_of("EG_1") == "worker-a"
    assert stage.changes == [{"EG_1"}]
    assert stage.workers.asked == ["worker-a"]


async def test_workers_are_asked_again_after_the_interval(stage: Stage) -> None:
    stage.workers.answers["worker-a"] = {"EG_1", "EG_2"}
    stage.watch.poke()
    await stage.after_a_round()
    assert await stage.time.let_pass() == 9.5
    assert await stage.time.until_waiting() == 0.5
    assert stage.workers.asked == ["worker-a"] * 3
    assert stage.changes == [{"EG_1"}, {"EG_2"}]


@pytest.mark.parametrize(
    ("type_", "fields"),
    [
        ("ADDED", {"name": "worker-b"}),
        ("MODIFIED", {"name": "worker-a", "version": 1001, "deleted_at": DELETED_AT}),
        ("MODIFIED", {"name": "worker-a", "version": 1001, "containers": (container(restarts=1),)}),
    ],
)
async def test_workers_are_asked_at_once_when_a_pod_appears_restarts_or_must_go(
    stage: Stage, type_: str, fields: dict[str, str]
) -> None:
    stage.watch.pod(type_, pod_body(**fields))  # type: ignore[arg-type] # the keywords differ in their types
    assert await stage.time.until_waiting() == 0.5
    assert fields["name"] in stage.workers.asked[1:]


async def test_an_event_without_news_asks_nobody(stage: Stage) -> None:
    stage.watch.pod("MODIFIED", pod_body("worker-a", version=1001))
    stage.watch.pod("MODIFIED", pod_body("worker-b", ready=False))
    assert not stage.watch._poked.is_set()
    stage.watch.poke()
    await stage.time.until_waiting()
    assert stage.workers.asked == ["worker-a", "worker-a"]


async def test_a_pod_that_only_got_another_deletion_cost_is_no_news(stage: Stage) -> None:
    body = pod_body("worker-a", version=1001)
    body["metadata"]["annotations"] = {DELETION_COST: "1"}
    stage.watch.pod("MODIFIED", body)
    assert not stage.watch._poked.is_set()
    assert stage.watch.fleet.pods["uid-of-worker-a"].deletion_cost == 1


async def test_places_that_come_free_are_told(stage: Stage) -> None:
    assert stage.places == [4], "a worker that is there when the watch begins may have them all"
    stage.watch.pod("ADDED", pod_body("worker-b", ready=False))
    assert stage.places == [4]
    stage.watch.pod("MODIFIED", pod_body("worker-b", version=1001))
    assert stage.places == [4, 4]
    stage.workers.answers["worker-a"] = set()
    stage.watch.poke()
    await stage.time.until_waiting()
    assert stage.places == [4, 4, 1]


async def test_a_worker_that_falls_silent_loses_nothing(stage: Stage) -> None:
    del stage.workers.answers["worker-a"]
    stage.watch.poke()
    await stage.time.until_waiting()
    assert stage.workers.asked == ["worker-a", "worker-a"]
    assert stage.watch.worker_of("EG_1") == "worker-a"
    assert stage.changes == [{"EG_1"}]


async def test_doom_and_loss_are_told_with_the_event_itself(stage: Stage) -> None:
    stage.watch.pod("MODIFIED", pod_body("worker-a", version=1001, deleted_at=DELETED_AT))
    assert stage.watch.is_doomed("EG_1")
    stage.watch.pod("DELETED", pod_body("worker-a", version=1002, deleted_at=DELETED_AT))
    assert stage.watch.is_lost("EG_1")
    assert stage.changes == [{"EG_1"}] * 3


async def test_the_death_of_a_worker_in_its_pod_is_told_with_the_event_itself(stage: Stage) -> None:
    killed = pod_body("worker-a", version=1001, ready=False, containers=(container(state=KILLED),))
    stage.watch.pod("MODIFIED", killed)
    assert stage.watch.is_lost("EG_1")
    assert stage.changes == [{"EG_1"}] * 2


async def test_a_deletion_that_the_watch_missed_is_found_in_a_list(stage: Stage) -> None:
    stage.watch.listed([pod_body("worker-b")], known_before=frozenset(stage.watch.fleet.pods))
    assert stage.watch.is_lost("EG_1")
