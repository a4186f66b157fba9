"""However much is asked for, a volume meets at most five file operations at once."""

from __future__ import annotations

import asyncio
import threading

from replay_operator.agent.file_work import AT_ONCE, FileWork


async def test_five_operations_run_at_once_and_the_sixth_waits() -> None:
    files, lock, go_on = FileWork(), threading.Lock(), threading.Event()
    full = threading.Semaphore(0)
    running: list[int] = []
    most = 0

    def work(number: int) -> int:
        nonlocal most
        with lock:
            running.append(number)
            most = max(most, len(running))
        full.release()
        assert go_on.wait(10)
        with lock:
            running.remove(number)
        return number

    asked = [asyncio.create_task(files.run(work, number)) for number in range(4 * AT_ONCE)]
    for _ in range(AT_ONCE):
        assert await asyncio.to_thread(full.acquire, timeout=10)
    with lock:
        assert len(running) == AT_ONCE
    go_on.set()

    assert await asyncio.gather(*asked) == list(range(4 * AT_ONCE))
    assert most == AT_ONCE == 5
