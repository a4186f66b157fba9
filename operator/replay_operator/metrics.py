"""The operator's own figures, on a registry of their own."""

from __future__ import annotations

import platform
from itertools import product

from prometheus_client import CollectorRegistry

from replay_operator import __version__
from replay_operator.api.upload import UploadState
from replay_operator.metric_registry import MetricRegistry, Page

CAPTURE_BUCKETS_SECONDS = (1, 2, 5, 10, 30)
"""Published with the name of the histogram: dashboards rely on them."""

_TAIL_BUCKETS_SECONDS = (1, 3, 5, 10, 15, 20, 30, 60)
"""The newest instant is on disk up to 2 x 15 + 0.7 s late (DESIGN §6)."""

_CALL_BUCKETS_SECONDS = (0.005, 0.02, 0.1, 0.3, 1, 3, 10, 30)
"""LiveKit lists in 2 to 20 ms, starts in 0.6 s, gives up a stop after 3 s and a start after 22 to 27 s
(livekit-measured §2, §3)."""

_UPLOAD_BUCKETS_SECONDS = (5, 15, 60, 300, 900, 3600, 14400)
"""A clip of ten minutes is 480 MB: 6.4 minutes at 10 Mbit/s, and a bucket that is away for a night is tried
once an hour (ADR 22)."""

PREVIEW_REQUESTS = ("preview", "save", "download", "other")
PREVIEW_RESULTS = ("ok", "refused", "missing", "invalid", "failed")
"""Carried out; no token that counts; no such object, or no clip; a question without sense; not now."""

_RECONCILE_BUCKETS_SECONDS = (0.001, 0.003, 0.01, 0.03, 0.1, 0.3, 1, 3, 10, 30)


