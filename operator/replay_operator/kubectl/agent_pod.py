"""Where the install's agent is, and what its pod says of itself."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from replay_operator.cluster.gateway import Json
from replay_operator.cluster.resources import PODS
from replay_operator.kubectl.errors import PluginError
from replay_operator.kubectl.session import Session

AGENT_LABEL = "app.kubernetes.io/name=replay-agent"

_ARCHIVE = ("REPLAY_AGENT_ARCHIVE", "/archive")
"""The agent's setting, and its default (agent/settings.py)."""


@dataclass(frozen=True, slots=True)
class AgentPod:
    """The agent's pod. Names come from it, so that another name in an overlay or a chart is no matter."""

    name: str
    node: str
    container: str
    image: str
    archive_claim: str
    security_context: Json
    pull_secrets: tuple[Json, ...]
    tolerations: tuple[Json, ...]


def read_agent_pod(pod: Json) -> AgentPod:
    """Read a pod.

    Args:
        pod: As the API server gave it.

    Raises:
        PluginError: It does not mount what an agent mounts.
    """
    spec = pod["spec"]
    container = next((c for c in spec["containers"] if c["name"] == "agent"), spec["containers"][0])
    variables = {each["name"]: each.get("value", "") for each in container.get("env", [])}
    archive = _volume_at(spec, container, variables.get(*_ARCHIVE))
    try:
        return AgentPod(
            name=pod["metadata"]["name"],
            node=spec.get("nodeName", ""),
            container=container["name"],
            image=container["image"],
            archive_claim=archive["persistentVolumeClaim"]["claimName"],
            security_context=spec.get("securityContext", {}),
            pull_secrets=tuple(spec.get("imagePullSecrets", ())),
            tolerations=tuple(spec.get("tolerations", ())),
        )
    except KeyError as error:
        name = pod["metadata"]["name"]
        raise PluginError(f"pod {name} is no agent of this version: it lacks {error}") from error


async def find_agent(session: Session) -> AgentPod:
    """Find the running agent of the namespace.

    Args:
        session: Where.

    Raises:
        PluginError: None runs there.
        ClusterError: Pods may not be listed.
    """
    pods = await session.gateway.list(PODS, session.namespace, labels=AGENT_LABEL)
    for pod in pods:
        if pod.get("status", {}).get("phase") == "Running" and "deletionTimestamp" not in pod["metadata"]:
            return read_agent_pod(pod)
    raise PluginError(
        f"no agent runs in namespace {session.namespace}: is replay-operator installed there? "
        f"Look at `kubectl get pods -l {AGENT_LABEL}`"
    )


def _volume_at(spec: Json, container: Json, path: str) -> dict[str, Any]:
    name = next((m["name"] for m in container.get("volumeMounts", []) if m["mountPath"] == path), None)
    found: dict[str, Any] = next((v for v in spec.get("volumes", []) if v["name"] == name), {})
    return found
