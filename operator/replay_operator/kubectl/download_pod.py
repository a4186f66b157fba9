"""The pod that reads a clip for a download. Pure."""

from __future__ import annotations

import uuid

from replay_operator.cluster.gateway import Json
from replay_operator.cluster.resources import CAPTURES
from replay_operator.kubectl.agent_pod import AgentPod

CONTAINER = "reader"
ARCHIVE_MOUNT = "/archive"

LIFE_SECONDS = 3600
"""So long a download may take, and so long a pod can stay behind when this program is killed."""

_MOUNT_NAME = "archive"


def reader_pod(agent: AgentPod, capture: Json) -> Json:
    """Build the pod. It passes Pod Security `restricted`, has no token, and may only read the archive volume.

    It runs beside the agent: there the volume is attached, whatever its access mode. It belongs to the
    capture, so that one that was left behind goes with it at the latest.

    Args:
        agent: Whose image, claim and identity on the volume it takes.
        capture: Whose clip it reads.
    """
    metadata = capture["metadata"]
    return {
        "apiVersion": "v1",
        "kind": "Pod",
        "metadata": {
            "name": f"replay-download-{uuid.uuid4().hex[:12]}",
            "labels": {
                "app.kubernetes.io/name": "replay-download",
                "app.kubernetes.io/part-of": "replay-operator",
            },
            "ownerReferences": [
                {
                    "apiVersion": CAPTURES.api_version,
                    "kind": CAPTURES.kind,
                    "name": metadata["name"],
                    "uid": metadata["uid"],
                }
            ],
        },
        "spec": {
            "restartPolicy": "Never",
            "activeDeadlineSeconds": LIFE_SECONDS,
            "terminationGracePeriodSeconds": 1,
            "automountServiceAccountToken": False,
            "enableServiceLinks": False,
            "securityContext": agent.security_context,
            "imagePullSecrets": list(agent.pull_secrets),
            "tolerations": list(agent.tolerations),
            "affinity": _beside(agent),
            "containers": [
                {
                    "name": CONTAINER,
                    "image": agent.image,
                    "command": ["sleep", str(LIFE_SECONDS)],
                    "resources": {
                        "requests": {"cpu": "10m", "memory": "16Mi"},
                        "limits": {"memory": "128Mi"},
                    },
                    "securityContext": {
                        "allowPrivilegeEscalation": False,
                        "readOnlyRootFilesystem": True,
                        "capabilities": {"drop": ["ALL"]},
                    },
                    "volumeMounts": [{"name": _MOUNT_NAME, "mountPath": ARCHIVE_MOUNT, "readOnly": True}],
                }
            ],
            "volumes": [
                {
                    "name": _MOUNT_NAME,
                    "persistentVolumeClaim": {"claimName": agent.archive_claim, "readOnly": True},
                }
            ],
        },
    }


def _beside(agent: AgentPod) -> Json:
    # By name and not by label: an agent that is being replaced must not draw it elsewhere.
    field = {"key": "metadata.name", "operator": "In", "values": [agent.node]}
    terms = {"nodeSelectorTerms": [{"matchFields": [field]}]}
    return {"nodeAffinity": {"requiredDuringSchedulingIgnoredDuringExecution": terms}}
