"""The operator's own figures, on a registry of their own."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram, generate_latest


@dataclass(frozen=True)
class OperatorMetrics:
    """Labels are bounded: kinds, states and results, never names of buffers or people."""

    registry: CollectorRegistry = field(default_factory=CollectorRegistry)
    leader: Gauge = field(init=False)
    queue_still_seconds: Gauge = field(init=False)
    watch_late_seconds: Gauge = field(init=False)
    reconciles: Counter = field(init=False)
    reconcile_seconds: Histogram = field(init=False)
    buffers: Gauge = field(init=False)
    active_sessions: Gauge = field(init=False)
    captures: Counter = field(init=False)
    capture_errors: Counter = field(init=False)
    capture_jobs: Gauge = field(init=False)
    captures_queued: Gauge = field(init=False)
    notifications: Counter = field(init=False)
    claim_bytes: Gauge = field(init=False)
    claim_state: Gauge = field(init=False)
    fleet_demand: Gauge = field(init=False)
    fleet_floor: Gauge = field(init=False)
    fleet_autoscaler: Gauge = field(init=False)
    write_throughput: Gauge = field(init=False)
    write_budget: Gauge = field(init=False)
    catalogue_up: Gauge = field(init=False)
    catalogue_waiting: Gauge = field(init=False)
    catalogue_refused_rows: Counter = field(init=False)

    def __post_init__(self) -> None:
        """Register the collectors."""

        def put(name: str, collector: Counter | Gauge | Histogram) -> None:
            object.__setattr__(self, name, collector)

        registry = self.registry
        put("leader", Gauge("replay_operator_leader", "1 while this process leads.", registry=registry))
        put(
            "queue_still_seconds",
            Gauge(
                "replay_operator_queue_still_seconds", "Since the work queue last turned.", registry=registry
            ),
        )
        put(
            "watch_late_seconds",
            Gauge(
                "replay_operator_watch_late_seconds",
                "For how long a watch owes a version.",
                ["kind"],
                registry=registry,
            ),
        )
        put(
            "reconciles",
            Counter("replay_operator_reconciles", "Reconciles.", ["kind", "result"], registry=registry),
        )
        put(
            "reconcile_seconds",
            Histogram(
                "replay_operator_reconcile_seconds", "Reconcile duration.", ["kind"], registry=registry
            ),
        )
        put("buffers", Gauge("replay_operator_buffers", "Buffers by state.", ["state"], registry=registry))
        put(
            "active_sessions",
            Gauge("replay_buffer_active_sessions", "Buffers that record now.", registry=registry),
        )
        put("captures", Counter("replay_buffer_captures", "Clips that were made.", registry=registry))
        put(
            "capture_errors",
            Counter(
                "replay_buffer_capture_errors", "Captures that failed.", ["error_type"], registry=registry
            ),
        )

        put("capture_jobs", Gauge("replay_operator_capture_jobs", "Captures with a Job.", registry=registry))
        put(
            "captures_queued",
            Gauge("replay_operator_captures_queued", "Captures that wait for a place.", registry=registry),
        )
        put(
            "notifications",
            Counter("replay_operator_notifications", "Outcomes told.", ["result"], registry=registry),
        )
        self._put_capacity(put)
        self._put_catalogue(put)

    def _put_capacity(self, put: Callable[[str, Gauge], None]) -> None:
        registry = self.registry
        put(
            "claim_bytes",
            Gauge(
                "replay_claim_bytes",
                "Demand on a claim, what it requests, and its capacity.",
                ["claim", "type"],
                registry=registry,
            ),
        )
        put(
            "claim_state",
            Gauge("replay_claim_state", "1 for the state of a claim.", ["claim", "state"], registry=registry),
        )
        put(
            "fleet_demand",
            Gauge("replay_fleet_demand", "Recordings that need a place on a worker.", registry=registry),
        )
        put(
            "fleet_floor",
            Gauge("replay_fleet_floor", "Workers that are wanted at least.", registry=registry),
        )
        put(
            "fleet_autoscaler",
            Gauge(
                "replay_fleet_autoscaler", "1 for the state of the autoscaler.", ["state"], registry=registry
            ),
        )
        put(
            "write_throughput",
            Gauge(
                "replay_write_throughput_bytes",
                "Bytes a second that all admitted buffers write.",
                registry=registry,
            ),
        )
        put(
            "write_budget",
            Gauge(
                "replay_write_budget_bytes",
                "Bytes a second that buffers may write; +Inf without a limit.",
                registry=registry,
            ),
        )

    def _put_catalogue(self, put: Callable[[str, Counter | Gauge], None]) -> None:
        registry = self.registry
        put(
            "catalogue_up",
            Gauge(
                "replay_catalogue_up",
                "1 while the catalogue takes what is written; also without a catalogue.",
                registry=registry,
            ),
        )
        self.catalogue_up.set(1)
        put(
            "catalogue_waiting",
            Gauge(
                "replay_catalogue_waiting_objects",
                "Objects whose row is not up to date yet.",
                registry=registry,
            ),
        )
        put(
            "catalogue_refused_rows",
            Counter(
                "replay_catalogue_refused_rows",
                "Rows that the database did not take: each try of each row.",
                registry=registry,
            ),
        )

    def render(self) -> bytes:
        """Give the page that Prometheus reads."""
        return generate_latest(self.registry)
