"""The way of finished clips into the bucket: what the domain decides is gathered for, and carried out."""

from __future__ import annotations

import logging
from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime

from replay_operator.api.agent import ClipDeletion
from replay_operator.api.meta import find_condition
from replay_operator.api.replaycapture import ReplayCapture
from replay_operator.api.upload import UploadState
from replay_operator.api.upload_job import UploadRequest
from replay_operator.cluster.events import Event, EventType
from replay_operator.cluster.gateway import Conflict, KubernetesGateway
from replay_operator.cluster.job_pods import ARCHIVE_MOUNT
from replay_operator.cluster.jobs import is_left_over
from replay_operator.cluster.resources import CAPTURES, JOBS
from replay_operator.cluster.upload_jobs import (
    UploadJobSettings,
    attempt_of,
    upload_job_body,
    view_upload_job,
)
from replay_operator.controller.agent_client import AgentClient, AgentUnavailable, NotItsClip
from replay_operator.controller.jobs import JobStore
from replay_operator.controller.upload_figures import UploadFigures
from replay_operator.controller.upload_places import UploadPlaces
from replay_operator.controller.writer import StatusWriter
from replay_operator.domain.upload_target import UploadTarget, key_in_bucket, object_key, object_tags
from replay_operator.domain.uploads import (
    UPLOADED,
    UploadAct,
    UploadDecision,
    UploadJob,
    decide_upload,
    is_at_rest,
    without_local_copy,
)

ASK_AGENT_AGAIN_SECONDS = 30.0
"""The clip is in the bucket: nobody waits for its local copy to go."""

UPLOAD_FAILED = "UploadFailed"

log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class ClipUploadSettings:
    """What the install decides about uploads."""

    namespace: str
    target: UploadTarget
    job: UploadJobSettings


