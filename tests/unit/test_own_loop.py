"""A loop in a thread of its own."""

from __future__ import annotations

import asyncio
import threading

import pytest

from replay_operator.controller.own_loop import OwnLoop

DEADLINE_SECONDS = 10


async def test_work_there_goes_on_while_the_loop_here_is_blocked() -> None:
    done = threading.Event()

    async def several_steps() -> str:
        for _ in range(5):
            await asyncio.sleep(0)
        done.set()
        return "renewed"

    async with OwnLoop("of-a-test") as there:
        working = asyncio.ensure_future(there.run(several_steps()))
        await asyncio.sleep(0)  # it is handed over
        assert done.wait(DEADLINE_SECONDS), "nothing else turns here meanwhile"
        assert await working == "renewed"


async def test_what_goes_wrong_there_is_raised_here() -> None:
    async def fails() -> None:
        raise LookupError("there")

    async with OwnLoop("of-a-test") as there:
        with pytest.raises(LookupError, match="there"):
            await there.run(fails())


async def test_work_that_is_given_up_here_is_cancelled_there_before_later_work_begins() -> None:
    begun = threading.Event()
    told: list[str] = []

    async def endless() -> None:
        begun.set()
        try:
            await asyncio.Event().wait()
        finally:
            told.append("cancelled")

    async def later() -> None:
        told.append("later")

    async with OwnLoop("of-a-test") as there:
        working = asyncio.ensure_future(there.run(endless()))
        await asyncio.to_thread(begun.wait, DEADLINE_SECONDS)
        working.cancel()
        await asyncio.gather(working, return_exceptions=True)
        await there.run(later())
    assert told == ["cancelled", "later"]


async def test_its_thread_ends_with_it() -> None:
    async with OwnLoop("of-a-test"):
        assert "of-a-test" in {thread.name for thread in threading.enumerate()}
    assert "of-a-test" not in {thread.name for thread in threading.enumerate()}
