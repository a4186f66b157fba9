"""Figures of a leader that are read when somebody scrapes: the queue, the fleet, who is silent."""

from __future__ import annotations

from replay_operator.controller.keys import Kind
from replay_operator.controller.operator import Operator
from replay_operator.domain.fleet_places import places_free, workers_by_load
from replay_operator.metrics import OperatorMetrics


class LiveFigures:
    """Reads what a leader's parts know."""

    def __init__(self, operator: Operator, metrics: OperatorMetrics) -> None:
        """Take the leader.

        Args:
            operator: It.
            metrics: They show the figures from now on.
        """
        self._operator = operator
        self._metrics = metrics
        metrics.metrics.before_each_page(self.measure)

    def measure(self) -> None:
        """Set the gauges."""
        operator, metrics = self._operator, self._metrics
        metrics.leader.set(operator.may_act())
        metrics.queue_still_seconds.set(operator.queue.still_seconds)
        waiting, age_seconds = operator.queue.waiting()
        metrics.queue_depth.labels(state="waiting").set(waiting)
        metrics.queue_depth.labels(state="running").set(operator.queue.running)
        metrics.queue_age_seconds.set(age_seconds)
        for kind, store in ((Kind.BUFFER, operator.inbox.buffers), (Kind.CAPTURE, operator.inbox.captures)):
            metrics.watch_late_seconds.labels(kind=kind).set(store.watch_late_seconds)
            metrics.unreadable_objects.labels(kind=kind).set(len(store.unreadable))
        metrics.livekit_silent_seconds.set(operator.poller.silent_seconds)
        metrics.agent_silent_seconds.set(operator.coverage.silent_seconds)
        self._measure_fleet()

    def _measure_fleet(self) -> None:
        operator, metrics = self._operator, self._metrics
        fleet = operator.fleet.fleet
        metrics.fleet_headroom.set(places_free(fleet, operator.settings.buffers_per_worker))
        metrics.fleet_workers.clear()
        for egresses, workers in workers_by_load(fleet).items():
            metrics.fleet_workers.labels(egresses=str(egresses)).set(workers)
