"""The volume provisioner: a directory for every claim of its two storage classes.

It makes, deletes and grows PersistentVolumes. Binding is left to the real controller manager.
"""

import asyncio
import logging
import re
import shutil
from pathlib import Path

from tests.testbed.node.api import STRATEGIC_PATCH, ApiError, Json, KubernetesApi
from tests.testbed.node.node import NODE_NAME
from tests.testbed.node.quantities import quantity

PROVISIONER = "standin.replaybuffer.dev/dir"
_SELECTED_NODE = "volume.kubernetes.io/selected-node"
_PROVISIONED_BY = "pv.kubernetes.io/provisioned-by"
_CLASSES = {"standin-fast": "WaitForFirstConsumer", "standin-archive": "Immediate"}
_DEFAULT_CLASS = "standin-fast"
_VOLUMES = "/api/v1/persistentvolumes"
_CLAIMS = "/api/v1/persistentvolumeclaims"
_SAFE_NAME = re.compile(r"[a-z0-9]([-a-z0-9.]*[a-z0-9])?")
_GONE, _CONFLICT = 404, 409

_log = logging.getLogger(__name__)


def storage_classes() -> list[Json]:
    """The two classes: fast (default, waits for its first consumer) and archive (at once)."""
    return [
        {
            "apiVersion": "storage.k8s.io/v1",
            "kind": "StorageClass",
            "metadata": {
                "name": name,
                "annotations": {
                    "storageclass.kubernetes.io/is-default-class": str(name == _DEFAULT_CLASS).lower()
                },
            },
            "provisioner": PROVISIONER,
            "volumeBindingMode": mode,
            "reclaimPolicy": "Delete",
            "allowVolumeExpansion": True,
        }
        for name, mode in _CLASSES.items()
    ]


def wants_volume(claim: Json, node: str) -> bool:
    """Whether the claim is ours, unbound, and its moment has come."""
    metadata, spec = claim["metadata"], claim["spec"]
    mode = _CLASSES.get(spec.get("storageClassName", ""))
    if mode is None or spec.get("volumeName") or metadata.get("deletionTimestamp"):
        return False
    return mode == "Immediate" or metadata.get("annotations", {}).get(_SELECTED_NODE) == node


def wanted_growth(claim: Json) -> str | None:
    """The size that a bound claim of ours asks for, when it is more than it has."""
    if (
        claim["spec"].get("storageClassName") not in _CLASSES
        or claim.get("status", {}).get("phase") != "Bound"
    ):
        return None
    wanted = str(claim["spec"]["resources"]["requests"]["storage"])
    return wanted if quantity(wanted) > quantity(claim["status"]["capacity"]["storage"]) else None


def volume_for(claim: Json, path: Path, node: str) -> Json:
    """The PersistentVolume of a claim, on a directory of the node."""
    metadata, spec = claim["metadata"], claim["spec"]
    on_node = {"key": "kubernetes.io/hostname", "operator": "In", "values": [node]}
    return {
        "apiVersion": "v1",
        "kind": "PersistentVolume",
        "metadata": {"name": f"pvc-{metadata['uid']}", "annotations": {_PROVISIONED_BY: PROVISIONER}},
        "spec": {
            "capacity": {"storage": spec["resources"]["requests"]["storage"]},
            "accessModes": spec["accessModes"],
            "volumeMode": spec.get("volumeMode", "Filesystem"),
            "persistentVolumeReclaimPolicy": "Delete",
            "storageClassName": spec["storageClassName"],
            "local": {"path": str(path)},
            "nodeAffinity": {"required": {"nodeSelectorTerms": [{"matchExpressions": [on_node]}]}},
            "claimRef": {
                "apiVersion": "v1",
                "kind": "PersistentVolumeClaim",
                "namespace": metadata["namespace"],
                "name": metadata["name"],
                "uid": metadata["uid"],
            },
        },
    }


class Provisioner:
    """Follows claims and volumes; owns `root` and everything below it."""

    def __init__(self, api: KubernetesApi, root: Path) -> None:
        self._api = api
        self._root = root
        self._paths: dict[tuple[str, str], Path] = {}

    def volume_path(self, namespace: str, claim: str) -> Path:
        """The directory of a claim.

        Raises:
            KeyError: the claim has no volume (yet).
        """
        return self._paths[namespace, claim]

    async def make_classes(self) -> None:
        """Creates the storage classes that are not there yet."""
        for storage_class in storage_classes():
            await self._create("/apis/storage.k8s.io/v1/storageclasses", storage_class)

    async def run(self) -> None:
        """Provisions until it is cancelled."""
        async with asyncio.TaskGroup() as tasks:
            tasks.create_task(self._follow_claims())
            tasks.create_task(self._follow_volumes())

    async def _follow_claims(self) -> None:
        async for change, claim in self._api.watch(_CLAIMS):
            if change == "DELETED":
                continue
            if wants_volume(claim, NODE_NAME):
                await self._provision(claim)
            elif size := wanted_growth(claim):
                await self._expand(claim, size)

    async def _follow_volumes(self) -> None:
        async for change, volume in self._api.watch(_VOLUMES):
            if volume["metadata"].get("annotations", {}).get(_PROVISIONED_BY) != PROVISIONER:
                continue
            reference = volume["spec"]["claimRef"]
            key, path = (reference["namespace"], reference["name"]), Path(volume["spec"]["local"]["path"])
            if change == "DELETED":
                if self._paths.get(key) == path:
                    del self._paths[key]
                continue
            self._paths[key] = path
            released = volume.get("status", {}).get("phase") == "Released"
            if released and volume["spec"]["persistentVolumeReclaimPolicy"] == "Delete":
                await self._remove(volume["metadata"]["name"], path)

    async def _provision(self, claim: Json) -> None:
        metadata = claim["metadata"]
        for name in (metadata["namespace"], metadata["name"]):
            if not _SAFE_NAME.fullmatch(name):
                raise ValueError(f"{name!r} cannot be part of a volume's path")
        # The uid keeps a claim that is made again apart from the directory that is still being removed.
        path = self._root / metadata["namespace"] / f"{metadata['name']}-{metadata['uid'][:8]}"
        path.mkdir(parents=True, exist_ok=True)
        path.chmod(0o775)
        self._paths[metadata["namespace"], metadata["name"]] = path
        await self._create(_VOLUMES, volume_for(claim, path, NODE_NAME))

    async def _expand(self, claim: Json, size: str) -> None:
        name, metadata = claim["spec"]["volumeName"], claim["metadata"]
        own = f"/api/v1/namespaces/{metadata['namespace']}/persistentvolumeclaims/{metadata['name']}/status"
        capacity = {"capacity": {"storage": size}}
        await self._patch(f"{_VOLUMES}/{name}", {"spec": capacity})
        await self._patch(own, {"status": capacity})

    async def _remove(self, name: str, path: Path) -> None:
        if path.is_relative_to(self._root):
            await asyncio.to_thread(shutil.rmtree, path, ignore_errors=True)
        try:
            await self._api.request("DELETE", f"{_VOLUMES}/{name}")
        except ApiError as error:
            if error.status != _GONE:
                raise

    async def _create(self, path: str, body: Json) -> None:
        try:
            await self._api.request("POST", path, body)
        except ApiError as error:
            if error.status != _CONFLICT:
                raise

    async def _patch(self, path: str, body: Json) -> None:
        try:
            await self._api.request("PATCH", path, body, STRATEGIC_PATCH)
        except ApiError as error:
            if error.status not in (_GONE, _CONFLICT):
                raise
            _log.info("%s changed meanwhile; its next event tries again", path)
