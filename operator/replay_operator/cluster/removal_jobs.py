"""The Job that deletes clips from a bucket: built from a request, and read back."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Any

from replay_operator.api.capture_job import ExitCode
from replay_operator.api.meta import ObjectMeta
from replay_operator.api.removal_job import (
    REMOVAL_REQUEST_VARIABLE,
    RemovableObject,
    RemovalRequest,
    RemovalResult,
)
from replay_operator.cluster.gateway import KubernetesGateway
from replay_operator.cluster.job_pods import EVICTED_COUNTS_NOT, answers_of, pods_of
from replay_operator.cluster.jobs import CAPTURE_NAME_ANNOTATION, CAPTURE_UID_LABEL, JobPhase, job_phase
from replay_operator.cluster.upload_jobs import UPLOAD_PODS, UploadJobSettings, bucket_pod

REMOVAL_LABEL = "replaybuffer.dev/bucket-removal"
"""On Jobs that delete from the bucket and on no others."""

_RETRIES = 3
"""Kubernetes pauses 10 s, 20 s and 40 s: a deletion is waited for."""

_LONGEST_NAME_OF_CAPTURE = 45

RETENTION_JOB = "replay-retention-removal"

Json = dict[str, Any]


@dataclass(frozen=True, slots=True)
class RemovalView:
    """How far a removal is. `left` says why something is still in the bucket though it has ended.

    `is_settled`: whether another try would change nothing.
    """

    has_ended: bool
    left: str = ""
    is_settled: bool = False


def removal_job_name(meta: ObjectMeta) -> str:
    """Name the Job that deletes the clip of a capture."""
    return f"{meta.name[:_LONGEST_NAME_OF_CAPTURE].rstrip('-.')}-{meta.uid[:8]}-removal".replace(".", "-")


def capture_removal_body(
    meta: ObjectMeta, request: RemovalRequest, settings: UploadJobSettings, *, deadline_seconds: int
) -> Json:
    """Build the Job for the clip of a capture that is being deleted.

    Args:
        meta: The capture.
        request: What to delete.
        settings: What the install decides.
        deadline_seconds: How long it may take.
    """
    body = _removal_body(
        removal_job_name(meta),
        {CAPTURE_UID_LABEL: meta.uid, REMOVAL_LABEL: "capture"},
        request,
        settings,
        deadline_seconds=deadline_seconds,
    )
    body["metadata"]["annotations"] = {CAPTURE_NAME_ANNOTATION: meta.name}
    return body


def retention_removal_body(request: RemovalRequest, settings: UploadJobSettings) -> Json:
    """Build the Job for clips whose capture is gone. There is one at a time.

    Args:
        request: What to delete.
        settings: What the install decides.
    """
    labels = {REMOVAL_LABEL: "retention"}
    seconds = settings.deadline_seconds
    return _removal_body(RETENTION_JOB, labels, request, settings, deadline_seconds=seconds)


def requested_objects(job: Json) -> tuple[RemovableObject, ...]:
    """Give what a Job was asked to delete: the only place where that is written down.

    Args:
        job: As the API server has it.
    """
    [container] = job["spec"]["template"]["spec"]["containers"]
    request = next(v["value"] for v in container["env"] if v["name"] == REMOVAL_REQUEST_VARIABLE)
    return RemovalRequest.model_validate_json(request).objects


def _removal_body(
    name: str,
    own_labels: dict[str, str],
    request: RemovalRequest,
    settings: UploadJobSettings,
    *,
    deadline_seconds: int,
) -> Json:
    """It goes by itself, with a time to live."""
    variable = {"name": REMOVAL_REQUEST_VARIABLE, "value": request.model_dump_json(by_alias=True)}
    labels = {
        "app.kubernetes.io/name": UPLOAD_PODS,
        "app.kubernetes.io/part-of": "replay-operator",
        **own_labels,
    }
    refused = {"containerName": "upload", "operator": "In", "values": [ExitCode.REFUSED.value]}
    return {
        "apiVersion": "batch/v1",
        "kind": "Job",
        "metadata": {"name": name, "labels": labels},
        "spec": {
            "backoffLimit": _RETRIES,
            "activeDeadlineSeconds": deadline_seconds,
            "ttlSecondsAfterFinished": settings.keep_seconds,
            "podReplacementPolicy": "Failed",
            "podFailurePolicy": {
                "rules": [{"action": "FailJob", "onExitCodes": refused}, EVICTED_COUNTS_NOT]
            },
            "template": {
                "metadata": {"labels": labels},
                # It mounts no volume that would bind it to a node.
                "spec": bucket_pod(
                    ["upload", "--remove"], variable, replace(settings, beside_agent=False, node_labels=())
                ),
            },
        },
    }


def is_removal_job(job: Json) -> bool:
    """Tell a Job that deletes from the bucket from others."""
    return REMOVAL_LABEL in job["metadata"].get("labels", {})


async def view_removal_job(gateway: KubernetesGateway, namespace: str, job: Json) -> RemovalView:
    """Give how far a Job is, with its answer once it has ended.

    Args:
        gateway: The Kubernetes API, asked for the Job's pods only when the Job has ended.
        namespace: Where the Job is.
        job: The Job.
    """
    phase, message = job_phase(job)
    if phase is JobPhase.RUNNING:
        return RemovalView(has_ended=False)
    result = next(answers_of(await pods_of(gateway, namespace, job), RemovalResult), None)
    if result is None:
        left = "" if phase is JobPhase.SUCCEEDED else f"the Job ended without an answer ({message})"
        return RemovalView(has_ended=True, left=left, is_settled=phase is JobPhase.SUCCEEDED)
    if result.error is not None:
        return RemovalView(has_ended=True, left=f"{result.error.reason}: {result.error.message}")
    not_ours = f"{', '.join(result.not_ours)} does not name the capture that made it"
    return RemovalView(has_ended=True, left=not_ours if result.not_ours else "", is_settled=True)
