"""Sends one clip: only what the bucket does not have yet, and believes nothing that it has not compared."""

from __future__ import annotations

import asyncio
import hashlib
import logging
import os
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path, PurePosixPath
from typing import BinaryIO, Protocol

from replay_operator.api.upload_job import UploadErrorReason, UploadRequest, UploadResult
from replay_operator.bucket.failure import UploadFailedError
from replay_operator.bucket.s3 import StoredObject
from replay_operator.domain.upload_parts import (
    Part,
    SentPart,
    is_there,
    oldest_upload,
    parts_of,
    same_checksum,
)
from replay_operator.domain.upload_target import object_url

PARTS_AT_ONCE = 4
"""So many parts are on their way, and in memory, at once."""

_log = logging.getLogger(__name__)


class RemoteObject(Protocol):
    """One object of a bucket. Everything may raise UploadFailedError."""

    async def look(self) -> StoredObject | None:
        """Give what the bucket has under this key."""

    async def begun_uploads(self) -> list[tuple[str, str]]:
        """Give when each upload was begun, and its id."""

    async def begin(self, capture_uid: str, tags: Sequence[tuple[str, str]]) -> str:
        """Begin an upload; give its id."""

    async def sent_parts(self, upload_id: str) -> dict[int, SentPart]:
        """Give the parts that the bucket has of an upload."""

    async def send_part(self, upload_id: str, part: Part, body: bytes, digest: bytes) -> SentPart:
        """Send one part."""

    async def complete(self, upload_id: str, parts: Sequence[SentPart], *, if_absent: bool) -> None:
        """Make the object of its parts."""

    async def abort(self, upload_id: str) -> None:
        """Let go of an upload."""


async def upload_clip(request: UploadRequest, remote: RemoteObject) -> UploadResult:
    """Bring a clip into the bucket, or find it there.

    Args:
        request: Which clip, and whose.
        remote: Its place in the bucket.

    Raises:
        UploadFailedError: What was sent stays for the next attempt.
    """
    with _opened(request) as file:
        # First, because a refusal of it says why; that of a look at an object cannot.
        begun = await remote.begun_uploads()
        found = await remote.look()
        if found is not None and found.capture_uid != request.capture_uid:
            raise _taken(request)
        if found is not None and await _is_this(found, file, request):
            _log.info("%s is there already", request.key)
            count = len(parts_of(request.bytes))
            return _done(request, parts=count, kept=count)
        return await _send(request, remote, file, oldest_upload(begun), if_absent=found is None)


@dataclass(frozen=True, slots=True)
class _Sent:
    """All parts of a clip, as the bucket has them, and what was read of the file for it."""

    parts: tuple[SentPart, ...]
    kept: int
    digests: tuple[bytes, ...]
    sha256: str


async def _send(
    request: UploadRequest, remote: RemoteObject, file: BinaryIO, upload_id: str | None, *, if_absent: bool
) -> UploadResult:
    there: Mapping[int, SentPart] = {}
    if upload_id is None:
        upload_id = await remote.begin(request.capture_uid, request.tags)
    else:
        there = await remote.sent_parts(upload_id)
        _log.info("an upload of %s was begun before: %d parts are there", request.key, len(there))
    sent = await _send_parts(request, remote, file, upload_id, there)
    if request.sha256 not in (None, sent.sha256):
        await remote.abort(upload_id)
        raise _changed(request)
    try:
        await remote.complete(upload_id, sent.parts, if_absent=if_absent)
    except UploadFailedError:
        # Another worker was first, or the answer to our own call was lost: then the object is there.
        found = await remote.look()
        if (
            found is None
            or found.capture_uid != request.capture_uid
            or not _agrees(found, sent.digests, request)
        ):
            raise
    else:
        _verify(await remote.look(), sent.digests, request)
    return _done(request, parts=len(sent.parts), kept=sent.kept)


async def _send_parts(
    request: UploadRequest,
    remote: RemoteObject,
    file: BinaryIO,
    upload_id: str,
    there: Mapping[int, SentPart],
) -> _Sent:
    """Read the clip once, and send the parts that the bucket does not have."""
    parts: dict[int, SentPart] = {}
    digests: list[bytes] = []
    whole = hashlib.sha256()
    places = asyncio.Semaphore(PARTS_AT_ONCE)
    sending: set[int] = set()

    async def send(part: Part, body: bytes, digest: bytes) -> None:
        try:
            parts[part.number] = await remote.send_part(upload_id, part, body, digest)
        finally:
            places.release()

    try:
        async with asyncio.TaskGroup() as group:
            for part in parts_of(request.bytes):
                await places.acquire()
                body, digest = await asyncio.to_thread(_read, file, part, whole)
                digests.append(digest)
                known = there.get(part.number)
                if known is not None and is_there(part, digest, known):
                    parts[part.number] = known
                    places.release()
                else:
                    sending.add(part.number)
                    group.create_task(send(part, body, digest))
    except BaseExceptionGroup as failures:
        raise failures.exceptions[0] from failures
    return _Sent(
        parts=tuple(parts[number] for number in sorted(parts)),
        kept=len(parts) - len(sending),
        digests=tuple(digests),
        sha256=whole.hexdigest(),
    )


