"""Deletes the clip of a capture from the bucket, when it goes with the capture."""

from __future__ import annotations

from contextlib import suppress

from replay_operator.api.removal_job import RemovableObject, RemovalRequest
from replay_operator.api.replaycapture import ReplayCapture
from replay_operator.cluster.gateway import Conflict, KubernetesGateway
from replay_operator.cluster.removal_jobs import (
    RemovalView,
    capture_removal_body,
    removal_job_name,
    view_removal_job,
)
from replay_operator.cluster.resources import JOBS
from replay_operator.controller.uploads import ClipUploadSettings
from replay_operator.domain.capture_end import clip_path_of
from replay_operator.domain.upload_target import key_in_bucket, object_key

NOTHING_THERE = RemovalView(has_ended=True)


class BucketRemoval:
    """Looks after the object of a capture that is being deleted.

    Args:
        settings: Of the install's uploads; None: it has no bucket (any more).
        gateway: The Kubernetes API.
        deadline_seconds: How long a deletion may take.
    """

    def __init__(
        self, settings: ClipUploadSettings | None, *, gateway: KubernetesGateway, deadline_seconds: int
    ) -> None:
        self._settings = settings
        self._gateway = gateway
        self._deadline_seconds = deadline_seconds

    async def of_capture(self, capture: ReplayCapture) -> RemovalView:
        """Have the clip of a capture deleted, or see how far that is. Its upload must have been ended before.

        Args:
            capture: Being deleted, with its clip.
        """
        if capture.status.upload is None:
            return NOTHING_THERE
        if self._settings is None:
            return self._without_bucket(capture)
        key = self._key(capture, self._settings)
        if key is None:
            return RemovalView(has_ended=True, left="it is in another bucket than this install's")
        namespace, name = self._settings.namespace, removal_job_name(capture.metadata)
        job = await self._gateway.get(JOBS, namespace, name)
        if job is not None:
            return await view_removal_job(self._gateway, namespace, job)
        target = self._settings.target
        request = RemovalRequest(
            bucket=target.bucket,
            endpoint=target.endpoint,
            region=target.region,
            objects=(RemovableObject(key=key, capture_uid=capture.metadata.uid),),
        )
        body = capture_removal_body(
            capture.metadata, request, self._settings.job, deadline_seconds=self._deadline_seconds
        )
        with suppress(Conflict):  # another process was first; the next look sees its Job
            await self._gateway.create(JOBS, namespace, body)
        return RemovalView(has_ended=False)

    def _without_bucket(self, capture: ReplayCapture) -> RemovalView:
        clip = capture.status.clip
        is_there = clip is not None and clip.url is not None
        return RemovalView(has_ended=True, left="this install has no bucket any more" if is_there else "")

    def _key(self, capture: ReplayCapture, settings: ClipUploadSettings) -> str | None:
        clip, path = capture.status.clip, clip_path_of(capture)
        if clip is not None and clip.url is not None:
            return key_in_bucket(clip.url, settings.target.bucket)
        return object_key(settings.target, path) if path is not None else None
