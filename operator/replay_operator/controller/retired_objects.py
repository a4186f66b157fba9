"""Deletes from the bucket the clips that retention lets go of: a hundred at a time, by one Job."""

from __future__ import annotations

import logging
from contextlib import suppress

from replay_operator.api.removal_job import MOST_OBJECTS, RemovableObject, RemovalRequest
from replay_operator.cluster.gateway import Conflict, KubernetesGateway
from replay_operator.cluster.removal_jobs import (
    RETENTION_JOB,
    requested_objects,
    retention_removal_body,
    view_removal_job,
)
from replay_operator.cluster.resources import JOBS
from replay_operator.controller.uploads import ClipUploadSettings
from replay_operator.domain.clip_retention import KeptClip
from replay_operator.domain.upload_target import key_in_bucket, object_key

log = logging.getLogger(__name__)


class RetiredObjects:
    """Remembers what has to go until a Job has deleted it. After a restart the catalogue still has the rows.

    Args:
        settings: Of the install's uploads.
        gateway: The Kubernetes API.
    """

    def __init__(self, settings: ClipUploadSettings, *, gateway: KubernetesGateway) -> None:
        self._settings = settings
        self._gateway = gateway
        self._doomed: dict[str, RemovableObject] = {}  # by the uid of the capture
        self._gone: set[str] = set()
        self._busy = False

    @property
    def is_full(self) -> bool:
        """Whether one Job deletes no more than what is doomed by now."""
        return len(self._doomed) >= MOST_OBJECTS

    @property
    def waits(self) -> bool:
        """Whether something is not deleted yet."""
        return bool(self._doomed)

    def is_gone(self, clip: KeptClip) -> bool:
        """Tell whether a clip is not in the bucket any more; if it is, it goes with the next Job.

        Args:
            clip: That may go, and is gone from the archive volume.
        """
        if clip.uid in self._gone:
            return True
        target = self._settings.target
        # Without a URL an attempt may still have sent it, or begun to, after its capture was deleted.
        key = object_key(target, clip.path) if clip.url is None else key_in_bucket(clip.url, target.bucket)
        if key is None:
            log.warning("%s is left where it is: it is in another bucket than this install's", clip.url)
            return True
        if not self.is_full:
            self._doomed[clip.uid] = RemovableObject(key=key, capture_uid=clip.uid)
        return False

    def forget(self, uid: str) -> None:
        """Let go of a clip that is gone: the catalogue has it noted, and nobody will ask again.

        Args:
            uid: Of its capture.
        """
        self._gone.discard(uid)

    async def settle(self) -> None:
        """See what the last Job has deleted, before the clips are looked through.

        Raises:
            ClusterError: The API server does not answer.
        """
        namespace = self._settings.namespace
        job = await self._gateway.get(JOBS, namespace, RETENTION_JOB)
        self._busy = job is not None
        if job is None or "deletionTimestamp" in job["metadata"]:
            return
        view = await view_removal_job(self._gateway, namespace, job)
        if not view.has_ended:
            return
        if view.left:
            log.warning("not all clips could be deleted from object storage: %s", view.left)
        if view.is_settled:
            self._gone.update(wanted.capture_uid for wanted in requested_objects(job))
        await self._gateway.delete(JOBS, namespace, RETENTION_JOB)
        self._doomed = {}
        self._busy = False

    async def remove(self) -> None:
        """Have deleted what is doomed, unless a Job is at work.

        Raises:
            ClusterError: The API server does not answer.
        """
        if self._busy or not self._doomed:
            return
        target = self._settings.target
        request = RemovalRequest(
            bucket=target.bucket,
            endpoint=target.endpoint,
            region=target.region,
            objects=tuple(self._doomed.values()),
        )
        with suppress(Conflict):  # the one before is on its way out: the next look makes it
            body = retention_removal_body(request, self._settings.job)
            await self._gateway.create(JOBS, self._settings.namespace, body)
