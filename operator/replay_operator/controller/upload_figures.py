"""Counts uploads by the status that was written, so that a restart counts none twice."""

from __future__ import annotations

from datetime import datetime

from replay_operator.api.meta import find_condition
from replay_operator.api.replaycapture import ReplayCapture
from replay_operator.api.upload import UploadState
from replay_operator.api.upload_job import UploadErrorReason
from replay_operator.domain.upload_line import waiting_since
from replay_operator.domain.uploads import UPLOADED
from replay_operator.metrics import OperatorMetrics


class UploadFigures:
    """The figures of uploads.

    Args:
        metrics: Where they go.
    """

    def __init__(self, metrics: OperatorMetrics) -> None:
        self._metrics = metrics
        for reason in UploadErrorReason:
            # Shown as 0 from the start: a rate does not see a series begin with 1.
            metrics.upload_errors.labels(error_type=reason.value)

    def count(self, before: ReplayCapture, after: ReplayCapture, now: datetime) -> None:
        """Count an attempt that has ended; call it when that is written.

        Args:
            before: The capture that was decided about.
            after: With the status that was written.
            now: Time of the decision.
        """
        upload, clip = after.status.upload, after.status.clip
        counted = before.status.upload.attempts if before.status.upload is not None else 0
        if upload is None or upload.attempts <= counted:
            return
        if upload.state is UploadState.VERIFIED and clip is not None:
            self._metrics.uploads.inc()
            self._metrics.upload_bytes.inc(clip.bytes)
            since = waiting_since(before)
            if since is not None:
                self._metrics.upload_seconds.observe(max(0.0, (now - since).total_seconds()))
            return
        told = find_condition(after.status.conditions, UPLOADED)
        if told is not None:
            self._metrics.upload_errors.labels(error_type=told.reason).inc()
