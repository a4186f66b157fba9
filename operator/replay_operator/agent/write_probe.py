"""Finds out whether the buffer volume takes writes, for the readiness of the agent."""

from __future__ import annotations

import errno
import os
from pathlib import Path

from replay_operator.agent.clock import AgentClock
from replay_operator.agent.directories import open_below
from replay_operator.agent.file_work import FileWork
from replay_operator.agent.ownership import STATE_DIRECTORY

PROBE_FILE = "write-probe"
PROBE_SECONDS = 10.0
UNANSWERED_SECONDS = 60.0
"""A write that takes longer says that the volume is stalled: NFS with `hard` waits without an error."""

FULL = frozenset({errno.ENOSPC, errno.EDQUOT})
_MODE = 0o660


class WriteProbe:
    """Writes a few bytes through to the disk now and then, and remembers how it went."""

    def __init__(self, root: Path, files: FileWork, clock: AgentClock) -> None:
        """Take what is needed; nothing is written yet.

        Args:
            root: Where the volume is mounted.
            files: The way to file operations.
            clock: Tells how old an answer is.
        """
        self._root = root
        self._files = files
        self._clock = clock
        self._asked_seconds: float | None = None
        self._answered_seconds: float | None = None
        self._error: OSError | None = None

    async def look(self) -> None:
        """Write, unless that was done a moment ago. Never raises: what went wrong shows in `trouble`."""
        now_seconds = self._clock.monotonic()
        if self._asked_seconds is not None and now_seconds - self._asked_seconds < PROBE_SECONDS:
            return
        self._asked_seconds = now_seconds
        try:
            await self._files.run(_write, self._root)
        except OSError as error:
            self._error = error
        else:
            self._error = None
        self._answered_seconds = self._clock.monotonic()

    @property
    def takes_writes(self) -> bool:
        """Whether the last write went through."""
        return self.trouble() is None and self._error is None

    def trouble(self) -> str | None:
        """Say why nobody can work on this volume, None when somebody can.

        A full volume is no such reason: without the agent nobody could make room, tell of it, or pin.
        """
        waited_seconds = self._clock.monotonic() - (self._answered_seconds or self._clock.monotonic())
        if waited_seconds > UNANSWERED_SECONDS:
            return f"the buffer volume has not answered a write for {waited_seconds:.0f} s: it is stalled"
        if self._error is not None and self._error.errno not in FULL:
            return f"the buffer volume cannot be written: {self._error}"
        return None


def _write(root: Path) -> None:
    flags = os.O_WRONLY | os.O_CREAT | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC
    with open_below(root, STATE_DIRECTORY) as directory:
        descriptor = os.open(PROBE_FILE, flags, _MODE, dir_fd=directory)
    try:
        if os.fstat(descriptor).st_uid == os.geteuid():
            os.fchmod(descriptor, _MODE)
        os.pwrite(descriptor, b"the agent writes here to see whether it can\n", 0)
        os.fdatasync(descriptor)
    finally:
        os.close(descriptor)
