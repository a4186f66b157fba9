"""Why an attempt to make a clip ends without one."""

from __future__ import annotations

from replay_operator.api.capture_job import CaptureErrorReason

_MAX_MESSAGE_CHARACTERS = 1024
"""Limit of CaptureError.message."""

_RETRY_CAN_HELP = frozenset(
    {
        CaptureErrorReason.BUFFER_UNREADABLE,
        CaptureErrorReason.JOIN_FAILED,
        CaptureErrorReason.VERIFICATION_FAILED,
        CaptureErrorReason.ARCHIVE_FULL,
        CaptureErrorReason.ARCHIVE_UNWRITABLE,
        CaptureErrorReason.INTERNAL,
    }
)


class CaptureFailedError(Exception):
    """The attempt ends here. Nothing lies under the clip's final name because of it.

    Args:
        reason: One of the documented list.
        message: What happened, to which object, and what the reader can do.
    """

    def __init__(self, reason: CaptureErrorReason, message: str) -> None:
        super().__init__(message)
        self.reason = reason
        self.message = message[:_MAX_MESSAGE_CHARACTERS]


def retry_can_help(reason: CaptureErrorReason) -> bool:
    """Say whether the same request may succeed later: the cause is a disk or a process, not the range."""
    return reason in _RETRY_CAN_HELP
