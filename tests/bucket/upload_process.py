"""Runs `replay-operator upload` as its pod would."""

from __future__ import annotations

import asyncio
import hashlib
import os
import sys
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from replay_operator.api.removal_job import (
    REMOVAL_REQUEST_VARIABLE,
    RemovableObject,
    RemovalRequest,
    RemovalResult,
)
from replay_operator.api.upload_job import UPLOAD_REQUEST_VARIABLE, UploadRequest, UploadResult
from tests.bucket.server import ACCESS_KEY, BUCKET, REGION, SECRET_KEY
from tests.builders import CAPTURE_UID

CLIP_PATH = "team/shared/2026-11-23/goal-cafecafe.mp4"
KEY = f"archive/{CLIP_PATH}"
CREDENTIALS = {"AWS_ACCESS_KEY_ID": ACCESS_KEY, "AWS_SECRET_ACCESS_KEY": SECRET_KEY}
_LONGEST_SECONDS = 120


@dataclass(frozen=True)
class Ended:
    """What an upload left."""

    exit_code: int
    result: UploadResult
    termination: UploadResult
    said: str


def make_request(archive: Path, endpoint: str, *, size_bytes: int, bucket: str = BUCKET) -> UploadRequest:
    """Makes a clip of random bytes and the request to upload it."""
    clip = archive / CLIP_PATH
    clip.parent.mkdir(parents=True)
    content = os.urandom(size_bytes)
    clip.write_bytes(content)
    return UploadRequest(
        capture_uid=CAPTURE_UID,
        archive_directory=str(archive),
        clip_path=CLIP_PATH,
        bytes=size_bytes,
        sha256=hashlib.sha256(content).hexdigest(),
        bucket=bucket,
        key=KEY,
        endpoint=endpoint,
        region=REGION,
        tags=(("tier", "cold clips"), ("replay-namespace", "team")),
    )


def clip_bytes(request: UploadRequest) -> bytes:
    """The clip on the archive volume."""
    return Path(request.archive_directory, request.clip_path).read_bytes()


async def start(
    request: UploadRequest | RemovalRequest,
    termination: Path,
    credentials: dict[str, str] = CREDENTIALS,
    *,
    program: Sequence[str] = ("replay_operator", "upload"),
) -> asyncio.subprocess.Process:
    """Starts the process. Nothing of this machine's own credentials can be found by it."""
    removes = isinstance(request, RemovalRequest)
    variable = REMOVAL_REQUEST_VARIABLE if removes else UPLOAD_REQUEST_VARIABLE
    environment = {
        "PATH": os.environ["PATH"],
        "HOME": str(termination.parent),
        "AWS_EC2_METADATA_DISABLED": "true",
        "TERMINATION_MESSAGE_PATH": str(termination),
        variable: request.model_dump_json(by_alias=True),
        **credentials,
    }
    return await asyncio.create_subprocess_exec(
        sys.executable,
        *("-m", *program),
        *(["--remove"] if removes else []),
        env=environment,
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.PIPE,
    )


async def end_of(process: asyncio.subprocess.Process) -> tuple[int, bytes, bytes]:
    """Waits for the process's end; gives its exit code, its output and its log."""
    try:
        async with asyncio.timeout(_LONGEST_SECONDS):
            out, log = await process.communicate()
    finally:
        if process.returncode is None:
            process.kill()
            await process.wait()
    assert process.returncode is not None
    return process.returncode, out, log


async def run(request: UploadRequest, directory: Path, credentials: dict[str, str] = CREDENTIALS) -> Ended:
    """Runs an upload to its end."""
    termination = directory / "termination"
    exit_code, out, log = await end_of(await start(request, termination, credentials))
    assert out, log.decode()
    return Ended(
        exit_code=exit_code,
        result=UploadResult.model_validate_json(out),
        termination=UploadResult.model_validate_json(await asyncio.to_thread(termination.read_text)),
        said=(out + log).decode(),
    )


def removal_of(request: UploadRequest, *, capture_uid: str = CAPTURE_UID) -> RemovalRequest:
    """Makes the request to delete what another one asked to upload."""
    return RemovalRequest(
        bucket=request.bucket,
        endpoint=request.endpoint,
        region=request.region,
        objects=(RemovableObject(key=request.key, capture_uid=capture_uid),),
    )


async def remove(
    request: RemovalRequest, directory: Path, credentials: dict[str, str] = CREDENTIALS
) -> tuple[int, RemovalResult]:
    """Runs a removal to its end; gives its exit code and its answer."""
    exit_code, out, log = await end_of(await start(request, directory / "termination", credentials))
    assert out, log.decode()
    return exit_code, RemovalResult.model_validate_json(out)
