"""Tells as Events that the buffer volume is short of space: who loses, and when nobody can give."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Awaitable, Callable
from datetime import datetime, timedelta

from replay_operator.api.agent import BufferCoverage, Coverage, VolumeSpace
from replay_operator.api.meta import ObjectMeta
from replay_operator.api.replaybuffer import ReplayBuffer
from replay_operator.cluster.events import Event, EventType
from replay_operator.cluster.gateway import ClusterError, KubernetesGateway
from replay_operator.cluster.resources import BUFFERS, CLAIMS, ResourceType
from replay_operator.controller.store import ObjectStore

FLOOR_REASON = "FreeSpaceFloor"
MISSING_REASON = "FreeSpaceMissing"

OLD_NEWS = timedelta(minutes=1)
"""What began so long before this process was told by the one before it."""

log = logging.getLogger(__name__)

Tell = Callable[[ResourceType, ObjectMeta, Event], Awaitable[None]]


class FreeSpaceNews:
    """One Event on each buffer that the floor trims, and one on the claim when nothing more may go."""

    def __init__(
        self,
        *,
        tell: Tell,
        gateway: KubernetesGateway,
        buffers: ObjectStore[ReplayBuffer],
        namespace: str,
        claim: str,
        clock: Callable[[], datetime],
    ) -> None:
        self._tell = tell
        self._gateway = gateway
        self._buffers = buffers
        self._namespace = namespace
        self._claim = claim
        self._begun = clock()
        self._told: dict[str, datetime] = {}
        self._is_missing = False
        self._news: asyncio.Queue[tuple[str, datetime] | VolumeSpace] = asyncio.Queue()

    def take(self, coverage: Coverage) -> None:
        """Note what is new in a word of the agent.

        Args:
            coverage: The word: everything, or what has changed.
        """
        for buffer in coverage.buffers:
            self._take_buffer(buffer)
        for path in coverage.gone:
            self._told.pop(path, None)
        space = coverage.space
        is_missing = space is not None and space.missing_bytes > 0
        if space is not None and is_missing and not self._is_missing:
            self._news.put_nowait(space)
        self._is_missing = is_missing

    async def run(self) -> None:
        """Tell for ever."""
        while True:
            await self.tell_next()

    async def tell_next(self) -> None:
        """Wait for the next piece of news, and tell it."""
        news = await self._news.get()
        if isinstance(news, VolumeSpace):
            await self._tell_missing()
        else:
            await self._tell_trimmed(*news)

    def _take_buffer(self, buffer: BufferCoverage) -> None:
        since = buffer.trimmed_since
        if since is None:
            self._told.pop(buffer.path, None)
        elif self._told.get(buffer.path) != since:
            self._told[buffer.path] = since
            if since >= self._begun - OLD_NEWS:
                self._news.put_nowait((buffer.path, since))

    async def _tell_trimmed(self, path: str, since: datetime) -> None:
        buffer = self._buffers.get(path.rpartition("/")[2])
        if buffer is None:
            return
        message = (
            f"since {since:%Y-%m-%dT%H:%M:%SZ} the buffer volume has less free space than its floor, and the "
            "oldest segments of this buffer go though they are inside its window; enlarge the volume, or "
            "record less"
        )
        await self._tell(BUFFERS, buffer.metadata, Event(EventType.WARNING, FLOOR_REASON, message))

    async def _tell_missing(self) -> None:
        try:
            claim = await self._gateway.get(CLAIMS, self._namespace, self._claim)
        except ClusterError as error:
            log.warning("claim %s cannot be read to tell of it: %s", self._claim, error)
            return
        if claim is None:
            return
        message = (
            "the volume has less free space than its floor and nothing more may be deleted: what is left is "
            "pinned by captures or the newest of a recording; enlarge it, or recordings fail when it is full"
        )
        meta = ObjectMeta.model_validate(claim["metadata"])
        await self._tell(CLAIMS, meta, Event(EventType.WARNING, MISSING_REASON, message))
