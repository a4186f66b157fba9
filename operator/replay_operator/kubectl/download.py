"""`kubectl replay download`: a clip from the archive volume to this machine, without mounting anything."""

from __future__ import annotations

import asyncio
import hashlib
import time
from collections.abc import AsyncIterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import aclosing, asynccontextmanager
from functools import partial
from pathlib import Path, PurePosixPath
from typing import Any

import aiofiles
import click

from replay_operator.api.replaycapture import Clip, ReplayCapture
from replay_operator.api.upload import LocalCopy
from replay_operator.cluster.gateway import ClusterError, ClusterUnreachable, Json
from replay_operator.cluster.resources import PODS
from replay_operator.domain.capture_state import is_finished
from replay_operator.kubectl.agent_pod import find_agent
from replay_operator.kubectl.amounts import human_bytes
from replay_operator.kubectl.capture_table import outcome
from replay_operator.kubectl.download_pod import ARCHIVE_MOUNT, CONTAINER, reader_pod
from replay_operator.kubectl.errors import EXIT_NO_CLIP, PluginError
from replay_operator.kubectl.exec import output_of
from replay_operator.kubectl.flags import CAPTURE, cluster_flags
from replay_operator.kubectl.session import Session, in_cluster
from replay_operator.kubectl.telling import remark, tell

POD_PATIENCE_SECONDS = 120.0
"""An image that the node has starts within seconds; a slow volume is attached within two minutes."""

DIGEST_PATIENCE_SECONDS = 10.0
"""The digest comes a second or so after the clip (docs/captures.md)."""

_LOOK_SECONDS = 0.25
_HOPELESS = frozenset(
    {
        "ErrImagePull",
        "ImagePullBackOff",
        "InvalidImageName",
        "CreateContainerConfigError",
        "CreateContainerError",
    }
)


@click.command("download", short_help="Fetch a clip.")
@click.argument("name", metavar="CAPTURE", type=CAPTURE)
@click.argument("target", metavar="[FILE]", required=False, type=click.Path(path_type=Path))
@click.option("--force", is_flag=True, help="Overwrite FILE.")
@cluster_flags
def command(name: str, target: Path | None, *, force: bool) -> None:
    """Fetch the clip of a capture into FILE, else into this directory under the clip's own name.

    A pod of its own reads the archive volume, and is deleted afterwards. The file appears under its name when
    it is complete and its digest is right.
    """
    in_cluster(lambda session: download(session, name, target, force=force))


async def download(session: Session, name: str, target: Path | None, *, force: bool) -> None:
    """Fetch a clip.

    Args:
        session: Where.
        name: Which capture.
        target: File or directory; None: this directory.
        force: Overwrite the file.

    Raises:
        PluginError: There is no clip, it cannot be read, or what came is not the clip.
        ClusterError: The API server refuses.
    """
    capture, clip = await _clip(session, name)
    path = clip_file(clip)
    file = target_file(target, path)
    if not force and await asyncio.to_thread(file.exists):
        raise PluginError(f"{file} exists: give another name, or --force")
    agent = await find_agent(session)
    async with running(session, reader_pod(agent, capture)) as pod:
        await fetch(session, pod, path, clip, file)
    checked = "sha256 verified" if clip.sha256 else "its size verified; it has no sha256 yet"
    tell(f"{file}: {human_bytes(clip.bytes)}, {checked}")


def clip_file(clip: Clip) -> PurePosixPath:
    """Give where the pod sees the clip.

    Args:
        clip: Of a capture's status.

    Raises:
        PluginError: The path would leave the archive volume.
    """
    path = PurePosixPath(clip.path)
    if path.is_absolute() or not path.parts or ".." in path.parts:
        raise PluginError(f"{clip.path!r} is no path on the archive volume")
    return PurePosixPath(ARCHIVE_MOUNT) / path


def target_file(target: Path | None, path: PurePosixPath) -> Path:
    """Give where the clip goes on this machine: the clip's own name, unless the user names a file.

    Args:
        target: What the user named.
        path: Of the clip.
    """
    if target is None:
        return Path(path.name)
    return target / path.name if target.is_dir() else target