def _verify(found: StoredObject | None, digests: Sequence[bytes], request: UploadRequest) -> None:
    place = f"{request.bucket}/{request.key}"
    if found is None:
        raise UploadFailedError(
            UploadErrorReason.BUCKET_ERROR, f"{place} was completed, and the server does not have it"
        )
    if found.sha256 is None:
        raise UploadFailedError(
            UploadErrorReason.CHECKSUM_MISSING,
            f"the server tells no SHA-256 of {place}: what it has cannot be verified. Use a server that "
            "keeps SHA-256 checksums, and allow s3:GetObject",
        )
    if not _agrees(found, digests, request):
        raise UploadFailedError(
            UploadErrorReason.CHECKSUM_MISMATCH,
            f"{place} has {found.length} bytes and the checksum {found.sha256}: not those of the clip "
            f"({request.bytes} bytes). The next attempt sends it again",
        )


async def _is_this(found: StoredObject, file: BinaryIO, request: UploadRequest) -> bool:
    """Say whether the object is the clip: an attempt was killed after it had completed it."""
    if found.length != request.bytes or found.sha256 is None:
        return False
    whole = hashlib.sha256()
    digests = [(await asyncio.to_thread(_read, file, part, whole))[1] for part in parts_of(request.bytes)]
    return request.sha256 in (None, whole.hexdigest()) and _agrees(found, digests, request)


def _agrees(found: StoredObject, digests: Sequence[bytes], request: UploadRequest) -> bool:
    told = found.sha256
    return found.length == request.bytes and told is not None and same_checksum(told, digests)


def _read(file: BinaryIO, part: Part, whole: hashlib._Hash) -> tuple[bytes, bytes]:
    file.seek(part.offset)
    body = file.read(part.length)
    if len(body) != part.length:
        raise UploadFailedError(
            UploadErrorReason.CLIP_MISSING,
            f"the clip ended at {part.offset + len(body)} bytes while it was read",
        )
    whole.update(body)
    return body, hashlib.sha256(body).digest()


@contextmanager
def _opened(request: UploadRequest) -> Iterator[BinaryIO]:
    """Open the clip, if it is on the volume and has the size that was told."""
    wanted = PurePosixPath(request.clip_path)
    try:
        root = Path(request.archive_directory).resolve(strict=True)
        if wanted.is_absolute() or not (root / wanted).resolve().is_relative_to(root):
            raise UploadFailedError(
                UploadErrorReason.BAD_REQUEST, f"{request.clip_path!r} leaves the archive volume"
            )
        with (root / wanted).open("rb") as file:
            size_bytes = os.fstat(file.fileno()).st_size
            if size_bytes != request.bytes:
                raise _missing(request, f"has {size_bytes} bytes instead of {request.bytes}")
            yield file
    except FileNotFoundError as error:
        raise _missing(request, "is not there") from error
    except OSError as error:
        raise UploadFailedError(
            UploadErrorReason.ARCHIVE_UNREADABLE,
            f"cannot read {request.clip_path} on the archive volume: {error.strerror}",
        ) from error


def _missing(request: UploadRequest, what: str) -> UploadFailedError:
    message = f"{request.clip_path} {what} on the archive volume: somebody has deleted or replaced it"
    return UploadFailedError(UploadErrorReason.CLIP_MISSING, message)


def _changed(request: UploadRequest) -> UploadFailedError:
    return UploadFailedError(
        UploadErrorReason.CLIP_CHANGED,
        f"the bytes of {request.clip_path} are not those that were made (SHA-256 {request.sha256}): nothing "
        "was uploaded. Look at the health of the archive volume",
    )


def _taken(request: UploadRequest) -> UploadFailedError:
    return UploadFailedError(
        UploadErrorReason.OBJECT_TAKEN,
        f"{request.bucket}/{request.key} is there and does not name this capture: it is not overwritten. "
        "Remove it, or change REPLAY_UPLOAD_PREFIX",
    )


def _done(request: UploadRequest, *, parts: int, kept: int) -> UploadResult:
    url = object_url(request.bucket, request.key)
    return UploadResult(capture_uid=request.capture_uid, url=url, parts=parts, parts_kept=kept)
