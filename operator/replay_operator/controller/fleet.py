"""Keeps the fleet large enough, and says which workers should go first."""

from __future__ import annotations

import logging
from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime, timedelta

from replay_operator.cluster.autoscaler import FloorOutcome, FloorReport, set_floor
from replay_operator.cluster.deletion_cost import set_deletion_cost
from replay_operator.cluster.gateway import Conflict, Forbidden, KubernetesGateway
from replay_operator.domain.capacity import worker_floor
from replay_operator.domain.fleet_places import due_deletion_costs
from replay_operator.domain.fleet_size import WantedFloors
from replay_operator.livekit.workers import FleetWatch
from replay_operator.metrics import OperatorMetrics

COSTS_GAP = timedelta(seconds=30)
"""Least time between two rounds of deletion costs: a burst of starts is one write a worker."""

COSTS_REFUSED = timedelta(minutes=10)

STATES = ("Active", "Inactive", "HandsOff", "Absent")

log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class FleetSettings:
    """How the fleet is sized. It is made smaller when fewer workers have done for `lower_after`."""

    name: str
    per_worker: int
    headroom: int
    minimum: int
    maximum: int
    lower_after: timedelta = timedelta(minutes=10)
    deletion_cost: bool = False


class FleetKeeper:
    """Owns the floor of the fleet's autoscaler and, where that is wanted, the deletion cost of its pods."""

    def __init__(
        self,
        settings: FleetSettings,
        *,
        namespace: str,
        gateway: KubernetesGateway,
        workers: FleetWatch,
        metrics: OperatorMetrics,
        clock: Callable[[], datetime],
    ) -> None:
        self._settings = settings
        self._namespace = namespace
        self._gateway = gateway
        self._workers = workers
        self._metrics = metrics
        self._clock = clock
        self._floors: WantedFloors | None = None
        self._state = ""
        self._costs_due = clock()

    async def look(self, demand: int, *, is_whole: bool) -> None:
        """Look once.

        Args:
            demand: Recordings that need a place: going on, waiting for one, being handed over.
            is_whole: Whether everything is known: on a partial view the fleet is made larger only.

        Raises:
            ClusterError: The API server did not do what was asked; the next look tries again.
        """
        await self._set_floor(demand, is_whole=is_whole)
        if self._settings.deletion_cost:
            await self._set_costs()

    async def _set_floor(self, demand: int, *, is_whole: bool) -> None:
        fleet, now = self._settings, self._clock()
        floor = worker_floor(
            demand,
            per_worker=fleet.per_worker,
            headroom=fleet.headroom,
            minimum=fleet.minimum,
            maximum=fleet.maximum,
        )
        may_lower = False
        if is_whole:
            self._floors = (self._floors or WantedFloors(now)).wanting(floor, now, fleet.lower_after)
            floor, may_lower = self._floors.floor, self._floors.may_lower(now, fleet.lower_after)
        self._metrics.fleet_demand.set(demand)
        self._metrics.fleet_floor.set(floor)
        report = await set_floor(self._gateway, self._namespace, fleet.name, floor, may_lower=may_lower)
        if report.outcome is FloorOutcome.SET:
            log.info("autoscaler %s: minReplicas is now %d for %d recordings", fleet.name, floor, demand)
        self._tell(report, floor)

    def _tell(self, report: FloorReport, floor: int) -> None:
        """Say how the autoscaler is, in a metric always and in the log when that changes."""
        name, outcome = self._settings.name, report.outcome
        if outcome is FloorOutcome.ABSENT:
            state = "Absent"
            advice = "nothing makes the fleet grow: apply one, or name the one there is in REPLAY_FLEET"
        elif outcome is FloorOutcome.HANDS_OFF:
            state = "HandsOff"
            advice = (
                f"{report.declared_by} declares spec.minReplicas, so it is left alone, and {floor} would be "
                "needed: remove that field there"
            )
        elif report.inactive:
            state, advice = "Inactive", f"it grows to its floor and never shrinks: {report.inactive}"
        else:
            state, advice = "Active", ""
        for possible in STATES:
            self._metrics.fleet_autoscaler.labels(state=possible).set(possible == state)
        if state != self._state:
            self._state = state
            log.log(
                logging.WARNING if advice else logging.INFO, "autoscaler %s is %s: %s", name, state, advice
            )

    async def _set_costs(self) -> None:
        now = self._clock()
        if now < self._costs_due:
            return
        self._costs_due = now + COSTS_GAP
        for pod, cost in due_deletion_costs(self._workers.fleet).items():
            try:
                await set_deletion_cost(self._gateway, self._namespace, pod, cost)
            except Conflict:
                continue  # a namesake: it is looked at by itself
            except Forbidden as error:
                self._costs_due = now + COSTS_REFUSED
                log.warning(
                    "no deletion cost on pod %s: %s; REPLAY_POD_DELETION_COST needs the verb patch on pods "
                    "in the operator's Role",
                    pod.name,
                    error,
                )
                return
