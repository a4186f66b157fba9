"""However much is asked for, a volume meets at most five file operations at once."""

from __future__ import annotations

import asyncio
import threading

from replay_operator.agent.file_work import AT_ONCE, FileWork


async def test_five_operations_run_at_once_and_the_sixth_waits() -> None:
    files, lock, go_on = FileWork(), threading.Lock(), threading.Event()
    loop, begun = asyncio.get_running_loop(), asyncio.Semaphore(0)
    running: list[int] = []
    most = 0

    def work(number: int) -> int:
        nonlocal most
        with lock:
            running.append(number)
            most = max(most, len(running))
        loop.call_soon_threadsafe(begun.release)
        assert go_on.wait(60)
        with lock:
            running.remove(number)
        return number

    asked = [asyncio.create_task(files.run(work, number)) for number in range(4 * AT_ONCE)]
    async with asyncio.timeout(60):
        for _ in range(AT_ONCE):
            await begun.acquire()
    with lock:
        assert len(running) == AT_ONCE
    go_on.set()

    assert await asyncio.gather(*asked) == list(range(4 * AT_ONCE))
    assert most == AT_ONCE == 5
