"""The lock that makes this agent the only deleter of its volume, and the place for its own files there."""

from __future__ import annotations

import errno
import fcntl
import os
from pathlib import Path

from replay_operator.agent.directories import make_below, open_below, read_below, write_atomically

STATE_DIRECTORY = ".replay-agent"
LOCK_FILE = "lock"

_STATE_DIRECTORY_MODE = 0o2770
_STATE_FILE_MODE = 0o660


class VolumeLock:
    """An exclusive lock on a file of the volume. The kernel frees it however the process dies."""

    def __init__(self, root: Path) -> None:
        """Take the mount point; nothing is locked yet.

        Args:
            root: Where the volume is mounted.
        """
        self._root = root
        self._descriptor: int | None = None

    def try_acquire(self) -> bool:
        """Try to become the owner, and say whether this agent is the owner now.

        Raises:
            OSError: The volume cannot be written, or its file system has no locks.
        """
        if self._descriptor is not None:
            return True
        make_below(self._root, STATE_DIRECTORY, mode=_STATE_DIRECTORY_MODE)
        with open_below(self._root, STATE_DIRECTORY) as directory:
            flags = os.O_RDWR | os.O_CREAT | os.O_NOFOLLOW | os.O_CLOEXEC
            descriptor = os.open(LOCK_FILE, flags, _STATE_FILE_MODE, dir_fd=directory)
        try:
            if os.fstat(descriptor).st_uid == os.geteuid():
                # The umask must not lock out the next agent, which may be another user of the same group.
                os.fchmod(descriptor, _STATE_FILE_MODE)
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError as error:
            os.close(descriptor)
            if error.errno in (errno.EAGAIN, errno.EACCES):
                return False
            raise
        self._descriptor = descriptor
        return True

    def confirm(self) -> bool:
        """Say whether the lock is still ours and the volume still takes writes.

        A lock on a file that somebody removed or replaced protects nothing: then it is given up.

        Raises:
            OSError: The volume cannot be written.
        """
        if self._descriptor is None:
            return False
        os.utime(self._descriptor)
        held = os.fstat(self._descriptor)
        try:
            with open_below(self._root, STATE_DIRECTORY) as directory:
                named = os.stat(LOCK_FILE, dir_fd=directory, follow_symlinks=False)
        except FileNotFoundError:
            named = None
        if named is None or (named.st_dev, named.st_ino) != (held.st_dev, held.st_ino):
            self.release()
            return False
        return True

    def release(self) -> None:
        """Give the lock up; calling it twice is harmless."""
        if self._descriptor is not None:
            os.close(self._descriptor)
            self._descriptor = None


def read_state(root: Path, name: str, *, limit_bytes: int) -> bytes | None:
    """Read a file of the agent's own directory, or give None when there is none.

    Args:
        root: Where the volume is mounted.
        name: File name.
        limit_bytes: The longest file that makes sense.

    Raises:
        OSError: The volume cannot be read.
    """
    return read_below(root, STATE_DIRECTORY, name, limit_bytes=limit_bytes)


def write_state(root: Path, name: str, content: bytes) -> None:
    """Replace a file of the agent's own directory in one step.

    Args:
        root: Where the volume is mounted.
        name: File name.
        content: Its whole content.

    Raises:
        OSError: The volume cannot be written.
    """
    with open_below(root, STATE_DIRECTORY) as directory:
        write_atomically(directory, name, content, mode=_STATE_FILE_MODE)
