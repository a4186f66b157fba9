"""What a decision about a ReplayCapture looks at."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from datetime import timedelta
from enum import StrEnum

from replay_operator.api.capture_job import CaptureResult
from replay_operator.api.replaybuffer import ReplayBuffer
from replay_operator.api.replaycapture import ResolvedRange
from replay_operator.domain.observation import CoverageView
from replay_operator.domain.quotas import QuotaRefusal


class JobOutcome(StrEnum):
    """How far the Job of the current attempt is."""

    NONE = "None"
    RUNNING = "Running"
    ENDED = "Ended"
    FAILED = "Failed"


@dataclass(frozen=True, slots=True)
class CaptureObservation:
    """Everything that a decision looks at.

    `buffer_recording` says whether more segments can still come. `job_lead` is how long before the last
    instant is due the Job is made. `rounds_before` asks for one of the places for Jobs: 0 means that it is
    taken, else so many rounds of Jobs come first. `job_message` is what Kubernetes says of a Job that failed
    without a result. `admit` asks whether the owner's quota has room for a clip of a range, and
    reserves it; it gives the refusal, or None. `notify` tells whether somebody wants to be told the outcome.
    """

    buffer: ReplayBuffer | None
    coverage: CoverageView
    segment_seconds: int
    buffer_recording: bool
    pinned: bool
    job: JobOutcome = JobOutcome.NONE
    result: CaptureResult | None = None
    job_message: str = ""
    job_lead: timedelta = timedelta(0)
    rounds_before: Callable[[], int] = lambda: 0
    admit: Callable[[ResolvedRange], QuotaRefusal | None] = lambda _: None
    notify: bool = False
