"""Why an attempt to make a clip ends without one."""

from __future__ import annotations

from replay_operator.api.capture_job import CaptureErrorReason

_MAX_MESSAGE_CHARACTERS = 1024
"""Limit of CaptureError.message."""


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
