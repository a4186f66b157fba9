"""The upload Job: built from a request, and read back. One Job is one attempt."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from replay_operator.api.meta import ObjectMeta
from replay_operator.api.upload_job import UPLOAD_REQUEST_VARIABLE, UploadRequest, UploadResult
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
from replay_operator.cluster.jobs import CAPTURE_NAME_ANNOTATION, CAPTURE_UID_LABEL, JobPhase, job_phase
from replay_operator.domain.uploads import UploadJob

UPLOAD_ATTEMPT_LABEL = "replaybuffer.dev/upload-attempt"
"""On upload Jobs and on no others. Both kinds of Jobs have the capture's uid, so that one watch has both."""

UPLOAD_PODS = "replay-upload"
"""Name of the pods, which a NetworkPolicy goes by."""

CREDENTIALS = ("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY", "AWS_SESSION_TOKEN")
"""Entries of the Secret, and the variables that AWS's own tools know. The last one may be absent."""

_MAY_BE_ABSENT = "AWS_SESSION_TOKEN"

_CA_MOUNT = "/etc/replay/bucket-ca"

_LONGEST_NAME_OF_CAPTURE = 38
"""Of 63, which a label takes: the uid's first 8, `upload`, three dashes and a number are added."""

Json = dict[str, Any]


@dataclass(frozen=True, slots=True)
class UploadJobSettings:
    """What the install decides about every upload Job.

    Attributes:
        image: The operator's own.
        archive_claim: Where the clips are.
        service_account: Of its pods: a workload identity is bound to it.
        beside_agent: As of capture Jobs, if the archive volume is ReadWriteOnce.
        credentials_secret: Has the entries of `CREDENTIALS`; empty: the pod's identity is asked for them.
        ca_config_map: Has the entry `ca.crt`, for a server with a certificate of one's own; empty: none.
        deadline_seconds: An attempt that takes longer is ended. The next one goes on where it was.
        keep_seconds: How long a finished Job stays, with the log of its pod.
        node_labels: What its node must carry.
    """

    image: str
    archive_claim: str
    service_account: str
    beside_agent: bool
    deadline_seconds: int
    credentials_secret: str = ""
    ca_config_map: str = ""
    keep_seconds: int = 3600
    node_labels: tuple[tuple[str, str], ...] = ()


def upload_job_name(meta: ObjectMeta, attempt: int) -> str:
    """Name the Job of an attempt: found again after a crash."""
    capture = meta.name[:_LONGEST_NAME_OF_CAPTURE].rstrip("-.")
    return f"{capture}-{meta.uid[:8]}-upload-{attempt}".replace(".", "-")


def upload_job_body(
    meta: ObjectMeta, attempt: int, request: UploadRequest, settings: UploadJobSettings
) -> Json:
    """Build the Job.

    Its pod is started once: pauses between attempts are the operator's. It is not owned by the capture: one
    that is deleted by hand keeps its clip, and the upload goes on. So it goes by itself, with a time to live
    from the start. Should that pass before its answer is read, the next attempt finds the clip there.

    Args:
        meta: The capture.
        attempt: Which one.
        request: What to send.
        settings: What the install decides.
    """
    labels = {
        "app.kubernetes.io/name": UPLOAD_PODS,
        "app.kubernetes.io/part-of": "replay-operator",
        CAPTURE_UID_LABEL: meta.uid,
        UPLOAD_ATTEMPT_LABEL: str(attempt),
    }
    return {
        "apiVersion": "batch/v1",
        "kind": "Job",
        "metadata": {
            "name": upload_job_name(meta, attempt),
            "labels": labels,
            "annotations": {CAPTURE_NAME_ANNOTATION: meta.name},
        },
        "spec": {
            "backoffLimit": 0,
            "activeDeadlineSeconds": settings.deadline_seconds,
            "ttlSecondsAfterFinished": settings.keep_seconds,
            "podReplacementPolicy": "Failed",
            "podFailurePolicy": {"rules": [EVICTED_COUNTS_NOT]},
            "template": {"metadata": {"labels": labels}, "spec": _upload_pod(request, settings)},
        },
    }