async def _clip(session: Session, name: str) -> tuple[Json, Clip]:
    deadline = time.monotonic() + DIGEST_PATIENCE_SECONDS
    while True:
        item = await session.capture(name)
        capture = ReplayCapture.model_validate(item)
        clip = capture.status.clip
        if clip is None:
            failed = is_finished(capture)
            said = outcome(capture) if failed else "its clip is not ready yet: `kubectl replay get` says when"
            raise PluginError(f"capture {name}: {said}", exit_code=EXIT_NO_CLIP if failed else 1)
        upload = capture.status.upload
        if upload is not None and upload.local_copy is LocalCopy.DROPPED:
            where = f"only in object storage. Fetch it there, for instance with `aws s3 cp {clip.url} .`"
            raise PluginError(f"the clip of capture {name} is {where}")
        if clip.sha256 is not None or time.monotonic() > deadline:
            return item, clip
        await asyncio.sleep(_LOOK_SECONDS)


@asynccontextmanager
async def running(session: Session, body: Json) -> AsyncIterator[str]:
    """Give the name of a pod that runs until the end of the block.

    Args:
        session: Where.
        body: The pod.

    Raises:
        PluginError: It cannot start.
        ClusterError: The API server refuses it.
    """
    name = body["metadata"]["name"]
    creating = asyncio.ensure_future(session.gateway.create(PODS, session.namespace, body))
    try:
        await asyncio.shield(creating)
        await _wait_until_running(session, name)
        yield name
    finally:
        # An interruption does not take the request back: deleted before it is made, the pod would stay.
        await asyncio.wait({creating})
        if not creating.exception() or isinstance(creating.exception(), ClusterUnreachable):
            await _delete(session, name)


async def _delete(session: Session, name: str) -> None:
    try:
        await asyncio.shield(session.gateway.delete(PODS, session.namespace, name))
    except ClusterError as error:
        remark(f"warning: pod {name} could not be deleted and ends by itself within the hour: {error}")


async def _wait_until_running(session: Session, name: str) -> None:
    deadline = time.monotonic() + POD_PATIENCE_SECONDS
    while True:
        status = (await session.get(PODS, name)).get("status", {})
        if status.get("phase") == "Running":
            return
        reason, message = _why_not(status)
        if reason in _HOPELESS or status.get("phase") in ("Failed", "Succeeded"):
            raise PluginError(f"pod {name} cannot start: {reason}: {message}")
        if time.monotonic() > deadline:
            raise PluginError(
                f"pod {name} did not start within {POD_PATIENCE_SECONDS:.0f} s: {reason} {message}"
            )
        await asyncio.sleep(_LOOK_SECONDS)


def _why_not(status: Json) -> tuple[str, str]:
    said: list[dict[str, Any]] = [
        c.get("state", {}).get("waiting", {}) for c in status.get("containerStatuses", [])
    ]
    said += [c for c in status.get("conditions", []) if c.get("status") == "False"]
    found = next((each for each in said if each.get("reason")), status)
    return str(found.get("reason", "")), str(found.get("message", ""))


async def fetch(session: Session, pod: str, path: PurePosixPath, clip: Clip, file: Path) -> None:
    """Copy a clip out of a pod; the file appears when it is complete.

    Args:
        session: Where.
        pod: Which has the archive volume.
        path: Of the clip, in the pod.
        clip: What it must be.
        file: Of this machine.

    Raises:
        PluginError: It cannot be read, or what came is not the clip.
    """
    part = file.with_name(f".{file.name}.part")
    loop = asyncio.get_running_loop()
    # One thread does one thing after the other: a file that is being made when the interruption comes is
    # removed after that and not before.
    disk = ThreadPoolExecutor(1)
    try:
        digest, count = hashlib.sha256(), 0
        async with (
            aiofiles.open(part, "wb", executor=disk) as out,
            aclosing(output_of(session, pod, CONTAINER, ["cat", str(path)])) as chunks,
        ):
            async for chunk in chunks:
                digest.update(chunk)
                count += len(chunk)
                await out.write(chunk)
        if count != clip.bytes:
            raise PluginError(f"{count} bytes came, and the clip has {clip.bytes}: try again")
        if clip.sha256 is not None and digest.hexdigest() != clip.sha256:
            raise PluginError(f"what came has another sha256 than the clip ({clip.sha256}): try again")
        await loop.run_in_executor(disk, part.replace, file)
    finally:
        await loop.run_in_executor(disk, partial(part.unlink, missing_ok=True))
        disk.shutdown(wait=False)
