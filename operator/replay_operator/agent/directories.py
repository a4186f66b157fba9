"""Opens, makes and fills directories below the volume without ever following a symbolic link."""

from __future__ import annotations

import errno
import os
import stat
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from io import RawIOBase
from pathlib import Path

RUN_DIRECTORY_MODE = 0o2775
"""Egress (another user, same group) must write here, and files must keep the group (DESIGN §6.2)."""

_OPEN_DIRECTORY = os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC


@contextmanager
def open_below(root: Path, *parts: str) -> Iterator[int]:
    """Open a directory below `root`, one step after the other, and give its descriptor.

    Args:
        root: The mounted volume.
        *parts: Names of directories, each inside the one before.

    Raises:
        OSError: A part is missing (ENOENT), a symbolic link (ELOOP or ENOTDIR) or no directory.
    """
    descriptor = os.open(root, _OPEN_DIRECTORY)
    try:
        for part in parts:
            inner = os.open(part, _OPEN_DIRECTORY | os.O_NOFOLLOW, dir_fd=descriptor)
            os.close(descriptor)
            descriptor = inner
        yield descriptor
    finally:
        os.close(descriptor)


def names_in(directory: int) -> list[str]:
    """List a directory.

    Args:
        directory: Its descriptor, which stays open.
    """
    with os.scandir(directory) as entries:
        return [entry.name for entry in entries]


def make_below(root: Path, *parts: str, mode: int = RUN_DIRECTORY_MODE) -> None:
    """Make a directory and its parents below `root`, with this mode whatever the umask is.

    A directory that already exists and is ours gets the mode too: an agent may have died in between.

    Args:
        root: The mounted volume.
        *parts: Names of directories, each inside the one before.
        mode: Permission bits of every directory on the way.

    Raises:
        OSError: A part cannot be made, or is a symbolic link.
    """
    for depth, name in enumerate(parts):
        with open_below(root, *parts[:depth]) as parent:
            _make_one(parent, name, mode)


def _make_one(parent: int, name: str, mode: int) -> None:
    with suppress(FileExistsError):
        os.mkdir(name, mode=0o700, dir_fd=parent)
    descriptor = os.open(name, _OPEN_DIRECTORY | os.O_NOFOLLOW, dir_fd=parent)
    try:
        status = os.fstat(descriptor)
        if status.st_uid == os.geteuid() and status.st_mode & 0o7777 != mode:
            os.fchmod(descriptor, mode)
    finally:
        os.close(descriptor)


def write_atomically(directory: int, name: str, content: bytes, *, mode: int) -> None:
    """Replace a file in one step: a reader sees the old content or the new, also after a crash.

    The temporary name is always the same one, so that crashes leave at most one behind.
    The caller makes sure that nobody else writes the same file.

    Args:
        directory: Descriptor of the directory.
        name: File name in it.
        content: The whole content.
        mode: Permission bits, whatever the umask is.

    Raises:
        OSError: The file cannot be written.
    """
    temporary = temporary_name(name)
    with suppress(FileNotFoundError):
        os.unlink(temporary, dir_fd=directory)
    flags = os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC
    descriptor = os.open(temporary, flags, mode, dir_fd=directory)
    try:
        with os.fdopen(descriptor, "wb", buffering=0) as file:
            os.fchmod(descriptor, mode)
            _write_all(file, content)
            os.fsync(descriptor)
    except OSError:
        # On a full volume the half that was written would be missing elsewhere.
        with suppress(OSError):
            os.unlink(temporary, dir_fd=directory)
        raise
    os.rename(temporary, name, src_dir_fd=directory, dst_dir_fd=directory)
    os.fsync(directory)


def _write_all(file: RawIOBase, content: bytes) -> None:
    left = memoryview(content)
    while left:
        left = left[file.write(left) or 0 :]


def temporary_name(name: str) -> str:
    """Give the name under which `write_atomically` writes before it renames."""
    return f".{name}.tmp"


def open_file_below(root: Path, *parts: str) -> int:
    """Open a regular file below `root` for reading and give its descriptor, which the caller closes.

    Args:
        root: The mounted volume.
        *parts: Directories and at last the file's name.

    Raises:
        OSError: A part is missing (ENOENT) or a symbolic link, or the file is no regular one (EINVAL).
    """
    *directories, name = parts
    with open_below(root, *directories) as directory:
        descriptor = os.open(
            name, os.O_RDONLY | os.O_NOFOLLOW | os.O_CLOEXEC | os.O_NONBLOCK, dir_fd=directory
        )
    if not stat.S_ISREG(os.fstat(descriptor).st_mode):
        os.close(descriptor)
        raise OSError(errno.EINVAL, "it is no regular file", name)
    return descriptor


def read_below(root: Path, *parts: str, limit_bytes: int) -> bytes | None:
    """Read the last bytes of a file below `root`, or give None when there is no such regular file.

    Args:
        root: The mounted volume.
        *parts: Directories and at last the file's name.
        limit_bytes: How much of the file's end to read.

    Raises:
        OSError: The file cannot be read, or a part is a symbolic link.
    """
    try:
        descriptor = open_file_below(root, *parts)
    except FileNotFoundError:
        return None
    with os.fdopen(descriptor, "rb") as file:
        size = os.fstat(descriptor).st_size
        file.seek(max(0, size - limit_bytes))
        return file.read(limit_bytes)
