"""Why an attempt to upload a clip ends without the clip in the bucket."""

from __future__ import annotations

from replay_operator.api.upload_job import UploadErrorReason

_MAX_MESSAGE_CHARACTERS = 1024
"""Limit of UploadError.message."""


class UploadFailedError(Exception):
    """The attempt ends here. The clip on the archive volume is as it was.

    Args:
        reason: One of the documented list.
        message: What happened, to which object, and what the reader can do.
    """

    def __init__(self, reason: UploadErrorReason, message: str) -> None:
        super().__init__(message)
        self.reason = reason
        self.message = message[:_MAX_MESSAGE_CHARACTERS]
