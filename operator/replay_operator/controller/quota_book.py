"""Whether an owner's quotas have room for one capture more. The catalogue is asked, and never waited for."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Protocol

from replay_operator.api.replaybuffer import ReplayBuffer
from replay_operator.api.replaycapture import ReplayCapture, ResolvedRange
from replay_operator.catalogue.errors import CatalogueError
from replay_operator.catalogue.owners import ArchiveUse
from replay_operator.controller.reservations import Reservations
from replay_operator.controller.store import ObjectStore
from replay_operator.domain.capture_state import is_finished
from replay_operator.domain.quotas import (
    QuotaLimits,
    QuotaRefusal,
    account_of,
    admit_capture,
    archived_bytes,
)
from replay_operator.metrics import OperatorMetrics

PATIENCE_SECONDS = 1.0
"""An answer that takes longer is not waited for: somebody has pressed a button."""

LEAVE_ALONE = timedelta(seconds=10)
"""So long nobody waits again for a catalogue that did not answer."""

NUMBERS_SECONDS = 60.0
"""From one look at the owners' own numbers of buffers to the next."""

log = logging.getLogger(__name__)


class OwnerFacts(Protocol):
    """What the catalogue knows of owners; each raises CatalogueError when it does not answer."""

    async def archive_use(self, owner: str) -> ArchiveUse:
        """Give what a person's clips take of the archive."""

    async def own_limits(self, owner: str) -> QuotaLimits:
        """Give what a person may have instead of the defaults."""

    async def own_numbers_of_buffers(self) -> Mapping[str, int]:
        """Give the owners who may have another number of buffers than the default."""


@dataclass(frozen=True, slots=True)
class RecordedFacts:
    """The catalogue's word on owners, and by how much its sum of a person's clips lags behind."""

    owners: OwnerFacts
    unwritten_bytes: Callable[[str], int]
    is_refused: Callable[[], bool]
    """Whether its rows may mean what this version does not know: then nobody asks."""


@dataclass(frozen=True, slots=True)
class _Reading:
    archived_bytes: int
    unwritten_bytes: int
    own: QuotaLimits


class QuotaBook:
    """Admits captures within the quotas of their owners.

    Without an answer of the catalogue the last one holds. Where there was none, the clips of the captures
    that still exist are counted: rather one clip too many than a moment that is lost.

    Args:
        defaults: What an owner may have.
        recorded: The catalogue; None: there is none.
        reservations: What captures that are being made hold free.
        captures: All captures.
        metrics: Where refusals are counted.
        clock: Gives the time.
    """

    def __init__(
        self,
        defaults: QuotaLimits,
        *,
        recorded: RecordedFacts | None,
        reservations: Reservations,
        captures: ObjectStore[ReplayCapture],
        metrics: OperatorMetrics,
        clock: Callable[[], datetime],
    ) -> None:
        self._defaults = defaults
        self._recorded = recorded
        self._reservations = reservations
        self._captures = captures
        self._metrics = metrics
        self._clock = clock
        self._readings: dict[str, _Reading] = {}
        self._silent_until: datetime | None = None

    async def look_up(self, owner: str) -> None:
        """Ask the catalogue what is known of an owner, for a moment only.

        Args:
            owner: Whose capture will ask to be admitted.
        """
        recorded = self._recorded
        if recorded is None or recorded.is_refused():
            return
        if self._silent_until is not None and self._clock() < self._silent_until:
            return
        try:
            async with asyncio.timeout(PATIENCE_SECONDS):
                # Noted first: a row that is written meanwhile is counted twice for once, never not at all.
                unwritten = recorded.unwritten_bytes(owner)
                use = await recorded.owners.archive_use(owner)
                own = await recorded.owners.own_limits(owner)
        except (CatalogueError, TimeoutError) as error:
            self._silent_until = self._clock() + LEAVE_ALONE
            log.warning(
                "quotas of owner %s are those that were known last: %s", owner, str(error) or "no answer"
            )
            return
        self._readings[owner] = _Reading(use.archived_bytes, unwritten, own)

    def admit(
        self, capture: ReplayCapture, buffer: ReplayBuffer, wanted: ResolvedRange
    ) -> QuotaRefusal | None:
        """Reserve what a capture needs, or say why it may not begin.

        Nothing is awaited between looking and reserving: captures at the same time cannot overrun together.

        Args:
            capture: Not admitted yet.
            buffer: What it cuts from; its owner's quotas count.
            wanted: The range.
        """
        owner = buffer.spec.owner
        if owner is None:
            return None
        is_refused = self._recorded is not None and self._recorded.is_refused()
        reading = None if is_refused else self._readings.get(owner)
        limits = self._defaults if reading is None else reading.own.or_else(self._defaults)
        needed = self._reservations.needed(buffer, wanted)
        account = account_of(
            limits,
            archived_bytes=self._archived_bytes(owner, reading),
            pending=self._reservations.pending(owner),
            admitted_at=self._reservations.admitted_at(owner, self._clock()),
        )
        answer = admit_capture(
            account,
            limits,
            uid=capture.metadata.uid,
            needed_bytes=needed,
            # What counts is when it was asked for, whenever it is looked at: after a restart too.
            now=capture.metadata.creation_timestamp,
        )
        if isinstance(answer, QuotaRefusal):
            self._metrics.quota_refusals.labels(quota=answer.quota).inc()
            return answer
        self._reservations.hold(capture, owner, needed)
        return None

    def _archived_bytes(self, owner: str, reading: _Reading | None) -> int:
        if reading is None or self._recorded is None:
            return sum(_clip_bytes(capture, owner) for capture in self._captures)
        # Since it was read a clip may have become ready, and its row not be written.
        unwritten = max(reading.unwritten_bytes, self._recorded.unwritten_bytes(owner))
        return max(0, reading.archived_bytes + unwritten)


async def follow_own_numbers(
    owners: OwnerFacts, take: Callable[[Mapping[str, int]], None], *, pause_seconds: float = NUMBERS_SECONDS
) -> None:
    """Tell for ever who may have another number of buffers than the default.

    Args:
        owners: The catalogue's word.
        take: Told it. A catalogue that is away leaves what was told last.
        pause_seconds: From one look to the next.
    """
    while True:
        try:
            take(await owners.own_numbers_of_buffers())
        except CatalogueError as error:
            log.debug("the owners' own numbers of buffers are those that were known last: %s", error)
        await asyncio.sleep(pause_seconds)


def _clip_bytes(capture: ReplayCapture, owner: str) -> int:
    source = capture.status.source
    if source is None or source.owner != owner or not is_finished(capture):
        return 0
    return archived_bytes(capture)
