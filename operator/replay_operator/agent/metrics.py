"""The agent's Prometheus metrics, in a registry of their own."""

from __future__ import annotations

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram, generate_latest

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
            "Segments deleted, by why: window (outside the window or expired) or orphan.",
            ["reason"],
            registry=self.registry,
        )
        self.deletion_errors = Counter(
            "replay_agent_deletion_errors_total", "Deletions that the volume refused.", registry=self.registry
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

    def render(self) -> bytes:
        """Give the metrics in the text format of Prometheus."""
        return generate_latest(self.registry)
