"""The queue that runs all reconciles."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager

import pytest

from replay_operator.controller.queue import GRAIN_SECONDS, KeyedQueue
from tests.waiting import until

Reconcile = Callable[[str], Awaitable[float | None]]


@asynccontextmanager
async def running(queue: KeyedQueue[str], reconcile: Reconcile, *, workers: int = 4) -> AsyncIterator[None]:
    task = asyncio.create_task(queue.run(reconcile, workers=workers))
    try:
        yield
    finally:
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)


async def test_a_key_that_is_added_twice_is_reconciled_once() -> None:
    queue: KeyedQueue[str] = KeyedQueue()
    seen: list[str] = []
    both = asyncio.Event()

    async def reconcile(key: str) -> None:
        seen.append(key)
        if key == "last":
            both.set()

    queue.add("a")
    queue.add("a")
    queue.add("last", delay=0.02)
    async with running(queue, reconcile):
        await asyncio.wait_for(both.wait(), 60)
    assert seen == ["a", "last"]


async def test_a_key_that_is_added_while_it_runs_runs_once_more_and_never_beside_itself() -> None:
    queue: KeyedQueue[str] = KeyedQueue()
    started, go_on, second = asyncio.Event(), asyncio.Event(), asyncio.Event()
    at_once = 0
    most = 0
    runs = 0

    async def reconcile(_: str) -> None:
        nonlocal at_once, most, runs
        at_once += 1
        most = max(most, at_once)
        runs += 1
        started.set()
        if runs == 1:
            await go_on.wait()
        else:
            second.set()
        at_once -= 1

    async with running(queue, reconcile):
        queue.add("a")
        await asyncio.wait_for(started.wait(), 60)
        queue.add("a")
        queue.add("a")
        go_on.set()
        await asyncio.wait_for(second.wait(), 60)
    assert (runs, most) == (2, 1)


async def test_no_more_than_so_many_run_at_once() -> None:
    queue: KeyedQueue[str] = KeyedQueue()
    go_on, full, done = asyncio.Event(), asyncio.Event(), asyncio.Event()
    at_once, most, finished = 0, 0, 0

    async def reconcile(_: str) -> None:
        nonlocal at_once, most, finished
        at_once += 1
        most = max(most, at_once)
        if at_once == 2:
            full.set()
        await go_on.wait()
        at_once -= 1
        finished += 1
        if finished == 6:
            done.set()

    for key in "abcdef":
        queue.add(key)
    async with running(queue, reconcile, workers=2):
        await asyncio.wait_for(full.wait(), 60)
        go_on.set()
        await asyncio.wait_for(done.wait(), 60)
    assert most == 2


async def test_an_exception_is_tried_again_and_harms_no_other_key(caplog: pytest.LogCaptureFixture) -> None:
    queue: KeyedQueue[str] = KeyedQueue()
    good, cured = asyncio.Event(), asyncio.Event()
    tries = 0

    async def reconcile(key: str) -> None:
        nonlocal tries
        if key == "good":
            good.set()
            return
        tries += 1
        if tries == 1:
            raise RuntimeError("broken once")
        cured.set()

    queue.add("bad")
    queue.add("good")
    async with running(queue, reconcile):
        await asyncio.wait_for(good.wait(), 60)
        await asyncio.wait_for(cured.wait(), 60)
    assert tries == 2
    assert "reconcile of bad failed 1 times" in caplog.text


async def test_urgent_keys_come_first() -> None:
    queue: KeyedQueue[str] = KeyedQueue()
    order: list[str] = []
    done = asyncio.Event()

    async def reconcile(key: str) -> None:
        order.append(key)
        if len(order) == 3:
            done.set()

    queue.add("first")
    queue.add("second")
    queue.add("deleted", urgent=True)
    async with running(queue, reconcile, workers=1):
        await asyncio.wait_for(done.wait(), 60)
    assert order[0] == "deleted"


async def test_the_earlier_of_two_times_wins() -> None:
    queue: KeyedQueue[str] = KeyedQueue()
    times: list[float] = []
    loop = asyncio.get_running_loop()
    done = asyncio.Event()
    begun = loop.time()

    async def reconcile(_: str) -> None:
        times.append(loop.time() - begun)
        done.set()

    queue.add("a", delay=3600)
    queue.add("a", delay=0.01)
    async with running(queue, reconcile):
        await asyncio.wait_for(done.wait(), 60)
    assert len(times) == 1
    assert len(queue) == 0


async def test_a_reconcile_that_asks_for_a_delay_is_called_again() -> None:
    queue: KeyedQueue[str] = KeyedQueue()
    calls = 0
    twice = asyncio.Event()

    async def reconcile(_: str) -> float | None:
        nonlocal calls
        calls += 1
        if calls == 1:
            return 0.01
        twice.set()
        return None

    queue.add("a")
    async with running(queue, reconcile):
        await asyncio.wait_for(twice.wait(), 60)
    assert calls == 2


async def test_a_queue_with_nothing_to_do_turns_all_the_same() -> None:
    queue: KeyedQueue[str] = KeyedQueue(heartbeat_seconds=0.01)

    async def reconcile(key: str) -> None:
        raise AssertionError(key)

    async with running(queue, reconcile):
        for _ in range(3):
            before = await still_for(queue, 0.005)
            await turned(queue, before)


async def test_a_queue_whose_workers_all_hang_stands_still_until_one_is_free() -> None:
    queue: KeyedQueue[str] = KeyedQueue(heartbeat_seconds=0.01)
    hanging, free = asyncio.Event(), asyncio.Event()

    async def reconcile(key: str) -> None:
        hanging.set()
        await free.wait()

    queue.add("a")
    queue.add("b")
    async with running(queue, reconcile, workers=1):
        await asyncio.wait_for(hanging.wait(), 60)
        before = await still_for(queue, 0.1)
        free.set()
        await turned(queue, before)


async def still_for(queue: KeyedQueue[str], seconds: float) -> float:
    await until("a queue that stands", lambda: queue.still_seconds >= seconds, pause_seconds=0.001)
    return queue.still_seconds


async def turned(queue: KeyedQueue[str], before: float) -> None:
    await until("a turn", lambda: queue.still_seconds < before, pause_seconds=0.001)


async def test_a_recheck_that_has_become_too_early_is_put_off_and_an_added_key_never_is() -> None:
    queue: KeyedQueue[str] = KeyedQueue()
    seen: list[str] = []
    asked: list[str] = []
    done = asyncio.Event()

    async def reconcile(key: str) -> float | None:
        seen.append(key)
        if key == "added" and seen.count(key) == 2:
            done.set()
        return 0.0 if seen.count(key) == 1 else None

    def postponed(key: str) -> float | None:
        asked.append(key)
        if key == "added" and asked.count(key) == 2:
            queue.add("added")
            return 3600.0
        return 0.01 if key == "added" else 3600.0

    queue.add("calm")
    queue.add("added")
    task = asyncio.create_task(queue.run(reconcile, workers=1, postponed=postponed))
    try:
        await asyncio.wait_for(done.wait(), 60)
    finally:
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)
    assert seen == ["calm", "added", "added"]
    assert asked.count("calm") == 1
    assert asked.count("added") == 2, "the key was added after that, and ran without a question"


async def test_a_key_that_is_added_while_its_recheck_is_overdue_runs_without_a_question() -> None:
    queue: KeyedQueue[str] = KeyedQueue()
    runs = 0
    twice = asyncio.Event()

    async def reconcile(key: str) -> float | None:
        nonlocal runs
        if key == "other":
            queue.add("a")  # its recheck has been due since before this, and has not run yet
            return None
        runs += 1
        if runs == 2:
            twice.set()
            return None
        queue.add("other", urgent=True)
        return 0.0

    queue.add("a")
    task = asyncio.create_task(queue.run(reconcile, workers=1, postponed=lambda _: 3600.0))
    try:
        await asyncio.wait_for(twice.wait(), 60)
    finally:
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)
    assert runs == 2


async def test_rechecks_that_are_far_away_come_due_together_and_never_too_early() -> None:
    queue: KeyedQueue[str] = KeyedQueue()
    all_done = asyncio.Event()
    seen: set[str] = set()
    begun: list[float] = []

    async def reconcile(key: str) -> float | None:
        begun.append(asyncio.get_running_loop().time())
        seen.add(key)
        if len(seen) == 50:
            all_done.set()
        return 30.0 + len(seen) / 10_000

    for number in range(50):
        queue.add(f"key-{number}")
    async with running(queue, reconcile):
        await asyncio.wait_for(all_done.wait(), 60)
        await asyncio.sleep(0)
        due = set(queue._due.values())
    assert len(due) <= 1 + (max(begun) - min(begun)) / GRAIN_SECONDS + 1
    assert min(due) >= min(begun) + 30.0


async def test_what_waits_is_what_is_due_and_not_what_comes_later() -> None:
    queue: KeyedQueue[str] = KeyedQueue()
    assert queue.waiting() == (0, 0.0)
    queue.add("due", delay=-3)
    queue.add("urgent", urgent=True)
    queue.add("later", delay=60)
    waiting, age_seconds = queue.waiting()
    assert waiting == 2
    assert 3 <= age_seconds < 60, "an urgent one does not say since when"


async def test_what_is_worked_on_does_not_wait() -> None:
    queue: KeyedQueue[str] = KeyedQueue()
    begun, end = asyncio.Event(), asyncio.Event()

    async def reconcile(_: str) -> None:
        begun.set()
        await end.wait()

    queue.add("a")
    async with running(queue, reconcile):
        await asyncio.wait_for(begun.wait(), 60)
        assert (queue.waiting(), queue.running) == ((0, 0.0), 1)
