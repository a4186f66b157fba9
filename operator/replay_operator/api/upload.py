"""What a capture's status says about its clip's way to object storage."""

from __future__ import annotations

from enum import StrEnum
from typing import Annotated

from pydantic import AwareDatetime, Field

from replay_operator.api.model import ApiModel


class UploadState(StrEnum):
    """How far a clip is on its way to object storage."""

    PENDING = "Pending"
    RETRYING = "Retrying"
    VERIFIED = "Verified"
    FAILED = "Failed"


class LocalCopy(StrEnum):
    """What became of the clip on the archive volume."""

    KEPT = "Kept"
    DROPPED = "Dropped"


class Upload(ApiModel):
    """The clip's way to object storage; present when the install has a bucket."""

    state: Annotated[
        UploadState,
        Field(
            description="Pending until an attempt has ended; Retrying after one that failed; Verified when "
            "the bucket has the clip; Failed when no further attempt can help."
        ),
    ] = UploadState.PENDING
    attempts: Annotated[int, Field(ge=0, description="How many attempts have ended.")] = 0
    next_attempt_time: Annotated[
        AwareDatetime | None, Field(description="When the next attempt may begin, while Retrying.")
    ] = None
    local_copy: Annotated[
        LocalCopy,
        Field(
            description="Dropped: the clip is in the bucket only; its sidecar stays on the archive volume."
        ),
    ] = LocalCopy.KEPT
