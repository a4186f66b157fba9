"""The contract between the operator and an upload Job: what it is asked, and what it answers."""

from __future__ import annotations

from collections.abc import Mapping
from enum import StrEnum
from types import MappingProxyType
from typing import Annotated

from pydantic import Field

from replay_operator.api.capture_job import ExitCode
from replay_operator.api.model import ApiModel

UPLOAD_REQUEST_VARIABLE = "REPLAY_UPLOAD_REQUEST"
"""Environment variable that holds the UploadRequest as JSON. Credentials never are part of it."""


class UploadRequest(ApiModel):
    """One file to send. Paths are those that the worker sees.

    `sha256` is the digest that the capture's Job has told; absent: the bytes on the volume are believed.
    """

    capture_uid: Annotated[str, Field(min_length=8)]
    archive_directory: str
    clip_path: str
    bytes: Annotated[int, Field(ge=1)]
    sha256: str | None = None
    bucket: Annotated[str, Field(min_length=3)]
    key: Annotated[str, Field(min_length=1, pattern=r"^[A-Za-z0-9._/-]+$")]
    endpoint: Annotated[str, Field(pattern="^https?://")]
    region: Annotated[str, Field(min_length=1)]
    tags: tuple[tuple[str, str], ...] = ()


class UploadErrorReason(StrEnum):
    """The closed list of reasons why an attempt did not bring a clip into the bucket."""

    BAD_REQUEST = "BadRequest"
    CLIP_MISSING = "ClipMissing"
    CLIP_CHANGED = "ClipChanged"
    OBJECT_TAKEN = "ObjectTaken"
    CREDENTIALS_REFUSED = "CredentialsRefused"
    BUCKET_MISSING = "BucketMissing"
    BUCKET_FULL = "BucketFull"
    BUCKET_UNREACHABLE = "BucketUnreachable"
    BUCKET_ERROR = "BucketError"
    CHECKSUM_MISSING = "ChecksumMissing"
    CHECKSUM_MISMATCH = "ChecksumMismatch"
    ARCHIVE_UNREADABLE = "ArchiveUnreadable"
    INTERNAL = "Internal"


_REFUSED = (
    UploadErrorReason.BAD_REQUEST,
    UploadErrorReason.CLIP_MISSING,
    UploadErrorReason.CLIP_CHANGED,
    UploadErrorReason.OBJECT_TAKEN,
)

UPLOAD_EXIT_CODES: Mapping[UploadErrorReason, ExitCode] = MappingProxyType(
    {reason: ExitCode.REFUSED if reason in _REFUSED else ExitCode.TRY_AGAIN for reason in UploadErrorReason}
)
"""The one table of what a retry can cure: a bucket, its rights or the way to it, not the clip."""


class UploadError(ApiModel):
    """Why an attempt failed."""

    reason: UploadErrorReason
    message: Annotated[str, Field(max_length=1024)]


class UploadResult(ApiModel):
    """The answer: exactly one of url and error.

    `parts_kept` of `parts` were in the bucket already, sent by an attempt that did not come to its end.
    """

    capture_uid: str
    url: str | None = None
    parts: int = 0
    parts_kept: int = 0
    error: UploadError | None = None
