"""The contract between the operator and a Job that deletes clips from a bucket."""

from __future__ import annotations

from typing import Annotated

from pydantic import Field

from replay_operator.api.model import ApiModel
from replay_operator.api.upload_job import UploadError

REMOVAL_REQUEST_VARIABLE = "REPLAY_REMOVAL_REQUEST"
"""Environment variable that holds the RemovalRequest as JSON."""

MOST_OBJECTS = 100
"""Of one request: about 25 kB. A variable may have 128 KiB, and all Jobs lie in etcd."""


class RemovableObject(ApiModel):
    """A clip in the bucket, and the capture that it has to name."""

    key: Annotated[str, Field(min_length=1, pattern=r"^[A-Za-z0-9._/-]+$")]
    capture_uid: Annotated[str, Field(min_length=8)]


class RemovalRequest(ApiModel):
    """Clips that nobody wants any more."""

    bucket: Annotated[str, Field(min_length=3)]
    endpoint: Annotated[str, Field(pattern="^https?://")]
    region: Annotated[str, Field(min_length=1)]
    objects: Annotated[tuple[RemovableObject, ...], Field(min_length=1, max_length=MOST_OBJECTS)]


class RemovalResult(ApiModel):
    """The answer. `not_ours` names some of the keys that stay because they do not name the capture."""

    removed: int = 0
    not_ours: tuple[str, ...] = ()
    error: UploadError | None = None
