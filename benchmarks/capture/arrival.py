"""The newest segment of a buffer comes while a capture Job waits for it."""

from __future__ import annotations

import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path

from replay_operator.api.agent import RunFile
from replay_operator.domain.layout import INDEX_PLAYLIST, RUN_FILE

_SETTLED_SECONDS = 0.5
_LOOK_SECONDS = 0.02
_PATIENCE_SECONDS = 60.0


@dataclass(frozen=True)
class Arrival:
    """A segment that is held back. `started_at` is the capture time at which its buffer begins now."""

    started_at: datetime
    held: Path
    place: Path
    playlist: Path
    entries: str

    def come(self) -> None:
        """Put it where it belongs, and name it."""
        self.held.rename(self.place)
        self.playlist.write_text(self.entries)


@contextmanager
def held_back(buffer: Path, length: timedelta) -> Iterator[Arrival]:
    """Hold the newest segment of a buffer back, and let all its runs have begun just long enough ago.

    Args:
        buffer: Its directory. All runs have the same clock.
        length: From its first instant to its last.
    """
    started_at = datetime.now(UTC) - length
    run_files = {file: file.read_text() for file in buffer.glob(f"*/{RUN_FILE}")}
    for file, text in run_files.items():
        clock = {"media_started_at_ns": int(started_at.timestamp() * 1_000_000_000)}
        moved = RunFile.model_validate_json(text).model_copy(update=clock)
        file.write_text(moved.model_dump_json(by_alias=True))
    newest = max(buffer.glob("*/seg_*.ts"), key=lambda path: path.name)
    playlist = newest.with_name(INDEX_PLAYLIST)
    entries = playlist.read_text()
    arrival = Arrival(started_at, buffer.with_name("held-back"), newest, playlist, entries)
    newest.rename(arrival.held)
    playlist.write_text("".join(entries.splitlines(keepends=True)[:-2]))
    try:
        yield arrival
    finally:
        if arrival.held.exists():
            arrival.come()
        for file, text in run_files.items():
            file.write_text(text)


def wait_until_settled(archive: Path) -> None:
    """Wait until an unfinished clip has been there for a while and grows no more.

    Args:
        archive: Where clips are made.

    Raises:
        TimeoutError: There was none.
    """
    given_up = time.monotonic() + _PATIENCE_SECONDS
    size, since = 0, time.monotonic()
    while size == 0 or time.monotonic() - since < _SETTLED_SECONDS:
        if time.monotonic() > given_up:
            raise TimeoutError(f"nothing was joined ahead in {archive}")
        now = sum(path.stat().st_size for path in archive.rglob(".*.part"))
        if now != size:
            size, since = now, time.monotonic()
        time.sleep(_LOOK_SECONDS)
