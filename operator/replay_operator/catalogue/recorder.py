"""Records the resources in the catalogue, beside everything else: nobody ever waits for the database."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable, Collection, Iterable, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Protocol

from replay_operator.catalogue.backlog import Backlog
from replay_operator.catalogue.entries import ClipEntry, SessionEntry, closed, without_resource
from replay_operator.catalogue.errors import CatalogueAwayError, RowsRefusedError
from replay_operator.catalogue.writing import Entry

BATCH = 500
"""Entries in a transaction: few enough that others soon get SQLite's one place for a writer."""

FIRST_PAUSE_SECONDS = 0.5
LONGEST_PAUSE_SECONDS = 30.0

log = logging.getLogger(__name__)


class Writer(Protocol):
    """Where entries go."""

    async def write(self, entries: Sequence[Entry]) -> None:
        """Write all of them or none; CatalogueAwayError or RowsRefusedError says why none."""


class Closer(Protocol):
    """Closes what is open in the catalogue and belongs to no resource any more."""

    async def close_missing(self, namespace: str, live: Collection[str], now: datetime) -> int:
        """Close what is not of `live`, and say how much that was."""


@dataclass(slots=True)
class _Census:
    """Who was there at a complete look. Who came since is added, or it would be closed for being new."""

    namespace: str
    live: set[str]
    taken_at: datetime


def pause_seconds(failures: int) -> float:
    """Give how long to leave a database alone that is away.

    Args:
        failures: Tries in a row that have failed, one or more.
    """
    return min(LONGEST_PAUSE_SECONDS, FIRST_PAUSE_SECONDS * 2.0 ** min(failures - 1, 10))


class Recorder:
    """Takes what is true of each object at once, and writes it when the database can take it.

    What a deleted object said last waits here too. Only a restart while the database is away loses that, and
    then the next complete look closes the row.

    Args:
        writer: Where entries go.
        closers: Who closes what has no resource any more: sessions, clips.
        pause: Seconds to wait after so many failures in a row.
        on_refused: Told of each row that the database will not take.
    """

    def __init__(
        self,
        writer: Writer,
        closers: Sequence[Closer],
        *,
        pause: Callable[[int], float] = pause_seconds,
        on_refused: Callable[[], None] = lambda: None,
    ) -> None:
        self._writer = writer
        self._closers = tuple(closers)
        self._pause = pause
        self._on_refused = on_refused
        self.is_up = False
        """Whether the database did the last thing that it was asked."""
        self._backlog = Backlog()
        self._census: _Census | None = None
        self._has_caught_up = False
        self._news = asyncio.Event()
        self._settled = asyncio.Event()
        self._settled.set()

    @property
    def waiting(self) -> int:
        """How many objects have something that is not written yet."""
        return len(self._backlog)

    def unwritten_bytes(self, owner: str) -> int:
        """Give by how much the catalogue's sum of a person's finished clips will change when it is written.

        Args:
            owner: The person.
        """
        changes = 0
        for entry, written_bytes in self._backlog.unwritten():
            if isinstance(entry, ClipEntry) and entry.clip.owner == owner:
                # After a start the row is likely there already, from the process before.
                unknown_bytes = 0 if self._has_caught_up else entry.archived_bytes
                changes += entry.archived_bytes - (unknown_bytes if written_bytes is None else written_bytes)
        return changes

    def keep(self, entry: Entry) -> None:
        """Take what is true of an object now.

        Args:
            entry: From the resource as it is.
        """
        self._backlog.put(entry)
        if self._census is not None:
            self._census.live.add(entry.uid)
        self._wake()

    def gone(self, entry: Entry, now: datetime) -> None:
        """Take note that an object was deleted.

        Args:
            entry: From the resource as it was last.
            now: The time.
        """
        left = closed(entry, now) if isinstance(entry, SessionEntry) else without_resource(entry, now)
        self._backlog.put(left, last=True)
        self._wake()

    def resync(self, namespace: str, entries: Iterable[Entry], now: datetime) -> None:
        """Bring the catalogue to what there is, whatever it says: of a namespace, all of both kinds.

        Rows that say so already are not written.

        Args:
            namespace: Of the install.
            entries: From complete lists. What is open in the catalogue and not among them is closed.
            now: When the lists were read.
        """
        self._backlog.doubt()
        self._census = _Census(namespace, set(), now)
        for entry in entries:
            self.keep(entry)
        self._wake()

    async def caught_up(self) -> None:
        """Wait until everything that was taken so far is in the catalogue."""
        await self._settled.wait()

    async def run(self) -> None:
        """Write for ever. No failure ends it."""
        failures = 0
        while True:
            if not self._backlog and self._census is None:
                self._settled.set()
                self._has_caught_up = True
                self._news.clear()
                await self._news.wait()
            try:
                await self._turn()
            except CatalogueAwayError as error:
                failures += 1
                self.is_up = False
                if failures == 1:
                    log.warning("%s; what it misses is kept, and recording goes on without it", error)
            except Exception:
                failures += 1
                self.is_up = False
                log.exception("the catalogue could not be written")
            else:
                if failures:
                    log.info("the catalogue is back after %d tries, %d objects wait", failures, self.waiting)
                failures, self.is_up = 0, True
                continue
            await asyncio.sleep(self._pause(failures))

    def _wake(self) -> None:
        self._settled.clear()
        self._news.set()

    async def _turn(self) -> None:
        batch = self._backlog.take(BATCH)
        if batch:
            await self._write(batch)
        elif self._census is not None:
            census = self._census
            for closer in self._closers:
                await closer.close_missing(census.namespace, census.live, census.taken_at)
            if self._census is census:
                self._census = None

    async def _write(self, batch: list[Entry]) -> None:
        try:
            await self._writer.write(batch)
        except RowsRefusedError as error:
            if len(batch) > 1:
                # One of them is to blame: the others shall not wait for it.
                for entry in batch:
                    await self._write([entry])
                return
            self._on_refused()
            log.error("%s: the row of %s is left out", error, batch[0].name)  # noqa: TRY400 - the trace says nothing that the database's words do not
        self._backlog.settle(batch)
