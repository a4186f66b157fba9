"""The Node object: registers it and keeps its lease fresh."""

import asyncio
import datetime as dt
import platform
import time

from tests.testbed.node.api import MERGE_PATCH, ApiError, Json, KubernetesApi
from tests.testbed.node.status import timestamp

NODE_NAME = "standin-0"
# Pretended, so that the scheduler never stands in a test's way.
_CAPACITY = {"cpu": "64", "memory": "256Gi", "pods": "110", "ephemeral-storage": "500Gi"}
_ARCHITECTURES = {"x86_64": "amd64", "aarch64": "arm64"}
_HEARTBEAT_SECONDS = 10.0  # as the kubelet's; the controller manager waits 40 s or more for one
_LEASE_SECONDS = 40
_CONFLICT = 409
_LEASES = "/apis/coordination.k8s.io/v1/namespaces/kube-node-lease/leases"


def node_object(log_port: int, now: float) -> Json:
    """The Node as it is registered.

    Args:
        log_port: where `kubectl logs` is served.
        now: seconds since the epoch.
    """
    architecture = _ARCHITECTURES.get(platform.machine(), platform.machine())
    since = timestamp(now)
    ready = {"type": "Ready", "status": "True", "reason": "NodeStandIn", "message": "plays a kubelet"}
    pressure = [
        {"type": name, "status": "False", "reason": "NodeStandIn", "message": "never"}
        for name in ("MemoryPressure", "DiskPressure", "PIDPressure")
    ]
    conditions = [
        {**condition, "lastHeartbeatTime": since, "lastTransitionTime": since}
        for condition in (ready, *pressure)
    ]
    return {
        "apiVersion": "v1",
        "kind": "Node",
        "metadata": {
            "name": NODE_NAME,
            "labels": {
                "kubernetes.io/hostname": NODE_NAME,
                "kubernetes.io/os": "linux",
                "kubernetes.io/arch": architecture,
            },
        },
        "status": {
            "capacity": _CAPACITY,
            "allocatable": _CAPACITY,
            "addresses": [
                {"type": "InternalIP", "address": "127.0.0.1"},
                {"type": "Hostname", "address": NODE_NAME},
            ],
            "daemonEndpoints": {"kubeletEndpoint": {"Port": log_port}},
            "conditions": conditions,
            "nodeInfo": {
                "machineID": NODE_NAME,
                "systemUUID": NODE_NAME,
                "bootID": str(now),
                "kernelVersion": platform.release(),
                "osImage": "node stand-in",
                "containerRuntimeVersion": "namespaces://1",
                "kubeletVersion": "v1.35.8",
                "kubeProxyVersion": "",
                "operatingSystem": "linux",
                "architecture": architecture,
            },
        },
    }


async def register(api: KubernetesApi, log_port: int) -> None:
    """Creates the Node, or takes over the one of an earlier stand-in."""
    node = node_object(log_port, time.time())
    try:
        await api.request("POST", "/api/v1/nodes", node)
    except ApiError as error:
        if error.status != _CONFLICT:
            raise
        await api.request(
            "PATCH", f"/api/v1/nodes/{NODE_NAME}/status", {"status": node["status"]}, MERGE_PATCH
        )


async def keep_heartbeat(api: KubernetesApi) -> None:
    """Renews the node's lease until it is cancelled."""
    while True:
        renewed = dt.datetime.now(dt.UTC).strftime("%Y-%m-%dT%H:%M:%S.%fZ")
        spec = {"holderIdentity": NODE_NAME, "leaseDurationSeconds": _LEASE_SECONDS, "renewTime": renewed}
        lease = {
            "apiVersion": "coordination.k8s.io/v1",
            "kind": "Lease",
            "metadata": {"name": NODE_NAME},
            "spec": spec,
        }
        try:
            await api.request("PATCH", f"{_LEASES}/{NODE_NAME}", {"spec": spec}, MERGE_PATCH)
        except ApiError:
            await api.request("POST", _LEASES, lease)
        await asyncio.sleep(_HEARTBEAT_SECONDS)
