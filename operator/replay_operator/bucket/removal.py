"""Deletes clips from a bucket, and only those that name the capture whose they are said to be."""

from __future__ import annotations

import logging
from collections.abc import Callable
from typing import Protocol

from replay_operator.api.removal_job import RemovableObject, RemovalRequest, RemovalResult
from replay_operator.api.upload_job import UploadError
from replay_operator.bucket.failure import UploadFailedError
from replay_operator.bucket.s3 import StoredObject

_MOST_NAMED = 3
"""Keys in the answer: a termination message has 4096 bytes, and a key up to 1024."""

_log = logging.getLogger(__name__)


class RemovableRemote(Protocol):
    """One object of a bucket. Everything may raise UploadFailedError."""

    async def look(self) -> StoredObject | None:
        """Give what the bucket has under this key."""

    async def begun_uploads(self) -> list[tuple[str, str]]:
        """Give when each upload was begun, and its id."""

    async def abort(self, upload_id: str) -> None:
        """Let go of an upload."""

    async def delete(self) -> None:
        """Delete the object."""


async def remove_clips(request: RemovalRequest, remote: Callable[[str], RemovableRemote]) -> RemovalResult:
    """Delete clips, one after the other, and what was begun of them.

    Args:
        request: Which.
        remote: Gives the place of a key in the bucket.

    Returns:
        What was done until the first error, and that.
    """
    removed, not_ours = 0, list[str]()
    for wanted in request.objects:
        try:
            if await _remove(wanted, remote(wanted.key)):
                removed += 1
            else:
                not_ours.append(wanted.key)
        except UploadFailedError as failure:
            error = UploadError(reason=failure.reason, message=failure.message)
            return RemovalResult(removed=removed, not_ours=tuple(not_ours[:_MOST_NAMED]), error=error)
    return RemovalResult(removed=removed, not_ours=tuple(not_ours[:_MOST_NAMED]))


async def _remove(wanted: RemovableObject, remote: RemovableRemote) -> bool:
    """Delete one clip; one that is gone is as good. False: the object is somebody else's, and stays."""
    for _, upload_id in await remote.begun_uploads():
        await remote.abort(upload_id)
    found = await remote.look()
    if found is None:
        return True
    if found.capture_uid != wanted.capture_uid:
        _log.warning("%s does not name capture %s: it stays", wanted.key, wanted.capture_uid)
        return False
    await remote.delete()
    return True
