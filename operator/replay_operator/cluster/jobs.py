"""The capture Job: built from a request, and read back."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum
from typing import Any

from replay_operator.api.capture_job import REQUEST_VARIABLE, CaptureRequest, CaptureResult, ExitCode
from replay_operator.api.meta import ObjectMeta
from replay_operator.cluster.gateway import KubernetesGateway
from replay_operator.cluster.job_pods import (
    ARCHIVE_MOUNT,
    CONTAINER_SECURITY,
    EVICTED_COUNTS_NOT,
    TMP_MOUNT,
    TMP_VOLUME,
    answers_of,
    pod_basis,
    pods_of,
)
from replay_operator.cluster.resources import CAPTURES, JOBS
from replay_operator.domain.captures import job_name

CAPTURE_UID_LABEL = "replaybuffer.dev/capture-uid"
CAPTURE_NAME_ANNOTATION = "replaybuffer.dev/capture"
CAPTURE_PODS = "replay-capture"
"""What the pods of captures carry under the label that selects the fleet's."""

BUFFER_MOUNT = "/buffer"


@dataclass(frozen=True, slots=True)
class JobSettings:
    """What the install decides about every capture Job.

    `beside_agent` puts its pod on the agent's node: a ReadWriteOnce volume is attached to that one only.
    `node_labels` are those that its node must carry. `fleet_label` is the name of the label that selects the
    fleet's pods: those of captures carry it too, with a value of their own, so that one watch delivers both.
    """

    image: str
    buffer_claim: str
    archive_claim: str
    service_account: str
    deadline_seconds: int
    retries: int
    beside_agent: bool
    keep_seconds: int = 3600
    priority_class: str = ""
    node_labels: tuple[tuple[str, str], ...] = ()
    fleet_label: str = "app.kubernetes.io/name"


class JobPhase(StrEnum):
    """How far a Job is."""

    ABSENT = "Absent"
    RUNNING = "Running"
    SUCCEEDED = "Succeeded"
    FAILED = "Failed"


@dataclass(frozen=True, slots=True)
class JobView:
    """A capture Job as it is now. `result` is None until its pod has told it."""

    phase: JobPhase
    result: CaptureResult | None = None
    message: str = ""


def job_body(meta: ObjectMeta, request: CaptureRequest, settings: JobSettings) -> dict[str, Any]:
    """Build the Job.

    It has no `ttlSecondsAfterFinished`: its pods hold the result until the capture's status does (see
    `expire_job`). An evicted or preempted pod counts as no failure; `activeDeadlineSeconds` bounds that.
    The pod sees the buffer read-only.
    The clip is made by an init container: its result can be read while the next container adds the extras.

    Args:
        meta: The capture, which owns the Job.
        request: What to cut.
        settings: What the install decides.
    """
    labels = {
        "app.kubernetes.io/name": CAPTURE_PODS,
        "app.kubernetes.io/part-of": "replay-operator",
        CAPTURE_UID_LABEL: meta.uid,
    }
    return {
        "apiVersion": "batch/v1",
        "kind": "Job",
        "metadata": {
            "name": job_name(meta, request.attempt),
            "labels": labels,
            "annotations": {CAPTURE_NAME_ANNOTATION: meta.name},
            "ownerReferences": [
                {
                    "apiVersion": CAPTURES.api_version,
                    "kind": CAPTURES.kind,
                    "name": meta.name,
                    "uid": meta.uid,
                    "controller": True,
                }
            ],
        },
        "spec": {
            "backoffLimit": settings.retries,
            "activeDeadlineSeconds": settings.deadline_seconds,
            "podReplacementPolicy": "Failed",
            "podFailurePolicy": {
                "rules": [
                    {
                        "action": "FailJob",
                        "onExitCodes": {
                            "containerName": "capture",
                            "operator": "In",
                            "values": [ExitCode.REFUSED.value],
                        },
                    },
                    EVICTED_COUNTS_NOT,
                ]
            },
            "template": {
                "metadata": {"labels": {**labels, settings.fleet_label: CAPTURE_PODS}},
                "spec": _pod_spec(request, settings),
            },
        },
    }


