"""Whether processes are still there, as the kernel sees it."""

import time
from collections.abc import Iterable
from pathlib import Path

_DEADLINE_SECONDS = 30.0
_POLL_SECONDS = 0.02


def is_running(pid: int) -> bool:
    """Whether the process exists and is no zombie."""
    try:
        stat = Path(f"/proc/{pid}/stat").read_text()
    except FileNotFoundError:
        return False
    # The state follows the program's name, which is in parentheses and may hold anything.
    return stat.rpartition(")")[2].split()[0] != "Z"


def running_after_deadline(pids: Iterable[int]) -> list[int]:
    """Waits until none of the processes runs; returns those that still do after 30 s."""
    deadline = time.monotonic() + _DEADLINE_SECONDS
    left = list(pids)
    while (left := [pid for pid in left if is_running(pid)]) and time.monotonic() < deadline:
        time.sleep(_POLL_SECONDS)
    return left