class ClipUploads:
    """Looks after the clips of an install that has a bucket."""

    def __init__(
        self,
        *,
        settings: ClipUploadSettings,
        gateway: KubernetesGateway,
        agent: AgentClient,
        capture_jobs: JobStore,
        upload_jobs: JobStore,
        places: UploadPlaces,
        writer: StatusWriter,
        figures: UploadFigures,
        clock: Callable[[], datetime],
    ) -> None:
        self._settings = settings
        self._gateway = gateway
        self._agent = agent
        self._capture_jobs = capture_jobs
        self._upload_jobs = upload_jobs
        self._places = places
        self._writer = writer
        self._figures = figures
        self._clock = clock
        self._not_ours: set[str] = set()

    def look(self) -> None:
        """Look whether somebody's turn has come."""
        self._places.look()

    def is_wanted(self, capture: ReplayCapture) -> bool:
        """Tell whether something is left to do for a clip, so that its capture has to stay.

        Args:
            capture: That `look_after` has looked after.
        """
        return capture.status.upload is not None and not self._is_at_rest(capture)

    async def look_after(self, capture: ReplayCapture) -> tuple[ReplayCapture, float | None]:
        """Bring the clip of a finished capture forward.

        Returns:
            The capture as it is then, and the seconds until it must be looked at again, or None.

        Raises:
            Conflict: The object has changed since it was read.
        """
        if self._is_at_rest(capture):
            return capture, None
        uid = capture.metadata.uid
        job = await self._newest_job(capture)
        decision = decide_upload(
            capture,
            job,
            self._clock(),
            keep_local_copy=self._keeps_local_copy(uid),
            bucket=self._settings.target.bucket,
            extras_are_made=self._extras_are_made(uid),
            place_is_free=self._places.is_free,
        )
        if decision.act is UploadAct.START:
            self._places.take(uid)
        try:
            # First: a local copy goes only after the status names the other one.
            before, capture = capture, await self._writer.write_capture(capture, decision.status)
            self._figures.count(before, capture, self._clock())
            await self._tell_failure(before, capture)
            if decision.act is UploadAct.START:
                await self._start(capture, decision.attempt)
        finally:
            self._places.started(uid)
        if before.status.upload != capture.status.upload:
            self._places.look()  # the end of an attempt has freed a place
        if decision.act is UploadAct.DROP_LOCAL_COPY:
            return await self._drop_local_copy(capture)
        return capture, self._seconds_until(decision)

    def _is_at_rest(self, capture: ReplayCapture) -> bool:
        keeps = self._keeps_local_copy(capture.metadata.uid)
        return is_at_rest(capture, keep_local_copy=keeps, bucket=self._settings.target.bucket)

    def _keeps_local_copy(self, uid: str) -> bool:
        return self._settings.target.keep_local_copy or uid in self._not_ours

    async def _newest_job(self, capture: ReplayCapture) -> UploadJob | None:
        jobs = self._upload_jobs.of_capture(capture.metadata.uid)
        if not jobs:
            return None
        upload = capture.status.upload
        return await view_upload_job(
            self._gateway,
            self._settings.namespace,
            max(jobs, key=attempt_of),
            capture_uid=capture.metadata.uid,
            counted=upload.attempts if upload is not None else 0,
        )

    def _extras_are_made(self, uid: str) -> bool:
        """Tell whether the capture's own Job has ended, and the status has what it told of the extras."""
        jobs = self._capture_jobs.of_capture(uid)
        return uid not in self._capture_jobs.running_captures() and not any(is_left_over(j) for j in jobs)

    async def _start(self, capture: ReplayCapture, attempt: int) -> None:
        body = upload_job_body(capture.metadata, attempt, self._request(capture), self._settings.job)
        try:
            self._upload_jobs.put(await self._gateway.create(JOBS, self._settings.namespace, body))
        except Conflict:
            log.info("Job %s exists already: going on with it", body["metadata"]["name"])

    def _request(self, capture: ReplayCapture) -> UploadRequest:
        clip, source, target = capture.status.clip, capture.status.source, self._settings.target
        if clip is None:
            raise ValueError(f"ReplayCapture {capture.metadata.name}: an upload was wanted before its clip")
        owner = source.owner if source is not None else None
        # What was there once is looked for where it was, not sent a second time below another prefix.
        known = key_in_bucket(clip.url, target.bucket) if clip.url is not None else None
        return UploadRequest(
            capture_uid=capture.metadata.uid,
            archive_directory=ARCHIVE_MOUNT,
            clip_path=clip.path,
            bytes=clip.bytes,
            sha256=clip.sha256,
            bucket=target.bucket,
            key=known or object_key(target, clip.path),
            endpoint=target.endpoint,
            region=target.region,
            tags=object_tags(target, namespace=capture.metadata.namespace, owner=owner),
        )

    async def _tell_failure(self, before: ReplayCapture, after: ReplayCapture) -> None:
        known, now = before.status.upload, after.status.upload
        told = find_condition(after.status.conditions, UPLOADED)
        if now is None or now.state is not UploadState.FAILED or told is None:
            return
        if known is None or known.state is not UploadState.FAILED:
            event = Event(EventType.WARNING, UPLOAD_FAILED, f"{told.reason}: {told.message}")
            await self._writer.tell(CAPTURES, after.metadata, event)

    async def _drop_local_copy(self, capture: ReplayCapture) -> tuple[ReplayCapture, float | None]:
        clip, meta = capture.status.clip, capture.metadata
        if clip is None or clip.url is None:
            return capture, None
        try:
            await self._agent.drop_clip(ClipDeletion(path=clip.path, capture_uid=meta.uid))
        except NotItsClip as error:
            self._not_ours.add(meta.uid)
            log.warning("the local copy of %s stays: %s", clip.url, error)
            return capture, None
        except AgentUnavailable as error:
            log.warning("the local copy of %s does not go yet: %s", clip.url, error)
            return capture, ASK_AGENT_AGAIN_SECONDS
        return await self._writer.write_capture(capture, without_local_copy(capture.status)), None

    def _seconds_until(self, decision: UploadDecision) -> float | None:
        if decision.recheck is None:
            return None
        return max(0.0, (decision.recheck - self._clock()).total_seconds())
