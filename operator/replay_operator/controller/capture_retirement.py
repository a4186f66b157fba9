"""What is left to do for captures that have finished or are deleted: Jobs, TTL, finalizer, clip."""

from __future__ import annotations

import logging
from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

from replay_operator.api.agent import ClipDeletion
from replay_operator.api.meta import ObjectMeta
from replay_operator.api.replaycapture import DeletionPolicy, ReplayCapture
from replay_operator.cluster.events import Event, EventType
from replay_operator.cluster.gateway import KubernetesGateway
from replay_operator.cluster.jobs import CAPTURE_UID_LABEL, expire_job, is_left_over, view_job
from replay_operator.cluster.removal_jobs import is_removal_job
from replay_operator.cluster.resources import CAPTURES, JOBS
from replay_operator.controller.agent_client import AgentClient, AgentUnavailable, NotItsClip
from replay_operator.controller.bucket_removal import BucketRemoval
from replay_operator.controller.jobs import JobStore
from replay_operator.controller.notify import Notifier
from replay_operator.controller.store import ObjectStore
from replay_operator.controller.uploads import ClipUploads
from replay_operator.controller.writer import StatusWriter
from replay_operator.domain.capture_end import (
    FINALIZER,
    TTL_HELD,
    AfterFinish,
    clip_path_of,
    decide_finished,
    has_untold_news,
    is_held,
    wanted_finalizers,
)

LOOK_AGAIN_SECONDS = 2.0
"""Between two looks while a Job ends or the agent is away. The end of a Job is told by the watch as well."""

CLIP_LEFT_BEHIND = "ClipLeftBehind"

log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class RetirementSettings:
    """What the install decides about the end of captures."""

    namespace: str
    job_keep_seconds: int
    clip_deletion_timeout: timedelta


