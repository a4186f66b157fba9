"""Tells the catalogue what the operator knows. Nothing else of the operator ever waits for it."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Mapping
from datetime import datetime

from replay_operator.api.replaybuffer import ReplayBuffer
from replay_operator.api.replaycapture import ReplayCapture
from replay_operator.catalogue.clips import Clips
from replay_operator.catalogue.connection import Catalogue
from replay_operator.catalogue.entries import ClipEntry, clip_entry, session_entry
from replay_operator.catalogue.owners import Owners
from replay_operator.catalogue.quota_cache import CachedOwners, ForgettingCloser, ForgettingWriter
from replay_operator.catalogue.recorder import Recorder
from replay_operator.catalogue.sessions import Sessions
from replay_operator.catalogue.writing import EntryWriter
from replay_operator.controller.catalogue_schema import SchemaKeeper
from replay_operator.controller.quota_book import RecordedFacts, follow_own_numbers
from replay_operator.controller.store import Follower, ObjectStore
from replay_operator.metrics import OperatorMetrics


class CatalogueFeed:
    """Follows both stores, and brings the catalogue's rows to what they say.

    Args:
        catalogue: Where.
        namespace: Of the install: rows of others are left alone.
        buffers: All buffers.
        captures: All captures.
        reserved_bytes: Gives what the quota of its owner holds free for a capture.
        take_own_numbers: Told who may have another number of buffers than the default.
        metrics: Where figures are shown.
        clock: Gives the time.
    """

    def __init__(
        self,
        catalogue: Catalogue,
        *,
        namespace: str,
        buffers: ObjectStore[ReplayBuffer],
        captures: ObjectStore[ReplayCapture],
        reserved_bytes: Callable[[ReplayCapture], int],
        take_own_numbers: Callable[[Mapping[str, int]], None],
        metrics: OperatorMetrics,
        clock: Callable[[], datetime],
    ) -> None:
        database, cache = catalogue.database, catalogue.cache
        self.schema = SchemaKeeper(database)
        self._namespace = namespace
        self._buffers = buffers
        self._captures = captures
        self._reserved_bytes = reserved_bytes
        self._take_own_numbers = take_own_numbers
        self._clock = clock
        self.recorder = Recorder(
            ForgettingWriter(EntryWriter(database), cache),
            [Sessions(database), ForgettingCloser(Clips(database), cache)],
            on_refused=metrics.catalogue_refused_rows.inc,
        )
        self.owners = CachedOwners(Owners(database), cache)
        self.facts = RecordedFacts(self.owners, self.recorder.unwritten_bytes, lambda: self.schema.is_refused)
        metrics.catalogue_up.set_function(lambda: float(self.recorder.is_up and self.schema.fits))
        metrics.catalogue_waiting.set_function(lambda: self.recorder.waiting)
        buffers.follow(
            Follower(
                known=lambda buffer: self.recorder.keep(session_entry(buffer)),
                gone=lambda buffer: self.recorder.gone(session_entry(buffer), clock()),
            )
        )
        captures.follow(
            Follower(
                known=lambda capture: self.recorder.keep(self._clip(capture)),
                gone=lambda capture: self.recorder.gone(self._clip(capture), clock()),
            )
        )

    def resync(self) -> None:
        """Bring the catalogue to what there is; both stores must hold complete lists.

        Rows that are open in it and belong to nothing are closed, unless there is something that cannot be
        read: the rows may be its own.
        """
        if self._buffers.unreadable or self._captures.unreadable:
            return
        entries = [session_entry(buffer) for buffer in self._buffers]
        clips = [self._clip(capture) for capture in self._captures]
        self.recorder.resync(self._namespace, [*entries, *clips], self._clock())

    async def run(self) -> None:
        """Record for ever; a database that is away, or of a newer version, is waited for."""
        while True:
            await self.schema.prepare()
            async with asyncio.TaskGroup() as loops:
                users = [
                    loops.create_task(self.recorder.run()),
                    loops.create_task(follow_own_numbers(self.facts.owners, self._take_own_numbers)),
                ]
                await self.schema.until_changed()
                for user in users:
                    user.cancel()

    def _clip(self, capture: ReplayCapture) -> ClipEntry:
        return clip_entry(capture, reserved_bytes=self._reserved_bytes(capture))
