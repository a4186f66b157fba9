"""What the Kubernetes API tells of an install. Only get and list are used."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Iterable
from dataclasses import dataclass
from typing import Any, TypeVar

from replay_operator.api.model import GROUP, VERSION
from replay_operator.cli.doctor.sight import see
from replay_operator.cluster.field_owners import declared_by_another
from replay_operator.cluster.gateway import KubernetesGateway
from replay_operator.cluster.lease import KubernetesLease
from replay_operator.cluster.resources import AUTOSCALERS, CLAIMS, PODS, ResourceType
from replay_operator.domain.checks.definitions import differences
from replay_operator.domain.checks.facts import Scraping, Seen
from replay_operator.domain.checks.objects import (
    AutoscalerFacts,
    BudgetFacts,
    ClaimFacts,
    ConfigMapFacts,
    autoscaler_facts,
    budget_facts,
    claim_facts,
    config_map_facts,
)
from replay_operator.domain.checks.verdict import Unseen
from replay_operator.domain.leadership import LeaseRecord

OPERATOR_PODS = "app.kubernetes.io/name=replay-operator,app.kubernetes.io/component=operator"
AGENT_PODS = "app.kubernetes.io/name=replay-agent,app.kubernetes.io/component=agent"

CONFIG_MAPS = ResourceType("", "v1", "configmaps", "ConfigMap")
SECRETS = ResourceType("", "v1", "secrets", "Secret")
BUDGETS = ResourceType("policy", "v1", "poddisruptionbudgets", "PodDisruptionBudget")
POD_MONITORS = ResourceType("monitoring.coreos.com", "v1", "podmonitors", "PodMonitor")
SERVICE_MONITORS = ResourceType("monitoring.coreos.com", "v1", "servicemonitors", "ServiceMonitor")
SERVICES = ResourceType("", "v1", "services", "Service")

Json = dict[str, Any]
Labels = dict[str, str]
T = TypeVar("T")


@dataclass(frozen=True, slots=True)
class ClusterProbes:
    """Looks at one namespace."""

    gateway: KubernetesGateway
    namespace: str

    async def pods(self, selector: str) -> Seen[tuple[Json, ...]]:
        """List pods.

        Args:
            selector: Their labels.
        """
        found = self.gateway.list(PODS, self.namespace, labels=selector)
        return await see("pods", found, right="list on pods")

    async def config_map(self, name: str) -> Seen[ConfigMapFacts | None]:
        """Read a ConfigMap."""
        return await self._object(CONFIG_MAPS, name, config_map_facts)

    async def secret_keys(self, name: str) -> Seen[frozenset[str] | None]:
        """Name the keys of a Secret. The values are dropped here, unread."""
        return await self._object(SECRETS, name, lambda body: frozenset(body.get("data") or {}))

    async def claim(self, name: str) -> Seen[ClaimFacts | None]:
        """Read a claim."""
        return await self._object(CLAIMS, name, claim_facts)

    async def autoscaler(self, name: str) -> Seen[AutoscalerFacts | None]:
        """Read an autoscaler."""
        return await self._object(
            AUTOSCALERS,
            name,
            lambda body: autoscaler_facts(body, declared_by_another(body, "spec", "minReplicas")),
        )

    async def budgets(self) -> Seen[tuple[BudgetFacts, ...]]:
        """List the disruption budgets."""
        return await self._objects(BUDGETS, budget_facts)

    async def lease(self, name: str) -> Seen[LeaseRecord | None]:
        """Read the Lease."""
        lease = KubernetesLease(self.gateway, namespace=self.namespace, name=name)
        return await see(f"the Lease {name}", lease.read(), right="get on leases")

    async def definitions(self) -> Seen[tuple[str, ...]]:
        """Say what the served definitions lack."""
        found = await see(
            "the definitions",
            self.gateway.document(f"/openapi/v3/apis/{GROUP}/{VERSION}"),
            right="get on /openapi",
        )
        if isinstance(found, Unseen):
            return found
        return differences(found.body if found else None)

    async def date(self) -> str:
        """Give the API server's `Date`; empty when it has none."""
        found = await self.gateway.document("/version")
        return found.date if found else ""

    async def scraping(self) -> Seen[Scraping]:
        """List the monitors of the Prometheus operator, with the labels of the pods that they lead to."""
        pods, services, targets = await asyncio.gather(
            self._objects(POD_MONITORS, _match_labels),
            self._objects(SERVICE_MONITORS, _match_labels),
            self._objects(SERVICES, _labels_and_selector),
        )
        if isinstance(pods, Unseen):
            return pods
        if isinstance(services, Unseen):
            return services
        if isinstance(targets, Unseen):
            # They matter only where a ServiceMonitor leads to one of them.
            return targets if services else Scraping(pods)
        led_to = [
            selector
            for wanted in services
            for labels, selector in targets
            if wanted.items() <= labels.items() and selector
        ]
        return Scraping((*filter(None, pods), *led_to))

    async def _object(self, type_: ResourceType, name: str, read: Callable[[Json], T]) -> Seen[T | None]:
        async def look() -> T | None:
            body = await self.gateway.get(type_, self.namespace, name)
            return None if body is None else read(body)

        return await see(f"{type_.kind} {name}", look(), right=f"get on {type_.plural}")

    async def _objects(self, type_: ResourceType, read: Callable[[Json], T]) -> Seen[tuple[T, ...]]:
        async def look() -> tuple[T, ...]:
            return tuple(map(read, await self.gateway.list(type_, self.namespace)))

        return await see(type_.plural, look(), right=f"list on {type_.plural}")


def _match_labels(monitor: Json) -> Labels:
    return (monitor["spec"].get("selector") or {}).get("matchLabels") or {}


def _labels_and_selector(service: Json) -> tuple[Labels, Labels]:
    return service["metadata"].get("labels") or {}, service["spec"].get("selector") or {}


async def by_name(names: Iterable[str], look: Callable[[str], Awaitable[T]]) -> dict[str, T]:
    """Look at several objects at once.

    Args:
        names: Of the objects.
        look: Looks at one.
    """
    wanted = list(dict.fromkeys(names))
    return dict(zip(wanted, await asyncio.gather(*map(look, wanted)), strict=True))
