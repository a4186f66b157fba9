"""Removes unfinished files from the archive volume that no capture will finish any more.

A capture worker that was killed leaves its `.part`, with all the room that it had reserved. A further attempt
of the same capture clears it (`media/leftovers.py`); when there is none, nobody else would. Only namespaces
that the policy names are looked at: somebody else's install may keep its clips on the same volume.
"""

from __future__ import annotations

import logging
import os
import stat
from collections.abc import Collection
from pathlib import Path

from replay_operator.agent.clock import AgentClock
from replay_operator.agent.directories import open_below
from replay_operator.agent.file_work import FileWork
from replay_operator.agent.metrics import AgentMetrics
from replay_operator.agent.policy_book import PolicyBook
from replay_operator.domain.layout import abandoned_part

PART_SWEEP_SECONDS = 600.0
"""From one walk over the archive to the next."""

_LEVELS = 3
"""Namespace, owner and day are directories; clips lie in the days."""

_logger = logging.getLogger(__name__)


class PartSweeper:
    """Walks over the archive volume one directory at a time."""

    def __init__(
        self,
        root: Path,
        *,
        files: FileWork,
        clock: AgentClock,
        book: PolicyBook,
        metrics: AgentMetrics,
        silence_seconds: float,
        grace_seconds: float,
    ) -> None:
        """Take what is needed.

        Args:
            root: Where the archive volume is mounted.
            files: The way to file operations.
            clock: Tells how old a file is.
            book: The policy in force: it names the captures that may still write.
            metrics: Where removals are counted.
            silence_seconds: Without an accepted policy for so long, nothing goes.
            grace_seconds: A file that was written to so lately stays.
        """
        self._root = root
        self._files = files
        self._clock = clock
        self._book = book
        self._metrics = metrics
        self._silence_seconds = silence_seconds
        self._grace_seconds = grace_seconds

    async def sweep(self) -> None:
        """Walk once over the whole archive. What cannot be read or removed is said, and passed over."""
        waiting: list[tuple[str, ...]] = [()]
        while waiting:
            live = self._live_captures()
            if live is None:
                return
            parts = waiting.pop()
            try:
                if not parts:
                    waiting += [(namespace,) for namespace in self._namespaces()]
                elif len(parts) < _LEVELS:
                    names = await self._files.run(_directory_names, self._root, parts)
                    waiting += [(*parts, name) for name in names]
                else:
                    await self._sweep_day(parts, live)
            except FileNotFoundError:
                continue
            except OSError as error:
                _logger.warning("%s on the archive volume is not swept: %s", "/".join(parts), error)

    def _live_captures(self) -> frozenset[str] | None:
        """Give the captures that may still write; None when nobody has named them all lately."""
        policy, heard = self._book.in_force, self._book.heard_seconds
        if policy is None or not policy.complete or policy.live_captures is None or heard is None:
            return None
        if self._clock.monotonic() - heard > self._silence_seconds:
            return None
        return frozenset(policy.live_captures)

    def _namespaces(self) -> list[str]:
        policy = self._book.in_force
        return sorted({buffer.path.partition("/")[0] for buffer in policy.buffers}) if policy else []

    async def _sweep_day(self, parts: tuple[str, ...], live: frozenset[str]) -> None:
        newest_ns = int((self._clock.now().timestamp() - self._grace_seconds) * 1e9)
        gone = await self._files.run(_remove_abandoned, self._root, parts, live, newest_ns)
        self._metrics.deleted_parts.inc(len(gone))
        for name in gone:
            _logger.info("%s/%s is gone: the capture that began it has ended", "/".join(parts), name)


def _directory_names(root: Path, parts: tuple[str, ...]) -> list[str]:
    with open_below(root, *parts) as directory, os.scandir(directory) as entries:
        return [
            entry.name
            for entry in entries
            if not entry.name.startswith(".") and entry.is_dir(follow_symlinks=False)
        ]


def _remove_abandoned(root: Path, parts: tuple[str, ...], live: Collection[str], newest_ns: int) -> list[str]:
    with open_below(root, *parts) as directory:
        with os.scandir(directory) as entries:
            names = [entry.name for entry in entries if abandoned_part(entry.name, live)]
        return [name for name in names if _remove_if_old(directory, name, newest_ns)]


def _remove_if_old(directory: int, name: str, newest_ns: int) -> bool:
    try:
        status = os.stat(name, dir_fd=directory, follow_symlinks=False)
        if not stat.S_ISREG(status.st_mode) or status.st_mtime_ns > newest_ns:
            return False
        os.unlink(name, dir_fd=directory)
    except FileNotFoundError:
        return False
    return True
