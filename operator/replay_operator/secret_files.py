"""Secrets from a mounted directory, read again when their files change. It blocks: call it in a thread."""

from __future__ import annotations

from pathlib import Path

_LIMIT_BYTES = 4096

_Stamp = tuple[int, int, int]


class SecretFiles:
    """What a few files of a mounted Secret hold."""

    def __init__(self, directory: Path, names: tuple[str, ...]) -> None:
        """Take the directory where the Secret is mounted.

        Args:
            directory: Where.
            names: The files, each of which may be missing.
        """
        self._paths = tuple(directory / name for name in names)
        self._stamps: tuple[_Stamp | None, ...] | None = None
        self._found: tuple[bytes, ...] = ()

    def current(self) -> tuple[bytes, ...]:
        """Give what the files hold now, without spaces around it, in their order; empty ones are left out."""
        stamps = tuple(_stamp(path) for path in self._paths)
        if stamps != self._stamps:
            found = (_read(path) for path in self._paths)
            self._found = tuple(secret for secret in found if secret)
            self._stamps = stamps
        return self._found


def _stamp(path: Path) -> _Stamp | None:
    try:
        status = path.stat()
    except OSError:
        return None
    return status.st_ino, status.st_mtime_ns, status.st_size


def _read(path: Path) -> bytes:
    try:
        with path.open("rb") as file:
            return file.read(_LIMIT_BYTES).strip()
    except OSError:
        return b""
