"""Writers that put segments on a volume in the way of egress, one thread each, faster than life."""

from __future__ import annotations

import threading
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path

COPY_BYTES = 64 * 1024
"""Egress copies in pieces, so that a reader may see half a file."""

LIVE_ENTRIES = 5


@dataclass
class Writer:
    """One recording: segments are copied into its directory, then both playlists are rewritten in place.

    `written` is the highest index that is on disk; `error` is what the volume refused, and ends the writer.
    """

    directory: Path
    segments: Sequence[bytes]
    every_seconds: float
    size_factor: int = 1
    written: int = -1
    error: OSError | None = None
    _stop: threading.Event = field(default_factory=threading.Event)
    _thread: threading.Thread | None = None

    def start(self) -> None:
        self._thread = threading.Thread(target=self._write_all, name=f"writer {self.directory.name}")
        self._thread.start()

    def stop(self) -> None:
        self._stop.set()
        self.join()

    def join(self) -> None:
        if self._thread is not None:
            self._thread.join(120)

    @property
    def is_done(self) -> bool:
        return self._thread is None or not self._thread.is_alive()

    def _write_all(self) -> None:
        try:
            for index, segment in enumerate(self.segments):
                self._write(index, segment)
                if self._stop.wait(self.every_seconds):
                    return
        except OSError as error:
            self.error = error

    def _write(self, index: int, segment: bytes) -> None:
        with (self.directory / f"seg_{index:05d}.ts").open("wb", buffering=0) as file:
            for _ in range(self.size_factor):
                for start in range(0, len(segment), COPY_BYTES):
                    file.write(segment[start : start + COPY_BYTES])
        self.written = index
        for name, first in (("index.m3u8", 0), ("live.m3u8", max(0, index + 1 - LIVE_ENTRIES))):
            lines = ["#EXTM3U", "#EXT-X-TARGETDURATION:2", f"#EXT-X-MEDIA-SEQUENCE:{first}"]
            for listed in range(first, index + 1):
                lines += ["#EXTINF:2.000,", f"seg_{listed:05d}.ts"]
            (self.directory / name).write_text("\n".join([*lines, ""]))
