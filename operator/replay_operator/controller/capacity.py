"""What the demand of all buffers asks for: volumes that hold them, workers that carry them."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime

from replay_operator.api.replaybuffer import ReplayBuffer
from replay_operator.cluster.gateway import KubernetesGateway
from replay_operator.controller.admission import AdmissionBook
from replay_operator.controller.claims import ClaimKeeper, ClaimSettings
from replay_operator.controller.fleet import FleetKeeper, FleetSettings
from replay_operator.controller.store import ObjectStore
from replay_operator.domain.admission import Limits
from replay_operator.livekit.workers import FleetWatch
from replay_operator.metrics import OperatorMetrics


@dataclass(frozen=True, slots=True)
class CapacitySettings:
    """What the install decides about its volumes, its fleet, and who may record.

    The buffer volume is to hold `headroom_percent` more than the windows of all buffers fill.
    """

    namespace: str
    buffer_claim: ClaimSettings
    archive_claim: ClaimSettings
    headroom_percent: int
    fleet: FleetSettings
    limits: Limits


class CapacityKeeper:
    """Keeps both claims, the fleet's floor, and the figures that show a shortage before it comes."""

    def __init__(
        self,
        settings: CapacitySettings,
        *,
        gateway: KubernetesGateway,
        buffers: ObjectStore[ReplayBuffer],
        workers: FleetWatch,
        metrics: OperatorMetrics,
        clock: Callable[[], datetime],
    ) -> None:
        self._headroom_percent = settings.headroom_percent
        self._metrics = metrics
        self.admission = AdmissionBook(buffers, settings.limits)
        self.buffer_claim, self._archive_claim = (
            ClaimKeeper(claim, namespace=settings.namespace, gateway=gateway, metrics=metrics, clock=clock)
            for claim in (settings.buffer_claim, settings.archive_claim)
        )
        self._fleet = FleetKeeper(
            settings.fleet,
            namespace=settings.namespace,
            gateway=gateway,
            workers=workers,
            metrics=metrics,
            clock=clock,
        )
        budget = settings.limits.write_bytes_per_second
        metrics.write_budget.set(math.inf if budget is None else budget)

    async def look(self, recordings: int, *, is_whole: bool) -> None:
        """Look once.

        Args:
            recordings: Those that need a place on a worker: going on, waiting for one, being handed over.
            is_whole: Whether everything is known: on a partial view nothing is made smaller.

        Raises:
            ClusterError: The API server did not do what was asked; the next look tries again.
        """
        admission = self.admission.now
        self._metrics.write_throughput.set(admission.write_bytes_per_second)
        await self.buffer_claim.look(admission.volume_bytes * (100 + self._headroom_percent) // 100)
        await self._archive_claim.look(0)
        await self._fleet.look(recordings, is_whole=is_whole)