def _pod_spec(request: CaptureRequest, settings: JobSettings) -> dict[str, Any]:
    priority = {"priorityClassName": settings.priority_class} if settings.priority_class else {}
    return {
        **pod_basis(
            service_account=settings.service_account,
            beside_agent=settings.beside_agent,
            node_labels=settings.node_labels,
        ),
        **priority,
        "initContainers": [
            _container("capture", "clip", request, settings, {"name": "buffer", **_BUFFER_MOUNT}),
        ],
        "containers": [_container("extras", "extras", request, settings)],
        "volumes": [
            {
                "name": "buffer",
                "persistentVolumeClaim": {"claimName": settings.buffer_claim, "readOnly": True},
            },
            {"name": "archive", "persistentVolumeClaim": {"claimName": settings.archive_claim}},
            TMP_VOLUME,
        ],
    }


_BUFFER_MOUNT = {"mountPath": BUFFER_MOUNT, "readOnly": True}


def _container(
    name: str, only: str, request: CaptureRequest, settings: JobSettings, *mounts: dict[str, Any]
) -> dict[str, Any]:
    return {
        "name": name,
        "image": settings.image,
        "args": ["capture", "--only", only],
        "env": [{"name": REQUEST_VARIABLE, "value": request.model_dump_json(by_alias=True)}],
        "resources": {
            "requests": {"cpu": "500m", "memory": "256Mi"},
            "limits": {"memory": "512Mi"},
        },
        "securityContext": CONTAINER_SECURITY,
        "volumeMounts": [
            *mounts,
            {"name": "archive", "mountPath": ARCHIVE_MOUNT},
            TMP_MOUNT,
        ],
    }


def job_phase(job: dict[str, Any] | None) -> tuple[JobPhase, str]:
    """Read how far a Job is, and what its failure condition says."""
    if job is None:
        return JobPhase.ABSENT, ""
    for condition in job.get("status", {}).get("conditions", []):
        if condition.get("status") != "True":
            continue
        if condition["type"] == "Complete":
            return JobPhase.SUCCEEDED, ""
        if condition["type"] == "Failed":
            return JobPhase.FAILED, f"{condition.get('reason', '')}: {condition.get('message', '')}"
    return JobPhase.RUNNING, ""


def is_left_over(job: dict[str, Any]) -> bool:
    """Tell whether a Job has ended and nobody has said yet how long it stays."""
    phase, _ = job_phase(job)
    ended = phase in (JobPhase.SUCCEEDED, JobPhase.FAILED)
    return ended and "ttlSecondsAfterFinished" not in job.get("spec", {})


async def expire_job(
    gateway: KubernetesGateway, namespace: str, name: str, keep_seconds: int
) -> dict[str, Any] | None:
    """Let Kubernetes delete a finished Job after a while; None when it is gone already.

    Args:
        gateway: The Kubernetes API.
        namespace: Where the Job is.
        name: Which Job; its result is in the capture's status.
        keep_seconds: How long it and the logs of its pods stay.
    """
    return await gateway.patch(JOBS, namespace, name, {"spec": {"ttlSecondsAfterFinished": keep_seconds}})


def termination_result(pods: tuple[dict[str, Any], ...], capture_uid: str) -> CaptureResult | None:
    """Find the newest result that a pod of the Job has left in its termination message.

    Args:
        pods: The Job's pods.
        capture_uid: Whose result it must be.
    """
    return next(
        (found for found in answers_of(pods, CaptureResult) if found.capture_uid == capture_uid), None
    )


async def view_job(
    gateway: KubernetesGateway, namespace: str, job: dict[str, Any] | None, capture_uid: str
) -> JobView:
    """Give the state of a capture Job, with its result once it has ended.

    Args:
        gateway: The Kubernetes API, asked for the Job's pods only when the Job has ended.
        namespace: Where the Job is.
        job: The Job as the watch delivered it.
        capture_uid: Whose Job it is.
    """
    phase, message = job_phase(job)
    if job is None or phase in (JobPhase.ABSENT, JobPhase.RUNNING):
        return JobView(phase)
    pods = await pods_of(gateway, namespace, job)
    return JobView(phase, termination_result(pods, capture_uid), message)
