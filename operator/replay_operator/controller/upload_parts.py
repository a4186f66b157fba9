"""What of the operator has to do with the bucket, put together."""

from __future__ import annotations

from collections.abc import Callable
from datetime import datetime

from replay_operator.cluster.gateway import KubernetesGateway
from replay_operator.controller.agent_client import AgentClient
from replay_operator.controller.handlers import Inbox
from replay_operator.controller.part_settings import upload_job_settings
from replay_operator.controller.upload_figures import UploadFigures
from replay_operator.controller.upload_places import UploadPlaces
from replay_operator.controller.uploads import ClipUploads, ClipUploadSettings
from replay_operator.controller.writer import StatusWriter
from replay_operator.metrics import OperatorMetrics
from replay_operator.settings import OperatorSettings, UploadSettings


def build_clip_uploads(
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
) -> ClipUploads | None:
    """Put them together; None for an install without a bucket.

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
    if uploads is None or target is None:
        return None
    places = UploadPlaces(
        places=uploads.max_jobs,
        captures=inbox.captures,
        jobs=inbox.upload_jobs,
        wake=wake,
        metrics=metrics,
        clock=clock,
    )
    return ClipUploads(
        settings=ClipUploadSettings(
            namespace=settings.namespace, target=target, job=upload_job_settings(settings, uploads)
        ),
        gateway=gateway,
        agent=agent,
        capture_jobs=inbox.jobs,
        upload_jobs=inbox.upload_jobs,
        places=places,
        writer=writer,
        figures=UploadFigures(metrics),
        clock=clock,
    )
