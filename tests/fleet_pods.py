"""Pods of the fleet as the API server gives them, with the fields that kubelet and controllers fill in."""

from __future__ import annotations

from typing import Any

from replay_operator.domain.fleet import FleetPod, pod_from_body

Json = dict[str, Any]

RUNNING: Json = {"running": {"startedAt": "2026-11-22T11:58:04Z"}}
KILLED: Json = {
    "terminated": {
        "exitCode": 137,
        "reason": "OOMKilled",
        "startedAt": "2026-11-22T11:58:04Z",
        "finishedAt": "2026-11-22T12:41:07Z",
        "containerID": "containerd://2f1c6a0d9d",
    }
}
CRASH_LOOP: Json = {
    "waiting": {
        "reason": "CrashLoopBackOff",
        "message": "back-off 10s restarting failed container=egress",
    }
}


def container(
    name: str = "egress", *, state: Json = RUNNING, last_state: Json | None = None, restarts: int = 0
) -> Json:
    return {
        "containerID": "containerd://2f1c6a0d9d",
        "image": "docker.io/livekit/egress:v1.14.1",
        "imageID": "docker.io/livekit/egress@sha256:6f0b",
        "lastState": last_state or {},
        "name": name,
        "ready": "running" in state,
        "restartCount": restarts,
        "started": "running" in state,
        "state": state,
    }


def pod_body(
    name: str = "livekit-egress-6c9f7d5b8-x2k4q",
    *,
    uid: str | None = None,
    version: int = 1000,
    ip: str | None = "10.244.1.17",
    ready: bool = True,
    phase: str = "Running",
    deleted_at: str | None = None,
    containers: tuple[Json, ...] | None = None,
) -> Json:
    metadata: Json = {
        "creationTimestamp": "2026-11-22T11:58:01Z",
        "generateName": "livekit-egress-6c9f7d5b8-",
        "labels": {"app.kubernetes.io/name": "livekit-egress", "pod-template-hash": "6c9f7d5b8"},
        "name": name,
        "namespace": "team",
        "ownerReferences": [
            {
                "apiVersion": "apps/v1",
                "blockOwnerDeletion": True,
                "controller": True,
                "kind": "ReplicaSet",
                "name": "livekit-egress-6c9f7d5b8",
                "uid": "0a6e6f52-4d0e-4b0c-9a6c-2b7c1f6d3e11",
            }
        ],
        "resourceVersion": str(version),
        "uid": uid or f"uid-of-{name}",
    }
    if deleted_at:
        metadata |= {"deletionGracePeriodSeconds": 3600, "deletionTimestamp": deleted_at}
    status: Json = {
        "conditions": [
            _condition("PodReadyToStartContainers", holds=True),
            _condition("Initialized", holds=True),
            _condition("Ready", holds=ready),
            _condition("ContainersReady", holds=ready),
            _condition("PodScheduled", holds=True),
        ],
        "containerStatuses": list(containers or (container(),)),
        "hostIP": "172.18.0.3",
        "hostIPs": [{"ip": "172.18.0.3"}],
        "phase": phase,
        "qosClass": "Burstable",
        "startTime": "2026-11-22T11:58:01Z",
    }
    if ip:
        status |= {"podIP": ip, "podIPs": [{"ip": ip}]}
    return {
        "apiVersion": "v1",
        "kind": "Pod",
        "metadata": metadata,
        "spec": {
            "containers": [{"name": "egress", "image": "livekit/egress:v1.14.1"}],
            "nodeName": "worker-1",
            "restartPolicy": "Always",
            "terminationGracePeriodSeconds": 3600,
        },
        "status": status,
    }


def evicted_body(name: str, *, version: int) -> Json:
    """What the kubelet leaves of a pod that it evicted: no address and no containers."""
    body = pod_body(name, version=version)
    body["status"] = {
        "conditions": [_condition("DisruptionTarget", holds=True)],
        "message": "The node was low on resource: memory.",
        "phase": "Failed",
        "reason": "Evicted",
        "startTime": "2026-11-22T11:58:01Z",
    }
    return body


def unscheduled_body(name: str) -> Json:
    """A pod that no node has taken yet: there is neither a node nor an address nor a container."""
    body = pod_body(name)
    del body["spec"]["nodeName"]
    body["status"] = {
        "conditions": [_condition("PodScheduled", holds=False)],
        "phase": "Pending",
        "qosClass": "Burstable",
    }
    return body


def fleet_pod(name: str, **fields: Any) -> FleetPod:
    return pod_from_body(pod_body(name, **fields))


def _condition(type_: str, *, holds: bool) -> Json:
    return {
        "lastProbeTime": None,
        "lastTransitionTime": "2026-11-22T11:58:05Z",
        "status": "True" if holds else "False",
        "type": type_,
    }
