"""The contract between the operator and a capture Job: what it is asked, and what it answers."""

from __future__ import annotations

from collections.abc import Mapping
from enum import IntEnum, StrEnum
from types import MappingProxyType
from typing import Annotated

from pydantic import AwareDatetime, Field

from replay_operator.api.model import ApiModel
from replay_operator.api.replaycapture import Clip, Holes, Trim, WhenShort

REQUEST_VARIABLE = "REPLAY_CAPTURE_REQUEST"
"""Environment variable that holds the CaptureRequest as JSON."""

MAX_TERMINATION_MESSAGE_BYTES = 3072
"""The kubelet keeps 4096 bytes of a termination message, read from its tail (DESIGN §3)."""


class CaptureRequest(ApiModel):
    """One clip to make. Paths are those that the worker sees.

    Until `wait_until` the worker waits for the segment that holds `end`; absent: it takes what is on disk.
    """

    capture_uid: str
    attempt: Annotated[int, Field(ge=1)] = 1
    buffer_directory: str
    start: AwareDatetime
    end: AwareDatetime
    wait_until: AwareDatetime | None = None
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


class ExitCode(IntEnum):
    """What the worker's exit code says (names and numbers of sysexits.h)."""

    MADE = 0
    REFUSED = 65
    """EX_DATAERR: the same request will be refused again. The Job ends at once (podFailurePolicy)."""
    TRY_AGAIN = 75
    """EX_TEMPFAIL: the same request may succeed later. The Job starts its pod again."""


EXIT_CODES: Mapping[CaptureErrorReason, ExitCode] = MappingProxyType(
    {
        CaptureErrorReason.BAD_REQUEST: ExitCode.REFUSED,
        CaptureErrorReason.NO_MEDIA: ExitCode.REFUSED,
        CaptureErrorReason.BUFFER_TOO_SHORT: ExitCode.REFUSED,
        CaptureErrorReason.HOLES_IN_RANGE: ExitCode.REFUSED,
        CaptureErrorReason.BUFFER_UNREADABLE: ExitCode.TRY_AGAIN,
        CaptureErrorReason.UNSUPPORTED_LAYOUT: ExitCode.REFUSED,
        CaptureErrorReason.JOIN_FAILED: ExitCode.TRY_AGAIN,
        CaptureErrorReason.VERIFICATION_FAILED: ExitCode.TRY_AGAIN,
        CaptureErrorReason.ARCHIVE_FULL: ExitCode.TRY_AGAIN,
        CaptureErrorReason.ARCHIVE_UNWRITABLE: ExitCode.TRY_AGAIN,
        CaptureErrorReason.INTERNAL: ExitCode.TRY_AGAIN,
    }
)
"""The one table of what a retry can cure: a disk or a process, not the range. The worker's exit code, the
Job's podFailurePolicy, the operator's further Jobs and docs/captures.md follow it."""


class CaptureError(ApiModel):
    """Why an attempt made no clip."""

    reason: CaptureErrorReason
    message: Annotated[str, Field(max_length=1024)]


class Timings(ApiModel):
    """How long the parts of an attempt took, in milliseconds, in the order in which they come.

    `start` begins with the process and holds Python and its imports; absent where `/proc` does not tell.
    `wait` is for the last segment of the range. What the sidecar holds ends with `publish`.
    """

    start: int | None = None
    wait: int | None = None
    plan: int | None = None
    join: int | None = None
    verify: int | None = None
    publish: int | None = None
    extras: int | None = None


class CaptureResult(ApiModel):
    """The answer: exactly one of clip and error. Also the sidecar beside the clip, and `--result`.

    `timings` are not in the termination message.
    """

    capture_uid: str
    clip: Clip | None = None
    error: CaptureError | None = None
    timings: Timings | None = None
