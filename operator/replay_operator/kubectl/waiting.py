"""Waiting for a capture, with a countdown for who looks on."""

from __future__ import annotations

import asyncio
import sys
import time
from datetime import UTC, datetime, timedelta

from replay_operator.api.replaycapture import ReplayCapture
from replay_operator.cluster.gateway import ClusterUnreachable, Json
from replay_operator.domain.capture_state import is_finished
from replay_operator.kubectl.capture_table import outcome, progress
from replay_operator.kubectl.errors import EXIT_NO_CLIP, PluginError
from replay_operator.kubectl.flags import Format
from replay_operator.kubectl.session import Session
from replay_operator.kubectl.table import resource_name
from replay_operator.kubectl.telling import remark, tell_object

LOOK_SECONDS = 0.5

_ERASE_LINE = "\r\033[K"


class Progress:
    """One line that changes on a terminal; on anything else a line for each new state."""

    def __init__(self) -> None:
        self._terminal = sys.stderr.isatty()
        self._told = ""

    def show(self, capture: ReplayCapture, now: datetime) -> None:
        """Show how far a capture is.

        Args:
            capture: As it is now.
            now: The time.
        """
        line = progress(capture, now)
        if self._terminal:
            sys.stderr.write(f"{_ERASE_LINE}{line}")
            sys.stderr.flush()
        elif (state := line.partition(",")[0]) != self._told:
            remark(line)
            self._told = state

    def clear(self) -> None:
        """Leave the line empty for what comes."""
        if self._terminal:
            sys.stderr.write(_ERASE_LINE)
            sys.stderr.flush()


async def wait_until_finished(session: Session, name: str, patience: timedelta) -> Json:
    """Look at a capture until it is ready or has failed, and show how far it is.

    Args:
        session: Where.
        name: Which capture.
        patience: For how long at most.

    Raises:
        PluginError: It took longer, or the capture was deleted.
    """
    deadline = time.monotonic() + patience.total_seconds()
    shown = Progress()
    try:
        while True:
            try:
                found = await session.capture(name)
            except ClusterUnreachable:
                found = None  # it may come back: the capture goes on without us
            if found is not None:
                capture = ReplayCapture.model_validate(found)
                if is_finished(capture):
                    return found
                shown.show(capture, datetime.now(UTC))
            if time.monotonic() > deadline:
                raise PluginError(f"timed out waiting for the condition on replaycaptures/{name}")
            await asyncio.sleep(LOOK_SECONDS)
    finally:
        shown.clear()


def tell_outcome(item: Json, format_: Format) -> int:
    """Write what became of a finished capture.

    Args:
        item: As the API server gave it.
        format_: What -o says.

    Returns:
        The exit code.
    """
    capture = ReplayCapture.model_validate(item)
    line = f"{resource_name(item)} {outcome(capture)}"
    if capture.status.clip is not None:
        tell_object(item, format_, line)
        return 0
    if format_ in (Format.JSON, Format.YAML):
        tell_object(item, format_, line)
    remark(f"error: {line}")
    return EXIT_NO_CLIP
