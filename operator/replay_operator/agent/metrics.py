"""The agent's Prometheus metrics, in a registry of their own."""

from __future__ import annotations

import math
import platform
from itertools import product

from prometheus_client import CollectorRegistry

from replay_operator import __version__
from replay_operator.api.agent import VolumeSpace
from replay_operator.metric_registry import MetricRegistry, Page

DELETION_REASONS = ("window", "bytes", "floor", "orphan")
"""Outside the window or expired; more than the buffer may have; the free space floor; nobody's."""

PREVIEW_REQUESTS = ("playlist", "segment", "clip", "other")
PREVIEW_RESULTS = ("ok", "refused", "missing", "invalid", "failed")
"""Sent; a bad or expired address; not there; a question that makes no sense; not readable now."""

HOT_RESULTS = ("hit", "shared", "miss", "full")
"""It was in memory; another viewer's read was under way; it was read; no room, sent from the file."""

_SCAN_BUCKETS_SECONDS = (0.001, 0.003, 0.01, 0.03, 0.1, 0.3, 1, 3, 10, 30)


class AgentMetrics:
    """What an operator of the system watches on the buffer volume."""

    def __init__(self) -> None:
        self.metrics = declare = MetricRegistry()
        declare.info(
            "replay_agent_build_info",
            "Always 1: which version this is.",
            {"version": __version__, "python": platform.python_version()},
        )
        self.storage_bytes = declare.gauge(
            "replay_buffer_storage_bytes",
            "Bytes of media: `temp` are segments on the buffer volume, `permanent` all files on the archive "
            "volume, counted every ten minutes.",
            ["type"],
        )
        self.segments = declare.gauge("replay_agent_segments", "Segment files on the buffer volume.")
        self.buffers = declare.gauge("replay_agent_buffers", "Buffer directories on the buffer volume.")
        self.policy_age_seconds = declare.gauge(
            "replay_agent_policy_age_seconds",
            "Since the last accepted policy; +Inf when none came since the start. Above 60 nothing is "
            "deleted.",
        )
        self.deleted_segments = declare.counter(
            "replay_agent_deleted_segments_total",
            "Segments deleted: `window` (outside the window or expired), `bytes`, `floor` or `orphan`.",
            ["reason"],
        )
        self.deleted_bytes = declare.counter("replay_agent_deleted_bytes_total", "Their bytes.", ["reason"])
        self.deleted_parts = declare.counter(
            "replay_agent_deleted_parts_total",
            "Unfinished files of ended captures removed from the archive volume.",
        )
        self.deletion_errors = declare.counter(
            "replay_agent_deletion_errors_total", "Deletions that the volume refused."
        )
        self.volume_bytes = declare.gauge(
            "replay_agent_volume_bytes",
            "The buffer volume: `size`, `free`, `floor`, and `missing`: what lacks to the floor though "
            "nothing more may go.",
            ["what"],
        )
        self.volume_full_seconds = declare.gauge(
            "replay_agent_volume_full_seconds",
            "When nothing will be free if it goes on as in the last ten minutes; +Inf when it does not fill.",
        )
        self.archive_bytes = declare.gauge(
            "replay_agent_archive_bytes", "The archive volume: `size` and `free`.", ["what"]
        )
        self.volume_writable = declare.gauge(
            "replay_agent_volume_writable",
            "1 while the buffer volume takes writes, 0 when the last one failed or hangs.",
        )
        self.trimmed_buffers = declare.gauge(
            "replay_agent_trimmed_buffers",
            "Buffers that lost segments inside their window to the floor in the last five minutes.",
        )
        self.oldest_pin_seconds = declare.gauge(
            "replay_agent_oldest_pin_seconds",
            "How long ago the oldest pinned range began; 0 when nothing is pinned.",
        )
        self.scan_seconds = declare.histogram(
            "replay_agent_scan_seconds",
            "How long one look at the volume took.",
            buckets=_SCAN_BUCKETS_SECONDS,
        )
        self.scan_errors = declare.counter(
            "replay_agent_scan_errors_total",
            "Runs or volumes that could not be read, and indexes that could not be kept.",
        )
        self.preview_requests = declare.counter(
            "replay_agent_preview_requests_total",
            "Requests of the preview: `playlist`, `segment`, `clip` or `other`; `ok`, `refused` (a bad or "
            "expired address), `missing`, `invalid` or `failed` (the volume cannot be read now).",
            ["what", "result"],
        )
        self.preview_buffers = declare.gauge(
            "replay_agent_preview_buffers", "Buffers that somebody has looked at in the last minute."
        )
        self.preview_hot_segments = declare.counter(
            "replay_agent_preview_hot_segments_total",
            "Segments of a network volume that were asked for: `hit` (in memory), `shared` (being read for "
            "another viewer), `miss` (read) or `full` (no room in memory: read in pieces for this viewer).",
            ["result"],
        )
        self.preview_memory_bytes = declare.gauge(
            "replay_agent_preview_memory_bytes", "What such segments take in memory."
        )
        # What is not known yet must not look like a full disk, and a rate does not see a series begin.
        self.volume_full_seconds.set(math.inf)
        for reason in DELETION_REASONS:
            self.deleted_segments.labels(reason)
            self.deleted_bytes.labels(reason)
        for what, result in product(PREVIEW_REQUESTS, PREVIEW_RESULTS):
            self.preview_requests.labels(what, result)
        for result in HOT_RESULTS:
            self.preview_hot_segments.labels(result)

    @property
    def registry(self) -> CollectorRegistry:
        """Where the collectors are."""
        return self.metrics.collectors

    def tell_space(self, space: VolumeSpace | None) -> None:
        """Take over how full the buffer volume is.

        Args:
            space: What the last look gave; None before the first one.
        """
        if space is None:
            return
        for what, number in (
            ("size", space.size_bytes),
            ("free", space.free_bytes),
            ("floor", space.floor_bytes),
            ("missing", space.missing_bytes),
        ):
            self.volume_bytes.labels(what).set(number)
        forecast = space.full_in_seconds
        self.volume_full_seconds.set(math.inf if forecast is None else forecast)

    def page(self, accept: str = "") -> Page:
        """Give the page that Prometheus reads.

        Args:
            accept: The header `Accept` of the request.
        """
        return self.metrics.page(accept)
