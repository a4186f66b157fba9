"""Service names without DNS: every pod gets a hosts file that follows Services and ready pods.

Ports are not translated: a Service's `port` must equal its `targetPort` here.
"""

import os
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path

from tests.testbed.node.api import Json, KubernetesApi

_DOMAIN = "cluster.local"
_LOOPBACK = "127.0.0.1 localhost\n"


@dataclass(frozen=True)
class HostsOwner:
    """The pod that a hosts file belongs to."""

    namespace: str
    hostname: str
    address: str
    path: Path


def is_ready(pod: Json) -> bool:
    """Whether the pod would be an endpoint: ready, with an address, and not on its way out."""
    status = pod.get("status", {})
    conditions = {item["type"]: item["status"] for item in status.get("conditions", [])}
    leaving = "deletionTimestamp" in pod["metadata"]
    return conditions.get("Ready") == "True" and bool(status.get("podIP")) and not leaving


def endpoint_address(service: Json, pods: Iterable[Json]) -> str | None:
    """The address of the oldest ready pod that the service selects."""
    selector = service["spec"].get("selector") or {}
    namespace = service["metadata"]["namespace"]
    fitting = [
        pod
        for pod in pods
        if selector
        and pod["metadata"]["namespace"] == namespace
        and selector.items() <= pod["metadata"].get("labels", {}).items()
        and is_ready(pod)
    ]
    oldest_first = sorted(
        fitting, key=lambda pod: (pod["metadata"]["creationTimestamp"], pod["metadata"]["name"])
    )
    return str(oldest_first[0]["status"]["podIP"]) if oldest_first else None


def hosts_text(owner: HostsOwner, addresses: Mapping[tuple[str, str], str]) -> str:
    """The hosts file of one pod.

    Args:
        owner: the short names are those of its namespace.
        addresses: of services by (namespace, name).
    """
    lines = [_LOOPBACK, f"{owner.address} {owner.hostname}\n"]
    for (namespace, name), address in sorted(addresses.items()):
        long = f"{name}.{namespace}"
        short = [name] if namespace == owner.namespace else []
        names = [*short, long, f"{long}.svc", f"{long}.svc.{_DOMAIN}"]
        lines.append(f"{address} {' '.join(names)}\n")
    return "".join(lines)


def _rewrite(path: Path, text: str) -> None:
    # In place: the file is mounted into containers, and a mount follows the file, not the name.
    descriptor = os.open(path, os.O_WRONLY | os.O_CREAT, 0o644)
    try:
        content = text.encode()
        os.pwrite(descriptor, content, 0)
        os.ftruncate(descriptor, len(content))
    finally:
        os.close(descriptor)


class HostsFiles:
    """Keeps the hosts files of all pods of the node up to date."""

    def __init__(self, api: KubernetesApi) -> None:
        self._api = api
        self._services: dict[tuple[str, str], Json] = {}
        self._pods: dict[str, Json] = {}
        self._owners: dict[str, HostsOwner] = {}
        self._written: dict[str, str] = {}

    async def run(self) -> None:
        """Follows Services until it is cancelled."""
        async for change, service in self._api.watch("/api/v1/services"):
            key = (service["metadata"]["namespace"], service["metadata"]["name"])
            if change == "DELETED":
                self._services.pop(key, None)
            else:
                self._services[key] = service
            self._write_changed()

    def pod_changed(self, pod: Json) -> None:
        """A pod of the node was added or modified."""
        self._pods[pod["metadata"]["uid"]] = pod
        self._write_changed()

    def pod_gone(self, uid: str) -> None:
        """A pod of the node was deleted."""
        self._pods.pop(uid, None)
        self._owners.pop(uid, None)
        self._written.pop(uid, None)
        self._write_changed()

    def add(self, uid: str, owner: HostsOwner) -> None:
        """Starts a hosts file; it is complete when this returns."""
        self._owners[uid] = owner
        self._write_changed()

    def _write_changed(self) -> None:
        found = {
            key: endpoint_address(service, self._pods.values()) for key, service in self._services.items()
        }
        addresses = {key: address for key, address in found.items() if address is not None}
        for uid, owner in self._owners.items():
            text = hosts_text(owner, addresses)
            if self._written.get(uid) != text:
                _rewrite(owner.path, text)
                self._written[uid] = text
