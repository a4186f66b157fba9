"""Waiting for a signal in asyncio."""

import asyncio
import signal


async def received(*signals: signal.Signals) -> None:
    """Returns once one of the signals has come; they no longer end the process."""
    event = asyncio.Event()
    for each in signals:
        asyncio.get_running_loop().add_signal_handler(each, event.set)
    await event.wait()
