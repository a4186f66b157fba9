"""What of the operator has to do with the bucket, put together."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime

from replay_operator.cluster.gateway import KubernetesGateway
from replay_operator.controller.agent_client import AgentClient
from replay_operator.controller.bucket_removal import BucketRemoval
from replay_operator.controller.handlers import Inbox
from replay_operator.controller.part_settings import upload_job_settings
from replay_operator.controller.retired_objects import RetiredObjects
from replay_operator.controller.upload_figures import UploadFigures
from replay_operator.controller.upload_places import UploadPlaces
from replay_operator.controller.uploads import ClipUploads, ClipUploadSettings
from replay_operator.controller.writer import StatusWriter
from replay_operator.metrics import OperatorMetrics
from replay_operator.settings import OperatorSettings, UploadSettings


@dataclass(frozen=True, slots=True)
class BucketParts:
    """Without a bucket there is only the one that says what is left in the bucket of before."""

    removal: BucketRemoval
    uploads: ClipUploads | None = None
    retired: RetiredObjects | None = None

    def look(self) -> None:
        """Look whether somebody's turn has come."""
        if self.uploads is not None:
            self.uploads.look()


def build_bucket_parts(
    settings: OperatorSettings,
    uploads: UploadSettings | None,
    *,
    inbox: Inbox,
    gateway: KubernetesGateway,
    agent: AgentClient,
    writer: StatusWriter,
    wake: Callable[[frozenset[str]], None],
    metrics: OperatorMetrics,
    clock: Callable[[], datetime],
) -> BucketParts:
    """Put them together.

    Args:
        settings: What the install decides.
        uploads: What it decides about uploads.
        inbox: All captures and Jobs.
        gateway: The Kubernetes API.
        agent: Deletes local copies.
        writer: Writes statuses.
        wake: Has captures reconciled.
        metrics: Where figures are counted.
        clock: Gives the time.
    """
    target = uploads.target() if uploads is not None else None
    seconds = settings.clip_deletion_timeout_seconds
    if uploads is None or target is None:
        return BucketParts(BucketRemoval(None, gateway=gateway, deadline_seconds=seconds))
    chosen = ClipUploadSettings(
        namespace=settings.namespace, target=target, job=upload_job_settings(settings, uploads)
    )
    places = UploadPlaces(
        places=uploads.max_jobs,
        captures=inbox.captures,
        jobs=inbox.upload_jobs,
        wake=wake,
        metrics=metrics,
        clock=clock,
    )
    clip_uploads = ClipUploads(
        settings=chosen,
        gateway=gateway,
        agent=agent,
        capture_jobs=inbox.jobs,
        upload_jobs=inbox.upload_jobs,
        places=places,
        writer=writer,
        figures=UploadFigures(metrics),
        clock=clock,
    )
    return BucketParts(
        BucketRemoval(chosen, gateway=gateway, deadline_seconds=seconds),
        clip_uploads,
        RetiredObjects(chosen, gateway=gateway),
    )