def _upload_pod(request: UploadRequest, settings: UploadJobSettings) -> Json:
    variable = {"name": UPLOAD_REQUEST_VARIABLE, "value": request.model_dump_json(by_alias=True)}
    spec = bucket_pod(["upload"], variable, settings)
    archive = {"claimName": settings.archive_claim, "readOnly": True}
    spec["volumes"].append({"name": "archive", "persistentVolumeClaim": archive})
    mount = {"name": "archive", "mountPath": ARCHIVE_MOUNT, "readOnly": True}
    spec["containers"][0]["volumeMounts"].append(mount)
    return spec


def bucket_pod(arguments: list[str], variable: Json, settings: UploadJobSettings) -> Json:
    """Build the spec of a pod that talks to the bucket, and has no other volume than its own.

    Args:
        arguments: Of `replay-operator`.
        variable: Holds its request.
        settings: What the install decides.
    """
    mounts, volumes = [TMP_MOUNT], [TMP_VOLUME]
    if settings.ca_config_map:
        mounts.append({"name": "bucket-ca", "mountPath": _CA_MOUNT, "readOnly": True})
        volumes.append({"name": "bucket-ca", "configMap": {"name": settings.ca_config_map}})
    return {
        **pod_basis(
            service_account=settings.service_account,
            beside_agent=settings.beside_agent,
            node_labels=settings.node_labels,
        ),
        "containers": [
            {
                "name": "upload",
                "image": settings.image,
                "args": arguments,
                "env": [variable, *_credentials(settings)],
                "resources": {
                    "requests": {"cpu": "100m", "memory": "192Mi"},
                    "limits": {"memory": "512Mi"},
                },
                "securityContext": CONTAINER_SECURITY,
                "volumeMounts": mounts,
            }
        ],
        "volumes": volumes,
    }


def _credentials(settings: UploadJobSettings) -> list[Json]:
    variables: list[Json] = []
    if settings.credentials_secret:
        # Else, where an entry is missing, a node's role would be looked for, and could be another's.
        variables.append({"name": "AWS_EC2_METADATA_DISABLED", "value": "true"})
        for name in CREDENTIALS:
            entry = {
                "name": settings.credentials_secret,
                "key": name,
                "optional": name == _MAY_BE_ABSENT,
            }
            variables.append({"name": name, "valueFrom": {"secretKeyRef": entry}})
    if settings.ca_config_map:
        variables.append({"name": "SSL_CERT_FILE", "value": f"{_CA_MOUNT}/ca.crt"})
    return variables


def is_upload_job(job: Json) -> bool:
    """Tell an upload Job from a capture's own."""
    return UPLOAD_ATTEMPT_LABEL in job["metadata"].get("labels", {})


def attempt_of(job: Json) -> int:
    """Give which attempt an upload Job is; 0 for one whose label somebody has spoilt."""
    number = str(job["metadata"].get("labels", {}).get(UPLOAD_ATTEMPT_LABEL, ""))
    return int(number) if number.isascii() and number.isdecimal() else 0


def upload_result(pods: tuple[Json, ...], capture_uid: str) -> UploadResult | None:
    """Find the answer that the pod of an upload Job has left in its termination message.

    Args:
        pods: The Job's pods.
        capture_uid: Whose answer it must be.
    """
    for result in answers_of(pods, UploadResult):
        # A request that could not be read names no capture.
        if result.capture_uid in (capture_uid, ""):
            return result.model_copy(update={"capture_uid": capture_uid})
    return None


async def view_upload_job(
    gateway: KubernetesGateway, namespace: str, job: Json, *, capture_uid: str, counted: int
) -> UploadJob:
    """Give the state of an upload Job, with its answer once it has ended.

    Args:
        gateway: The Kubernetes API, asked for the pods of a Job only if it has ended and does not count yet.
        namespace: Where the Job is.
        job: The Job as the watch delivered it.
        capture_uid: Whose Job it is.
        counted: How many attempts the capture's status has counted.
    """
    attempt = attempt_of(job)
    phase, message = job_phase(job)
    if phase is JobPhase.RUNNING:
        return UploadJob(attempt)
    if attempt <= counted:
        return UploadJob(attempt, has_ended=True)
    pods = await pods_of(gateway, namespace, job)
    return UploadJob(attempt, has_ended=True, result=upload_result(pods, capture_uid), message=message)
