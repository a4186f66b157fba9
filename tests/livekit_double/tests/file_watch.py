"""File events by inotify, with times: the order in which a directory is written."""

import ctypes
import os
import select
import struct
import threading
import time
from dataclasses import dataclass
from pathlib import Path
from typing import Self

_CREATE, _MODIFY, _CLOSE_WRITE, _DELETE, _MOVED_TO = 0x100, 0x2, 0x8, 0x200, 0x80
_NAMES = {
    _CREATE: "CREATE",
    _MODIFY: "MODIFY",
    _CLOSE_WRITE: "CLOSE_WRITE",
    _DELETE: "DELETE",
    _MOVED_TO: "MOVED_TO",
}
_HEADER = struct.Struct("iIII")


@dataclass(frozen=True, slots=True)
class FileEvent:
    """One event: wall clock in seconds, name of the event, the file."""

    at: float
    kind: str
    path: Path


class FileWatch:
    """Collects events of directories that exist. Use as a context manager."""

    def __init__(self, *directories: Path) -> None:
        libc = ctypes.CDLL(None, use_errno=True)
        self._descriptor = libc.inotify_init()
        self._directories: dict[int, Path] = {}
        for directory in directories:
            watch = libc.inotify_add_watch(self._descriptor, bytes(directory), sum(_NAMES))
            if watch < 0:
                raise OSError(ctypes.get_errno(), "inotify_add_watch", str(directory))
            self._directories[watch] = directory
        self._stop_read, self._stop_write = os.pipe()
        self.events: list[FileEvent] = []
        self._thread = threading.Thread(target=self._read, daemon=True)

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        os.write(self._stop_write, b"x")
        self._thread.join()
        for descriptor in (self._descriptor, self._stop_read, self._stop_write):
            os.close(descriptor)

    def _read(self) -> None:
        while True:
            readable, _, _ = select.select([self._descriptor, self._stop_read], [], [])
            if self._descriptor in readable:
                self._parse(time.time(), os.read(self._descriptor, 65536))
            elif readable:
                return

    def _parse(self, at: float, data: bytes) -> None:
        position = 0
        while position < len(data):
            watch, mask, _, length = _HEADER.unpack_from(data, position)
            name = data[position + _HEADER.size : position + _HEADER.size + length].rstrip(b"\0").decode()
            position += _HEADER.size + length
            kind = next((_NAMES[bit] for bit in _NAMES if mask & bit), "")
            if watch in self._directories and kind:
                self.events.append(FileEvent(at, kind, self._directories[watch] / name))
