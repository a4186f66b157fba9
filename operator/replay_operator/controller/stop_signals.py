"""SIGTERM and SIGINT: any number of them is one wish to stop."""

from __future__ import annotations

import asyncio
import signal
from collections.abc import Iterator
from contextlib import contextmanager

_SIGNALS = (signal.SIGTERM, signal.SIGINT)


class StopSignals:
    """Sets `received` at SIGTERM and SIGINT. Make it in the event loop of the main thread."""

    def __init__(self) -> None:
        self.received = asyncio.Event()
        self._loop = asyncio.get_running_loop()

    def listen(self) -> None:
        """Take the signals, also from whoever has taken them since the last call.

        No signal falls in between: the loop looks a signal's handler up when it comes to it.
        """
        for number in _SIGNALS:
            self._loop.add_signal_handler(number, self.received.set)

    def ignore(self) -> None:
        """Let later signals change nothing: everything is given up, and the process is on its way out."""
        for number in _SIGNALS:
            self._loop.remove_signal_handler(number)
            signal.signal(number, signal.SIG_IGN)


@contextmanager
def stop_signals() -> Iterator[StopSignals]:
    """Take SIGTERM and SIGINT until the block ends, and ignore them from then on.

    Ignored, because one more of them in the last instants of a clean stop would turn its exit code into 143.
    """
    signals = StopSignals()
    signals.listen()
    try:
        yield signals
    finally:
        signals.ignore()
