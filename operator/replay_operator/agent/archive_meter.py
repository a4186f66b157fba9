"""Measures the archive volume: how much lies on it, and how much more it takes."""

from __future__ import annotations

import logging
import os
import stat
from contextlib import suppress
from pathlib import Path

from replay_operator.agent.directories import open_below
from replay_operator.agent.file_work import FileWork
from replay_operator.agent.metrics import AgentMetrics

MEASURE_SECONDS = 600.0
"""From one measurement to the next: it asks for the size of every file, which a network volume feels."""

_logger = logging.getLogger(__name__)


class ArchiveMeter:
    """Walks over the archive volume one directory at a time, and reads nothing but sizes."""

    def __init__(self, root: Path, files: FileWork, metrics: AgentMetrics) -> None:
        """Take what is needed.

        Args:
            root: Where the archive volume is mounted.
            files: The way to file operations.
            metrics: Where the sizes go.
        """
        self._root = root
        self._files = files
        self._metrics = metrics

    async def measure(self) -> None:
        """Measure once. A directory that cannot be read is said, and leaves the last figure as it was."""
        try:
            space = await self._files.run(os.statvfs, self._root)
            self._metrics.archive_bytes.labels("size").set(space.f_blocks * space.f_frsize)
            self._metrics.archive_bytes.labels("free").set(space.f_bavail * space.f_frsize)
            self._metrics.storage_bytes.labels("permanent").set(await self._stored_bytes())
        except OSError as error:
            _logger.warning("the archive volume cannot be measured: %s", error)

    async def _stored_bytes(self) -> int:
        total, waiting = 0, [tuple[str, ...]()]
        while waiting:
            parts = waiting.pop()
            try:
                found, below = await self._files.run(_sizes, self._root, parts)
            except (FileNotFoundError, PermissionError):
                continue  # it went while we walked, or belongs to the file system, as ext4's lost+found
            total += found
            waiting += [(*parts, name) for name in below]
        return total


def _sizes(root: Path, parts: tuple[str, ...]) -> tuple[int, list[str]]:
    """Give the bytes of the files in one directory, and the directories in it."""
    total, below = 0, list[str]()
    with open_below(root, *parts) as directory, os.scandir(directory) as entries:
        for entry in entries:
            if entry.is_dir(follow_symlinks=False):
                below.append(entry.name)
                continue
            with suppress(FileNotFoundError):
                status = entry.stat(follow_symlinks=False)
                total += status.st_size if stat.S_ISREG(status.st_mode) else 0
    return total, below
