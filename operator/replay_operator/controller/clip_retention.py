"""Deletes clips by age and by quota where an install has opted into it. The agent does the deleting."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Awaitable, Callable
from datetime import datetime
from enum import StrEnum

from replay_operator.api.agent import ClipDeletion
from replay_operator.api.replaycapture import ReplayCapture
from replay_operator.catalogue.errors import CatalogueError
from replay_operator.catalogue.kept_clips import KeptClips
from replay_operator.catalogue.quota_cache import CachedOwners
from replay_operator.cluster.gateway import ClusterError
from replay_operator.controller.agent_client import AgentClient, AgentUnavailable, NotItsClip
from replay_operator.controller.retired_objects import RetiredObjects
from replay_operator.controller.store import Follower, ObjectStore
from replay_operator.domain.capture_state import is_finished
from replay_operator.domain.clip_retention import ClipRetentionLimits, KeptClip, beyond_quota
from replay_operator.domain.quotas import QuotaLimits
from replay_operator.metrics import OperatorMetrics

SWEEP_SECONDS = 600.0
BUCKET_SECONDS = 30.0
"""Between two looks while a Job deletes clips from the bucket."""

NOT_YET_SECONDS = 5.0

log = logging.getLogger(__name__)


class Why(StrEnum):
    """Reason of a clip that retention has deleted."""

    EXPIRED = "Expired"
    OVER_QUOTA = "OverQuota"


class ClipRetention:
    """Lets go of clips that nobody declares any more.

    A clip whose ReplayCapture still exists is that resource's: it stays, whatever its age. So nothing is
    looked at before all captures are known.

    Args:
        limits: What the install keeps.
        defaults: Quotas of an owner without own ones.
        clips: Of the install, in the catalogue.
        owners: In the catalogue.
        captures: All captures.
        agent: Deletes a clip, if its sidecar names the capture.
        objects: Deletes it in the bucket; None: the install has none.
        metrics: Where deletions are counted.
        require_schema: Raises CatalogueError where the rows may mean what this version does not know.
        is_listed: Whether all captures are known.
        may_act: Whether this process still leads.
        clock: Gives the time.
    """

    def __init__(
        self,
        limits: ClipRetentionLimits,
        *,
        defaults: QuotaLimits,
        clips: KeptClips,
        owners: CachedOwners,
        captures: ObjectStore[ReplayCapture],
        agent: AgentClient,
        objects: RetiredObjects | None,
        metrics: OperatorMetrics,
        require_schema: Callable[[], Awaitable[None]],
        is_listed: Callable[[], bool],
        may_act: Callable[[], bool],
        clock: Callable[[], datetime],
    ) -> None:
        self._limits = limits
        self._require_schema = require_schema
        self._defaults = defaults
        self._clips = clips
        self._owners = owners
        self._captures = captures
        self._agent = agent
        self._objects = objects
        self._metrics = metrics
        self._is_listed = is_listed
        self._may_act = may_act
        self._clock = clock
        self._not_ours: set[str] = set()
        self._changed: set[str] = set()
        if limits.quota_percent is not None:
            captures.follow(Follower(known=self._note_owner, gone=self._note_owner))

    async def run(self) -> None:
        """Sweep for ever."""
        while True:
            try:
                await self.sweep()
            except (CatalogueError, AgentUnavailable, ClusterError) as error:
                log.warning("clips are not looked through now, and will be later: %s", error)
            await asyncio.sleep(self._pause_seconds())

    def _pause_seconds(self) -> float:
        if not self._is_listed():
            return NOT_YET_SECONDS
        return BUCKET_SECONDS if self._objects is not None and self._objects.waits else SWEEP_SECONDS

    async def sweep(self) -> None:
        """Look through the clips once.

        Raises:
            CatalogueError: The database does not answer.
            AgentUnavailable: The agent does not.
            ClusterError: The API server does not; only where there is a bucket.
        """
        if not self._is_listed() or not self._may_act():
            return
        await self._require_schema()
        if self._objects is not None:
            await self._objects.settle()
        await self._look_through()
        if self._objects is not None:
            await self._objects.remove()

    async def _look_through(self) -> None:
        if self._limits.age is not None:
            async for clip in self._clips.finished_before(self._clock() - self._limits.age):
                if self._may_go(clip):
                    await self._delete(clip, Why.EXPIRED)
                if self._objects is not None and self._objects.is_full:
                    break
        again: set[str] = set()
        while self._limits.quota_percent is not None and self._changed:
            owner = self._changed.pop()
            try:
                if not await self._trim(owner, self._limits.quota_percent):
                    again.add(owner)
            except (CatalogueError, AgentUnavailable):
                self._changed |= {owner} | again
                raise
        self._changed |= again

    async def _trim(self, owner: str, percent: int) -> bool:
        """Delete what is too much; tell whether nothing of it waits for the bucket."""
        # What is remembered does for an admission; what is deleted for it does not come back.
        await self._owners.forget(owner)
        limits = (await self._owners.own_limits(owner)).or_else(self._defaults)
        if limits.archive_bytes is None:
            return True
        use = await self._owners.archive_use(owner)
        used, most = use.archived_bytes + use.reserved_bytes, limits.archive_bytes * percent // 100
        if used <= most:
            return True
        may_go = [clip async for clip in self._clips.oldest_of(owner) if self._may_go(clip)]
        doomed = beyond_quota(may_go, used_bytes=used, most_bytes=most)
        return all([await self._delete(clip, Why.OVER_QUOTA) for clip in doomed])

    def _may_go(self, clip: KeptClip) -> bool:
        if clip.uid in self._captures.unreadable:
            return False  # it exists, and says something that this version does not know
        return self._captures.get(clip.uid) is None and clip.uid not in self._not_ours

    async def _delete(self, clip: KeptClip, why: Why) -> bool:
        """Delete a clip; tell whether nothing more has to be done for it."""
        if not self._may_act():
            return True
        try:
            await self._agent.delete_clip(ClipDeletion(path=clip.path, capture_uid=clip.uid))
        except NotItsClip as error:
            self._not_ours.add(clip.uid)
            log.warning("clip %s is left where it is: %s", clip.path, error)
            return True
        if self._objects is not None and not self._objects.is_gone(clip):
            return False
        # The file first: a row that stays behind is found again, a file would not be.
        await self._clips.note_deleted(clip.uid, why)
        if self._objects is not None:
            self._objects.forget(clip.uid)
        if clip.owner is not None:
            await self._owners.forget(clip.owner)
        self._metrics.retired_clips.labels(reason=why).inc()
        log.info("clip %s is deleted: %s", clip.path, why)
        return True

    def _note_owner(self, capture: ReplayCapture) -> None:
        source = capture.status.source
        if source is not None and source.owner is not None and is_finished(capture):
            self._changed.add(source.owner)
