"""The contract between the operator and a capture Job: what it is asked, and what it answers."""

from __future__ import annotations

from enum import StrEnum
from typing import Annotated

from pydantic import AwareDatetime, Field

from replay_operator.api.model import ApiModel
from replay_operator.api.replaycapture import Clip, Holes, Trim, WhenShort

REQUEST_VARIABLE = "REPLAY_CAPTURE_REQUEST"
"""Environment variable that holds the CaptureRequest as JSON."""

MAX_TERMINATION_MESSAGE_BYTES = 3072
"""The kubelet keeps 4096 bytes of a termination message, read from its tail (DESIGN §3)."""


class CaptureRequest(ApiModel):
    """One clip to make. Paths are those that the worker sees."""

    capture_uid: str
    attempt: Annotated[int, Field(ge=1)] = 1
    buffer_directory: str
    start: AwareDatetime
    end: AwareDatetime
    when_short: WhenShort = WhenShort.CLAMP
    holes: Holes = Holes.KEEP
    trim: Trim = Trim.EXACT
    archive_directory: str
    clip_path: str
    title: str | None = None
    room: str | None = None
    buffer: str | None = None
    thumbnail: bool = True


class CaptureErrorReason(StrEnum):
    """The closed list of reasons why an attempt made no clip. It is documented in docs/captures.md."""

    BAD_REQUEST = "BadRequest"
    NO_MEDIA = "NoMedia"
    BUFFER_TOO_SHORT = "BufferTooShort"
    HOLES_IN_RANGE = "HolesInRange"
    BUFFER_UNREADABLE = "BufferUnreadable"
    UNSUPPORTED_LAYOUT = "UnsupportedLayout"
    JOIN_FAILED = "JoinFailed"
    VERIFICATION_FAILED = "VerificationFailed"
    ARCHIVE_FULL = "ArchiveFull"
    ARCHIVE_UNWRITABLE = "ArchiveUnwritable"
    INTERNAL = "Internal"


class CaptureError(ApiModel):
    """Why an attempt made no clip."""

    reason: CaptureErrorReason
    message: Annotated[str, Field(max_length=1024)]


class CaptureResult(ApiModel):
    """The answer: exactly one of the two. Also the sidecar beside the clip, and `--result`."""

    capture_uid: str
    clip: Clip | None = None
    error: CaptureError | None = None
