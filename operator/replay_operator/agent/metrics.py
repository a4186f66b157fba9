"""The agent's Prometheus metrics, in a registry of their own."""

from __future__ import annotations

import math

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram, generate_latest

from replay_operator.api.agent import VolumeSpace

_SCAN_BUCKETS_SECONDS = (0.001, 0.003, 0.01, 0.03, 0.1, 0.3, 1, 3, 10, 30)


class AgentMetrics:
    """What an operator of the system watches on the buffer volume."""

    def __init__(self) -> None:
        self.registry = CollectorRegistry()
        self.storage_bytes = Gauge(
            "replay_buffer_storage_bytes",
            "Bytes of segments on a volume: temp is the buffer volume.",
            ["type"],
            registry=self.registry,
        )
        self.segments = Gauge(
            "replay_agent_segments", "Segment files on the buffer volume.", registry=self.registry
        )
        self.buffers = Gauge(
            "replay_agent_buffers", "Buffer directories on the buffer volume.", registry=self.registry
        )
        self.policy_age_seconds = Gauge(
            "replay_agent_policy_age_seconds",
            "Since the last accepted policy; +Inf when none came since the start.",
            registry=self.registry,
        )
        self.deleted_segments = Counter(
            "replay_agent_deleted_segments_total",
            "Segments deleted, by why: window (outside the window or expired), bytes, floor or orphan.",
            ["reason"],
            registry=self.registry,
        )
        self.deleted_bytes = Counter(
            "replay_agent_deleted_bytes_total",
            "Bytes of segments deleted, by why.",
            ["reason"],
            registry=self.registry,
        )
        self.deleted_parts = Counter(
            "replay_agent_deleted_parts_total",
            "Unfinished files of ended captures removed from the archive volume.",
            registry=self.registry,
        )
        self.deletion_errors = Counter(
            "replay_agent_deletion_errors_total", "Deletions that the volume refused.", registry=self.registry
        )
        self.volume_bytes = Gauge(
            "replay_agent_volume_bytes",
            "The buffer volume: its size, what is free, the floor, and what lacks to the floor for good.",
            ["what"],
            registry=self.registry,
        )
        self.volume_full_seconds = Gauge(
            "replay_agent_volume_full_seconds",
            "When nothing will be free if it goes on as in the last ten minutes; +Inf when it does not fill.",
            registry=self.registry,
        )
        self.volume_writable = Gauge(
            "replay_agent_volume_writable",
            "1 while the buffer volume takes writes, 0 when the last one failed or hangs.",
            registry=self.registry,
        )
        self.trimmed_buffers = Gauge(
            "replay_agent_trimmed_buffers",
            "Buffers that lost segments inside their window to the floor in the last five minutes.",
            registry=self.registry,
        )
        self.oldest_pin_seconds = Gauge(
            "replay_agent_oldest_pin_seconds",
            "How long ago the oldest pinned range began; 0 when nothing is pinned.",
            registry=self.registry,
        )
        self.scan_seconds = Histogram(
            "replay_agent_scan_seconds",
            "How long one look at the volume took.",
            buckets=_SCAN_BUCKETS_SECONDS,
            registry=self.registry,
        )
        self.scan_errors = Counter(
            "replay_agent_scan_errors_total",
            "Runs or volumes that could not be read.",
            registry=self.registry,
        )

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

    def render(self) -> bytes:
        """Give the metrics in the text format of Prometheus."""
        return generate_latest(self.registry)
