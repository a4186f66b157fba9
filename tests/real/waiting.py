"""Waiting for a condition, with a deadline."""

import time
from collections.abc import Callable

_POLL_SECONDS = 0.1


def wait_until(what: str, holds: Callable[[], bool], *, seconds: float) -> None:
    """Look until something holds.

    Args:
        what: Named in the failure.
        holds: Looks.
        seconds: How long to look at most.
    """
    deadline = time.monotonic() + seconds
    while not holds():
        assert time.monotonic() < deadline, f"after {seconds:.0f} s still not: {what}"
        time.sleep(_POLL_SECONDS)