class CaptureRetirement:
    """Looks after a capture's end."""

    def __init__(
        self,
        *,
        settings: RetirementSettings,
        gateway: KubernetesGateway,
        agent: AgentClient,
        uploads: ClipUploads | None,
        removal: BucketRemoval,
        captures: ObjectStore[ReplayCapture],
        jobs: JobStore,
        writer: StatusWriter,
        notifier: Notifier | None,
        clock: Callable[[], datetime],
    ) -> None:
        self._settings = settings
        self._gateway = gateway
        self._agent = agent
        self._uploads = uploads
        self._removal = removal
        self._captures = captures
        self._jobs = jobs
        self._writer = writer
        self._notifier = notifier
        self._clock = clock

    async def settle_finalizer(self, capture: ReplayCapture) -> ReplayCapture:
        """Add our finalizer, or take it off, as `deletionPolicy` has it now; give the capture as it is then.

        Raises:
            Conflict: The object has changed since it was read.
        """
        wanted = wanted_finalizers(capture)
        if set(wanted) == set(capture.metadata.finalizers):
            return capture
        answer = await self._patch_finalizers(capture.metadata, wanted)
        return self._captures.put(answer) if answer else capture

    async def look_after(self, capture: ReplayCapture) -> float | None:
        """Do what is due for a finished capture; give the seconds until something is due again.

        Raises:
            Conflict: The object has changed since it was read.
        """
        ended = [job for job in self._jobs.of_capture(capture.metadata.uid) if is_left_over(job)]
        known = await self._with_extras(capture, ended)
        decision = decide_finished(
            known,
            self._clock(),
            notifies=self._notifier is not None,
            upload_waits=self._uploads is not None and self._uploads.is_wanted(capture),
        )
        written = await self._writer.write_capture(capture, decision.status)
        for job in ended:
            await self._expire(job["metadata"]["name"])
        if self._notifier is not None and has_untold_news(written):
            self._notifier.tell(written)
        if decision.act is AfterFinish.HOLD and not is_held(capture):
            event = Event(EventType.NORMAL, TTL_HELD, decision.message)
            await self._writer.tell(CAPTURES, capture.metadata, event)
        if decision.act is AfterFinish.DELETE:
            if capture.metadata.uid in self._jobs.running_captures():
                return LOOK_AGAIN_SECONDS  # its Job goes with it, and still adds the extras
            meta = written.metadata
            log.info("ReplayCapture %s: ttlSecondsAfterFinished is over, it is deleted", meta.name)
            await self._gateway.delete(CAPTURES, meta.namespace, meta.name, meta=meta)
        return self._seconds_until(decision.recheck)

    async def _with_extras(self, capture: ReplayCapture, ended: list[dict[str, Any]]) -> ReplayCapture:
        """Add to a ready capture what its Job has added to the clip since."""
        clip, meta = capture.status.clip, capture.metadata
        if clip is None or clip.sha256 is not None:
            return capture
        for job in ended:
            view = await view_job(self._gateway, self._settings.namespace, job, meta.uid)
            if view.result is not None and view.result.clip is not None:
                told = view.result.clip
                clip = clip.model_copy(update={"sha256": told.sha256, "thumbnail": told.thumbnail})
        status = capture.status.model_copy(update={"clip": clip})
        return capture.model_copy(update={"status": status})

    async def delete(self, capture: ReplayCapture) -> float | None:
        """Do what is due for a capture that is being deleted; give the seconds until the next look.

        Without our finalizer there is nothing to do: its Job goes with it, its pin with the next policy.

        Raises:
            Conflict: The object has changed since it was read.
        """
        if FINALIZER not in capture.metadata.finalizers:
            return None
        if not await self._may_go(capture):
            return LOOK_AGAIN_SECONDS
        await self._release(capture.metadata)
        return None

    async def _may_go(self, capture: ReplayCapture) -> bool:
        if capture.spec.deletion_policy is DeletionPolicy.RETAIN:
            return True
        since = capture.metadata.deletion_timestamp
        if since is not None and self._clock() >= since + self._settings.clip_deletion_timeout:
            await self._tell_left_behind(capture, "it could not be deleted in time")
            return True
        return (
            await self._jobs_are_gone(capture.metadata.uid)
            and await self._clip_is_settled(capture)
            and await self._object_is_settled(capture)
        )

    async def _clip_is_settled(self, capture: ReplayCapture) -> bool:
        meta, path = capture.metadata, clip_path_of(capture)
        try:
            if path is not None:
                await self._agent.delete_clip(ClipDeletion(path=path, capture_uid=meta.uid))
        except NotItsClip as error:
            await self._tell_left_behind(capture, str(error))
        except AgentUnavailable as error:
            log.warning("the clip of ReplayCapture %s is not deleted yet: %s", meta.name, error)
            return False
        return True

    async def _object_is_settled(self, capture: ReplayCapture) -> bool:
        view = await self._removal.of_capture(capture)
        clip = capture.status.clip
        # What was never verified there is not missed: an object in its place is another's.
        if view.left and clip is not None and clip.url is not None:
            message = f"{clip.url} is left in object storage: {view.left}. Delete it by hand if it is there."
            event = Event(EventType.WARNING, CLIP_LEFT_BEHIND, message)
            await self._writer.tell(CAPTURES, capture.metadata, event)
        return view.has_ended

    async def _jobs_are_gone(self, uid: str) -> bool:
        """End the Jobs of a capture: a pod that still runs would publish the clip after its deletion."""
        namespace = self._settings.namespace
        listed = await self._gateway.list(JOBS, namespace, labels=f"{CAPTURE_UID_LABEL}={uid}")
        jobs = [job for job in listed if not is_removal_job(job)]
        for job in jobs:
            if "deletionTimestamp" not in job["metadata"]:
                await self._gateway.delete(JOBS, namespace, job["metadata"]["name"], dependents_first=True)
        return not jobs

    async def _tell_left_behind(self, capture: ReplayCapture, why: str) -> None:
        path = clip_path_of(capture)
        if path is None:
            return  # it never had a range, and so no clip
        also = " and in object storage" if capture.status.upload is not None else ""
        message = f"{path} may be left on the archive volume{also}: {why}. Delete it by hand if it is there."
        event = Event(EventType.WARNING, CLIP_LEFT_BEHIND, message)
        await self._writer.tell(CAPTURES, capture.metadata, event)

    async def _release(self, meta: ObjectMeta) -> None:
        # The answer is not stored: the object is gone with its last finalizer, and the watch says so.
        await self._patch_finalizers(meta, tuple(name for name in meta.finalizers if name != FINALIZER))

    async def _patch_finalizers(self, meta: ObjectMeta, names: tuple[str, ...]) -> dict[str, Any] | None:
        body = {"metadata": {"resourceVersion": meta.resource_version, "finalizers": list(names)}}
        return await self._gateway.patch(CAPTURES, meta.namespace, meta.name, body)

    async def _expire(self, name: str) -> None:
        kept = await expire_job(
            self._gateway, self._settings.namespace, name, self._settings.job_keep_seconds
        )
        if kept is not None:
            self._jobs.put(kept)

    def _seconds_until(self, moment: datetime | None) -> float | None:
        return None if moment is None else max(0.0, (moment - self._clock()).total_seconds())
