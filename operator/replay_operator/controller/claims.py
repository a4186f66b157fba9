"""Keeps one PersistentVolumeClaim: makes it, lets it grow with the demand, and tells how it is."""

from __future__ import annotations

import logging
from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from replay_operator.api.meta import ObjectMeta
from replay_operator.cluster.claims import ClaimRequest, grow_claim, make_claim, view_claim
from replay_operator.cluster.events import Event, EventType, post_event
from replay_operator.cluster.gateway import (
    ClusterError,
    ClusterUnreachable,
    Conflict,
    KubernetesGateway,
)
from replay_operator.cluster.resources import CLAIMS
from replay_operator.domain.claims import (
    NO_VOLUME,
    WARNINGS,
    ClaimDecision,
    ClaimPlan,
    ClaimState,
    ClaimView,
    Refusal,
    decide_claim,
)
from replay_operator.domain.quantity import format_quantity
from replay_operator.metrics import OperatorMetrics

log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class ClaimSettings:
    """What the install wants of one claim. An empty storage class takes the cluster's default."""

    plan: ClaimPlan
    storage_class: str


class ClaimKeeper:
    """One claim of an install.

    A claim has no status of ours, and thousands of buffers share it: how it is goes into metrics, into the
    log, and once into an Event on the claim when somebody has to act. Only a buffer that cannot start for
    want of it says so in its own status.
    """

    def __init__(
        self,
        settings: ClaimSettings,
        *,
        namespace: str,
        gateway: KubernetesGateway,
        metrics: OperatorMetrics,
        clock: Callable[[], datetime],
    ) -> None:
        self._plan, self._storage_class = settings.plan, settings.storage_class
        self._namespace = namespace
        self._gateway = gateway
        self._metrics = metrics
        self._clock = clock
        self._refusal: Refusal | None = None
        self._said: ClaimState | None = None
        self._why_no_volume = ""

    def why_no_volume(self) -> str:
        """Say why nothing can be written, in one sentence; empty when the claim is not to blame."""
        return self._why_no_volume

    async def look(self, demand_bytes: int) -> None:
        """Look at the claim and do what it needs.

        Args:
            demand_bytes: What the buffers that may record need, with headroom.

        Raises:
            ClusterUnreachable: The API server does not answer; the next look tries again.
        """
        body = await self._gateway.get(CLAIMS, self._namespace, self._plan.name)
        view = view_claim(body) if body is not None else None
        decision = self._decide(view, demand_bytes)
        refused = await self._act(body, decision)
        if refused:
            decision = self._decide(view, demand_bytes)
        self._measure(view, demand_bytes, decision.state)
        self._why_no_volume = decision.message if decision.state in NO_VOLUME else ""
        if decision.state is not self._said:
            self._said = decision.state
            await self._tell(body, decision)

    def _decide(self, view: ClaimView | None, demand_bytes: int) -> ClaimDecision:
        return decide_claim(view, self._plan, demand_bytes, self._refusal, self._clock())

    async def _act(self, body: dict[str, Any] | None, decision: ClaimDecision) -> bool:
        """Ask for what was decided; tell whether the API server has refused it."""
        size = decision.make_bytes or decision.grow_to_bytes
        if size is None:
            return False
        try:
            if body is None:
                await self._make(size)
            else:
                await grow_claim(self._gateway, self._namespace, body, size, self._clock())
                log.info("claim %s: asked to grow to %s", self._plan.name, format_quantity(size))
        except ClusterUnreachable:
            raise
        except Conflict:
            return False  # it has changed since it was read: the next look sees how
        except ClusterError as error:
            self._refusal = Refusal(size, self._clock(), str(error))
            return True
        self._refusal = None
        return False

    async def _make(self, size: int) -> None:
        request = ClaimRequest(self._plan.name, size, self._storage_class, self._plan.access_mode)
        if await make_claim(self._gateway, self._namespace, request) is not None:
            log.info("made PersistentVolumeClaim %s", self._plan.name)

    def _measure(self, view: ClaimView | None, demand_bytes: int, now: ClaimState) -> None:
        sizes = {
            "demand": demand_bytes,
            "requested": view.requested_bytes if view else 0,
            "capacity": view.capacity_bytes if view else 0,
        }
        for type_, size in sizes.items():
            self._metrics.claim_bytes.labels(claim=self._plan.name, type=type_).set(size)
        for state in ClaimState:
            self._metrics.claim_state.labels(claim=self._plan.name, state=state).set(state is now)

    async def _tell(self, body: dict[str, Any] | None, decision: ClaimDecision) -> None:
        if decision.state not in WARNINGS:
            return
        log.warning("claim %s is %s: %s", self._plan.name, decision.state, decision.message)
        if body is None:
            return  # there is nothing to hang an Event on
        event = Event(EventType.WARNING, decision.state, decision.message)
        try:
            await post_event(
                self._gateway, event, CLAIMS, ObjectMeta.model_validate(body["metadata"]), self._clock()
            )
        except ClusterError as error:
            log.warning("no Event for claim %s: %s", self._plan.name, error)
