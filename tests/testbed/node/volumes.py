"""The volumes of a pod as directories of the host."""

import contextlib
import os
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path, PurePosixPath

from tests.testbed.node.api import Json, KubernetesApi
from tests.testbed.node.containers import Bind
from tests.testbed.node.environment import expand, field_value, resource_value
from tests.testbed.node.errors import ContainerWaitingError
from tests.testbed.node.sources import read_source, request_token

_DEFAULT_FILE_MODE = 0o644
_SHARED_DIRECTORY_MODE = 0o2775  # setgid: new files belong to the fsGroup


@dataclass(frozen=True)
class ProjectedFile:
    """One file of a Secret, ConfigMap, projected or downwardAPI volume."""

    path: str
    content: bytes
    mode: int


def selected_items(content: Mapping[str, bytes], source: Json, default_mode: int) -> Iterator[ProjectedFile]:
    """All keys as files, or only `items` under their own paths.

    Raises:
        ContainerWaitingError: an item's key does not exist and the source is not optional.
    """
    if not source.get("items"):
        for key, value in content.items():
            yield ProjectedFile(key, value, default_mode)
        return
    for item in source["items"]:
        if item["key"] in content:
            yield ProjectedFile(item["path"], content[item["key"]], item.get("mode", default_mode))
        elif not source.get("optional"):
            raise _not_mountable(f"references non-existent key: {item['key']}")


def downward_files(pod: Json, source: Json, default_mode: int) -> Iterator[ProjectedFile]:
    """The `items` of a downwardAPI volume."""
    containers = {container["name"]: container for container in pod["spec"]["containers"]}
    for item in source.get("items", []):
        if "fieldRef" in item:
            text = field_value(pod, item["fieldRef"]["fieldPath"])
        else:
            reference = item["resourceFieldRef"]
            text = resource_value(containers[reference["containerName"]], reference)
        yield ProjectedFile(item["path"], text.encode(), item.get("mode", default_mode))


class VolumeMaker:
    """Makes the volumes of one pod below its directory; claims lie where their volume says."""

    def __init__(self, api: KubernetesApi, pod: Json, directory: Path) -> None:
        self._api = api
        self._pod = pod
        self._namespace: str = pod["metadata"]["namespace"]
        self._group: int | None = pod["spec"].get("securityContext", {}).get("fsGroup")
        self._directory = directory

    async def make_all(self) -> dict[str, Path]:
        """Host directories by volume name. Doing it again refreshes the content.

        Raises:
            ContainerWaitingError: something that a volume is made of does not exist yet.
        """
        return {volume["name"]: await self._make(volume) for volume in self._pod["spec"].get("volumes", [])}

    async def _make(self, volume: Json) -> Path:
        path = self._directory / str(volume["name"])
        if "persistentVolumeClaim" in volume:
            path = await self._claimed(volume["persistentVolumeClaim"]["claimName"])
            _share(path, self._group)
        elif "hostPath" in volume:
            path = Path(volume["hostPath"]["path"])
        elif "emptyDir" in volume:
            path.mkdir(parents=True, exist_ok=True)
            path.chmod(0o777)
            _share(path, self._group)
        else:
            files = await self._files_of(volume)
            path.mkdir(parents=True, exist_ok=True)
            for file in files:
                _write(path, file, self._group)
        return path

    async def _claimed(self, claim: str) -> Path:
        found = await self._api.get(f"/api/v1/namespaces/{self._namespace}/persistentvolumeclaims/{claim}")
        name = (found or {}).get("spec", {}).get("volumeName")
        volume = await self._api.get(f"/api/v1/persistentvolumes/{name}") if name else None
        if volume is None:
            raise _not_mountable(f"persistentvolumeclaim {claim} is not bound")
        source = volume["spec"].get("local") or volume["spec"].get("hostPath")
        if source is None:
            raise _not_mountable(f"persistentvolume {name} is neither local nor hostPath")
        return Path(source["path"])

    async def _files_of(self, volume: Json) -> list[ProjectedFile]:
        for field in ("secret", "configMap", "downwardAPI"):
            if field in volume:
                mode = volume[field].get("defaultMode", _DEFAULT_FILE_MODE)
                return await self._project({field: volume[field]}, mode)
        if "projected" not in volume:
            raise _not_mountable(f"the node stand-in does not know this kind of volume: {sorted(volume)}")
        mode = volume["projected"].get("defaultMode", _DEFAULT_FILE_MODE)
        files = []
        for source in volume["projected"].get("sources", []):
            files += await self._project(source, mode)
        return files

    async def _project(self, source: Json, mode: int) -> list[ProjectedFile]:
        if "serviceAccountToken" in source:
            projection = source["serviceAccountToken"]
            return [
                ProjectedFile(projection["path"], await request_token(self._api, self._pod, projection), mode)
            ]
        if "downwardAPI" in source:
            return list(downward_files(self._pod, source["downwardAPI"], mode))
        kind, reference = (
            ("Secret", source["secret"]) if "secret" in source else ("ConfigMap", source["configMap"])
        )
        name = reference.get("secretName") or reference["name"]
        content = await read_source(self._api, self._namespace, kind, name)
        if content is None:
            if reference.get("optional"):
                return []
            raise _not_mountable(f'{kind.lower()} "{name}" not found')
        return list(selected_items(content, reference, mode))


def bind_mounts(container: Json, volumes: Mapping[str, Path], environment: Mapping[str, str]) -> list[Bind]:
    """The container's volume mounts, parents before children.

    Raises:
        ContainerWaitingError: a subPath leads out of its volume.
    """
    binds = []
    for mount in container.get("volumeMounts", []):
        below = mount.get("subPath") or expand(mount.get("subPathExpr", ""), environment)
        source = volumes[mount["name"]]
        if below:
            source = _sub_path(source, below)
        binds.append(Bind(source, mount["mountPath"], bool(mount.get("readOnly"))))
    return sorted(binds, key=lambda bind: PurePosixPath(bind.path).parts)


def _sub_path(volume: Path, below: str) -> Path:
    path = (volume / below).resolve()
    if not path.is_relative_to(volume.resolve()):
        raise ContainerWaitingError("CreateContainerConfigError", f"subPath {below} leads out of its volume")
    if not path.exists():
        path.mkdir(parents=True)
    return path


def _share(path: Path, group: int | None) -> None:
    if group is None:
        return
    # Without root the group cannot be given away, and there all containers are one user.
    with contextlib.suppress(PermissionError):
        os.chown(path, -1, group)
        path.chmod(path.stat().st_mode | _SHARED_DIRECTORY_MODE)


def _write(directory: Path, file: ProjectedFile, group: int | None) -> None:
    path = directory / file.path
    path.parent.mkdir(parents=True, exist_ok=True)
    fresh = path.with_name(f".{path.name}.new")
    fresh.write_bytes(file.content)
    mode = file.mode
    if group is not None:
        # The kubelet gives the group what the owner may read, else a non-root user sees nothing.
        mode |= (mode & 0o400) >> 3
        with contextlib.suppress(PermissionError):
            os.chown(fresh, -1, group)
    fresh.chmod(mode)
    fresh.replace(path)


def _not_mountable(message: str) -> ContainerWaitingError:
    return ContainerWaitingError("ContainerCreating", f"MountVolume.SetUp failed: {message}")
