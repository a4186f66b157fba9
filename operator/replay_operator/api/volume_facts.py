"""The answer to `GET /v1/volume` of the agent protocol: what the agent sees of the volumes that it mounts."""

from __future__ import annotations

from typing import Annotated

from pydantic import AwareDatetime, Field

from replay_operator.api.agent import VolumeSpace
from replay_operator.api.model import ApiModel


class VolumeFacts(ApiModel):
    """One mounted volume.

    `file_system`, `source` and `options` are those of the mount that holds `path`; `mount_point` differs from
    `path` when nothing is mounted there. `writable` is what the kernel, and over NFS the server, says of the
    root. The numbers of i-nodes are 0 on file systems that make them as needed.
    """

    path: str
    mount_point: str
    file_system: str
    source: str
    options: tuple[str, ...]
    total_bytes: Annotated[int, Field(ge=0)]
    free_bytes: Annotated[int, Field(ge=0)]
    total_inodes: Annotated[int, Field(ge=0)]
    free_inodes: Annotated[int, Field(ge=0)]
    writable: bool
    owner_uid: int
    owner_gid: int
    mode: Annotated[str, Field(pattern="^[0-7]{4}$", description="Permission bits of the root, octal.")]


class AgentFacts(ApiModel):
    """What an agent says of itself. A volume is absent when it cannot be read.

    `space` is what it knows of the buffer volume's floor and of when it will be full; absent before its first
    look.
    """

    version: str
    clock: AwareDatetime
    not_ready: str | None = None
    buffer: VolumeFacts | None = None
    archive: VolumeFacts | None = None
    space: VolumeSpace | None = None
