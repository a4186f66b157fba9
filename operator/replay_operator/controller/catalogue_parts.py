"""What of the operator has to do with the catalogue, put together: feed, quotas, retention of clips."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime
from functools import partial

from replay_operator.api.replaybuffer import ReplayBuffer
from replay_operator.api.replaycapture import ReplayCapture
from replay_operator.catalogue.connection import Catalogue
from replay_operator.catalogue.kept_clips import KeptClips
from replay_operator.catalogue.migrate import require_schema
from replay_operator.controller.admission import AdmissionBook
from replay_operator.controller.agent_client import AgentClient
from replay_operator.controller.catalogue_feed import CatalogueFeed
from replay_operator.controller.clip_retention import ClipRetention
from replay_operator.controller.part_settings import clip_retention_limits
from replay_operator.controller.quota_book import QuotaBook
from replay_operator.controller.reservations import Reservations
from replay_operator.controller.retired_objects import RetiredObjects
from replay_operator.controller.store import ObjectStore
from replay_operator.metrics import OperatorMetrics
from replay_operator.settings import OperatorSettings


@dataclass(frozen=True, slots=True)
class CatalogueParts:
    """Quotas are there without a catalogue too; the other two are not."""

    quotas: QuotaBook
    feed: CatalogueFeed | None = None
    retention: ClipRetention | None = None

    def resync(self) -> None:
        """Bring the catalogue to what there is, now that both kinds are listed."""
        if self.feed is not None:
            self.feed.resync()

    async def run(self) -> None:
        """Run what there is for ever."""
        async with asyncio.TaskGroup() as loops:
            if self.feed is not None:
                loops.create_task(self.feed.run())
                if self.retention is not None:
                    loops.create_task(_retain(self.feed, self.retention))
            await asyncio.Event().wait()


async def _retain(feed: CatalogueFeed, retention: ClipRetention) -> None:
    """Delete clips only by rows whose meaning this version knows."""
    await feed.schema.prepared()
    await retention.run()


def build_catalogue_parts(
    settings: OperatorSettings,
    catalogue: Catalogue | None,
    *,
    buffers: ObjectStore[ReplayBuffer],
    captures: ObjectStore[ReplayCapture],
    admission: AdmissionBook,
    agent: AgentClient,
    objects: RetiredObjects | None,
    metrics: OperatorMetrics,
    is_listed: Callable[[], bool],
    may_act: Callable[[], bool],
    clock: Callable[[], datetime],
) -> CatalogueParts:
    """Put them together.

    Args:
        settings: What the install decides.
        catalogue: None: there is none.
        buffers: All buffers.
        captures: All captures.
        admission: Told the owners' own numbers of buffers.
        agent: Deletes clips.
        objects: Deletes them in the bucket; None: there is none.
        metrics: Where figures are shown.
        is_listed: Whether all objects of both kinds are known.
        may_act: Whether this process still leads.
        clock: Gives the time.
    """
    reservations = Reservations(
        buffers=buffers, captures=captures, segment_seconds=settings.segment_duration_seconds
    )
    feed = None
    if catalogue is not None:
        feed = CatalogueFeed(
            catalogue,
            namespace=settings.namespace,
            buffers=buffers,
            captures=captures,
            reserved_bytes=reservations.of,
            take_own_numbers=admission.take_own_numbers,
            metrics=metrics,
            clock=clock,
        )
    quotas = QuotaBook(
        settings.quota_limits(),
        recorded=feed.facts if feed else None,
        reservations=reservations,
        captures=captures,
        metrics=metrics,
        clock=clock,
    )
    limits = clip_retention_limits(settings)
    if catalogue is None or feed is None or limits.none_set:
        return CatalogueParts(quotas, feed)
    retention = ClipRetention(
        limits,
        defaults=settings.quota_limits(),
        clips=KeptClips(catalogue.database, settings.namespace),
        owners=feed.owners,
        captures=captures,
        agent=agent,
        objects=objects,
        metrics=metrics,
        require_schema=partial(require_schema, catalogue.database),
        is_listed=is_listed,
        may_act=may_act,
        clock=clock,
    )
    return CatalogueParts(quotas, feed, retention)