class OperatorMetrics:
    """Labels are bounded: kinds, states and results, never names of buffers or people.

    Args:
        collectors: Holds the collectors; None: new ones.
    """

    def __init__(self, collectors: CollectorRegistry | None = None) -> None:
        self.metrics = MetricRegistry(collectors)
        self.metrics.info(
            "replay_operator_build_info",
            "Always 1: which version this is.",
            {"version": __version__, "python": platform.python_version()},
        )
        self._declare_captures()
        self._declare_recording()
        self._declare_process()
        self._declare_calls()
        self._declare_capacity()
        self._declare_catalogue()
        self._declare_uploads()
        self._declare_preview()

    @property
    def registry(self) -> CollectorRegistry:
        """Where the collectors are."""
        return self.metrics.collectors

    def page(self, accept: str = "") -> Page:
        """Give the page that Prometheus reads.

        Args:
            accept: The header `Accept` of the request.
        """
        return self.metrics.page(accept)

    def count_api_call(self, method: str, resource: str, code: int, seconds: float) -> None:
        """Count a call to the Kubernetes API.

        Args:
            method: GET, POST, PUT, PATCH or DELETE.
            resource: Plural of the type, such as `replaybuffers/status`.
            code: HTTP status, 0 when no answer came.
            seconds: How long it took.
        """
        self.api_calls.labels(method=method, resource=resource, code=str(code)).inc()
        self.api_call_seconds.labels(method=method).observe(seconds)

    def _declare_captures(self) -> None:
        declare = self.metrics
        self.captures = declare.counter("replay_buffer_captures_total", "Clips that were made.")
        self.capture_attempts = declare.counter(
            "replay_buffer_capture_attempts_total",
            "Captures that were taken up; further tries of the same capture are not counted again.",
        )
        self.capture_errors = declare.counter(
            "replay_buffer_capture_errors_total", "Captures that failed, by reason.", ["error_type"]
        )
        self.capture_seconds = declare.histogram(
            "replay_buffer_capture_duration_seconds",
            "From the last needed segment on disk, or the wish where that came later, until the clip was "
            "ready.",
            buckets=CAPTURE_BUCKETS_SECONDS,
        )
        self.capture_tail_seconds = declare.histogram(
            "replay_operator_capture_tail_seconds",
            "How long finished captures waited for their last needed segment, from the end of their range "
            "or the wish.",
            buckets=_TAIL_BUCKETS_SECONDS,
        )
        self.capture_jobs = declare.gauge("replay_operator_capture_jobs", "Captures that have a Job.")
        self.captures_queued = declare.gauge(
            "replay_operator_captures_queued", "Captures that wait for a place."
        )
        self.notifications = declare.counter(
            "replay_operator_notifications_total", "Tries to tell an outcome: ok, error.", ["result"]
        )

    def _declare_recording(self) -> None:
        declare = self.metrics
        self.active_sessions = declare.gauge("replay_buffer_active_sessions", "Buffers that record now.")
        self.buffers = declare.gauge(
            "replay_operator_buffers", "Buffers, by the reason of their condition `Recording`.", ["state"]
        )
        self.uncovered_seconds = declare.counter(
            "replay_operator_uncovered_seconds_total",
            "Seconds of source that no segment covers, counted when the next run's first segment shows where "
            "the hole ends; times without a source are none.",
        )
        self.newest_age_seconds = declare.gauge(
            "replay_operator_newest_segment_age_seconds",
            "How old the newest media on disk is, of the buffers that should record; percentile 100 is the "
            "worst. Up to 2 x segmentSeconds + 0.7 s is normal.",
            ["percentile"],
        )
        self.stale_buffers = declare.gauge(
            "replay_operator_stale_buffers",
            "Buffers that should record and whose newest media is older than 3 x segmentSeconds + 5 s.",
        )
        self.clock_shift_seconds = declare.gauge(
            "replay_operator_clock_shift_seconds",
            "How far the clock of a live run has drifted, of the worst one.",
        )

    def _declare_process(self) -> None:
        declare = self.metrics
        self.leader = declare.gauge("replay_operator_leader", "1 while this process leads, 0 while it waits.")
        self.queue_depth = declare.gauge(
            "replay_operator_queue_depth",
            "Objects that are due in the work queue (`waiting`), and those that are worked on (`running`).",
            ["state"],
        )
        self.queue_age_seconds = declare.gauge(
            "replay_operator_queue_age_seconds", "For how long the first of the waiting ones has been due."
        )
        self.queue_still_seconds = declare.gauge(
            "replay_operator_queue_still_seconds",
            "Since the work queue last turned; 5 at most while all is well.",
        )
        self.watch_late_seconds = declare.gauge(
            "replay_operator_watch_late_seconds",
            "For how long a watch has owed a version that a list or an answer has shown; 0 while all is "
            "well.",
            ["kind"],
        )
        self.unreadable_objects = declare.gauge(
            "replay_operator_unreadable_objects",
            "Objects that this version cannot read and leaves alone; the log names them.",
            ["kind"],
        )
        self.reconciles = declare.counter(
            "replay_operator_reconciles_total", "Reconciles: ok, conflict, error.", ["kind", "result"]
        )
        self.reconcile_seconds = declare.histogram(
            "replay_operator_reconcile_seconds",
            "How long one took.",
            ["kind"],
            buckets=_RECONCILE_BUCKETS_SECONDS,
        )

    def _declare_calls(self) -> None:
        declare = self.metrics
        self.livekit_calls = declare.counter(
            "replay_operator_livekit_calls_total",
            "Calls to LiveKit: ok, or the reason of the failure.",
            ["call", "result"],
        )
        self.livekit_call_seconds = declare.histogram(
            "replay_operator_livekit_call_seconds",
            "How long they took, failed ones too.",
            ["call"],
            buckets=_CALL_BUCKETS_SECONDS,
        )
        self.livekit_silent_seconds = declare.gauge(
            "replay_operator_livekit_silent_seconds",
            "For how long LiveKit has not answered the list of its egresses; 0 while it answers.",
        )
        self.agent_silent_seconds = declare.gauge(
            "replay_operator_agent_silent_seconds",
            "Since the agent last told of the whole buffer volume.",
        )
        self.api_calls = declare.counter(
            "replay_operator_api_calls_total",
            "Calls to the Kubernetes API but watches; code 0: no answer. Everything but GET is a write.",
            ["method", "resource", "code"],
        )
        self.api_call_seconds = declare.histogram(
            "replay_operator_api_call_seconds",
            "How long they took.",
            ["method"],
            buckets=_CALL_BUCKETS_SECONDS,
        )

    def _declare_capacity(self) -> None:
        declare = self.metrics
        self.claim_bytes = declare.gauge(
            "replay_claim_bytes", "Of each claim: `demand`, `requested` and `capacity`.", ["claim", "type"]
        )
        self.claim_state = declare.gauge(
            "replay_claim_state",
            "1 for the state that a claim is in: [fleet.md](fleet.md).",
            ["claim", "state"],
        )
        self.fleet_demand = declare.gauge("replay_fleet_demand", "Recordings that need a place on a worker.")
        self.fleet_floor = declare.gauge("replay_fleet_floor", "Workers that are wanted at least.")
        self.fleet_workers = declare.gauge(
            "replay_fleet_workers", "Workers that hold so many egresses.", ["egresses"]
        )
        self.fleet_headroom = declare.gauge(
            "replay_fleet_headroom", "Recordings that the ready workers could carry beyond what they hold."
        )
        self.fleet_autoscaler = declare.gauge(
            "replay_fleet_autoscaler",
            "1 for the state of the autoscaler: Active, Inactive (no metrics: it never shrinks), HandsOff, "
            "Absent.",
            ["state"],
        )
        self.write_throughput = declare.gauge(
            "replay_write_throughput_bytes",
            "Bytes a second that all admitted buffers write when all record.",
        )
        self.write_budget = declare.gauge(
            "replay_write_budget_bytes", "`REPLAY_WRITE_BUDGET_MBPS` in bytes a second; +Inf without."
        )

    def _declare_catalogue(self) -> None:
        declare = self.metrics
        self.catalogue_up = declare.gauge(
            "replay_catalogue_up",
            "1 while the database took the last thing that was written; also without a catalogue.",
        )
        self.catalogue_up.set(1)
        self.catalogue_waiting = declare.gauge(
            "replay_catalogue_waiting_objects",
            "Objects whose row is not up to date yet: 0 a moment after each change.",
        )
        self.catalogue_refused_rows = declare.counter(
            "replay_catalogue_refused_rows_total",
            "Rows that the database did not take, each try. The log names the object.",
        )
        self.retired_clips = declare.counter(
            "replay_catalogue_retired_clips_total",
            "Clips that retention has deleted: Expired, OverQuota.",
            ["reason"],
        )
        self.quota_refusals = declare.counter(
            "replay_catalogue_quota_refusals_total",
            "Captures that a quota of their owner refused: ArchiveBytes, CapturesPerMinute, CapturesPerHour.",
            ["quota"],
        )

    def _declare_uploads(self) -> None:
        declare = self.metrics
        self.uploads = declare.counter("replay_upload_verified_total", "Clips that came to the bucket.")
        self.upload_errors = declare.counter(
            "replay_upload_errors_total",
            "Attempts to upload a clip that failed, by reason.",
            ["error_type"],
        )
        self.upload_bytes = declare.counter(
            "replay_upload_bytes_total", "Bytes of the clips that came there."
        )
        self.upload_seconds = declare.histogram(
            "replay_upload_duration_seconds",
            "From the moment that the upload of a clip was due until the bucket had it, with all attempts "
            "and the pauses between them.",
            buckets=_UPLOAD_BUCKETS_SECONDS,
        )
        self.upload_clips = declare.gauge(
            "replay_upload_clips",
            "Clips of the ReplayCaptures that exist: Pending, Retrying, Verified, Failed.",
            ["state"],
        )
        for state in UploadState:
            self.upload_clips.labels(state=state.value).set(0)
        self.upload_oldest_seconds = declare.gauge(
            "replay_upload_oldest_seconds",
            "For how long the upload that has been due longest has been due; 0 when none is.",
        )
        self.upload_jobs = declare.gauge("replay_upload_jobs", "Clips that are being uploaded.")

    def _declare_preview(self) -> None:
        self.preview_requests = self.metrics.counter(
            "replay_operator_preview_requests_total",
            "Requests of the API that hands out addresses: `preview`, `save`, `download` or `other`; `ok`, "
            "`refused` (no token that counts), `missing` (no such object, or no clip), `invalid` or `failed` "
            "(Kubernetes does not answer or does not let the operator save, or there is no key).",
            ["what", "result"],
        )
        for what, result in product(PREVIEW_REQUESTS, PREVIEW_RESULTS):
            self.preview_requests.labels(what, result)
