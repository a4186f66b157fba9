"""What the pods of all our Jobs have in common: where they run, what they may do, what they leave."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any, TypeVar

from pydantic import BaseModel, ValidationError

from replay_operator.cluster.gateway import KubernetesGateway
from replay_operator.cluster.resources import PODS

Answer = TypeVar("Answer", bound=BaseModel)
Json = dict[str, Any]

ARCHIVE_MOUNT = "/archive"

CONTAINER_SECURITY: Json = {
    "allowPrivilegeEscalation": False,
    "readOnlyRootFilesystem": True,
    "capabilities": {"drop": ["ALL"]},
}

TMP_VOLUME: Json = {"name": "tmp", "emptyDir": {}}
TMP_MOUNT: Json = {"name": "tmp", "mountPath": "/tmp"}  # noqa: S108 - an emptyDir of the pod

EVICTED_COUNTS_NOT: Json = {
    "action": "Ignore",
    "onPodConditions": [{"type": "DisruptionTarget", "status": "True"}],
}
"""Rule of a podFailurePolicy: an evicted or preempted pod is started again, and counts as no failure."""


def pod_basis(*, service_account: str, beside_agent: bool, node_labels: tuple[tuple[str, str], ...]) -> Json:
    """Give what the spec of each pod begins with.

    It gets no service account token and passes Pod Security `restricted`. No user is named: the image's is
    numeric, and OpenShift assigns one.

    Args:
        service_account: Its ServiceAccount.
        beside_agent: Whether it runs on the agent's node: a ReadWriteOnce volume is attached to that one.
        node_labels: What its node must carry.
    """
    return {
        **_affinity(beside_agent=beside_agent, node_labels=node_labels),
        "restartPolicy": "Never",
        "serviceAccountName": service_account,
        "automountServiceAccountToken": False,
        "enableServiceLinks": False,
        "securityContext": {
            "runAsNonRoot": True,
            "fsGroup": 0,  # the segments belong to group 0, egress's own group, and so do clips
            "fsGroupChangePolicy": "OnRootMismatch",
            "seccompProfile": {"type": "RuntimeDefault"},
        },
    }


def _affinity(*, beside_agent: bool, node_labels: tuple[tuple[str, str], ...]) -> Json:
    affinity: Json = {}
    if beside_agent:
        labels = {"app.kubernetes.io/name": "replay-agent"}
        beside = {"topologyKey": "kubernetes.io/hostname", "labelSelector": {"matchLabels": labels}}
        affinity["podAffinity"] = {"requiredDuringSchedulingIgnoredDuringExecution": [beside]}
    if node_labels:
        wanted = [{"key": name, "operator": "In", "values": [value]} for name, value in node_labels]
        terms = {"nodeSelectorTerms": [{"matchExpressions": wanted}]}
        affinity["nodeAffinity"] = {"requiredDuringSchedulingIgnoredDuringExecution": terms}
    return {"affinity": affinity} if affinity else {}


async def pods_of(gateway: KubernetesGateway, namespace: str, job: Json) -> tuple[Json, ...]:
    """Give the pods of a Job.

    Args:
        gateway: The Kubernetes API.
        namespace: Where the Job is.
        job: The Job.
    """
    return await gateway.list(
        PODS, namespace, labels=f"batch.kubernetes.io/job-name={job['metadata']['name']}"
    )


def answers_of(pods: tuple[Json, ...], model: type[Answer]) -> Iterator[Answer]:
    """Give what the containers of a Job have answered, the newest first. What is no answer is passed over.

    Args:
        pods: The Job's pods.
        model: Of an answer.
    """
    for message in _termination_messages(pods):
        try:
            answer = model.model_validate_json(message)
        except ValidationError:
            continue
        yield answer


def _termination_messages(pods: tuple[Json, ...]) -> tuple[str, ...]:
    # The later container knows more, and times have whole seconds.
    messages = [
        (str(ended.get("finishedAt", "")), order, str(ended["message"]))
        for pod in pods
        for order, kind in enumerate(("initContainerStatuses", "containerStatuses"))
        for container in pod.get("status", {}).get(kind, [])
        if (ended := container.get("state", {}).get("terminated")) and ended.get("message")
    ]
    return tuple(message for _, _, message in sorted(messages, reverse=True))
