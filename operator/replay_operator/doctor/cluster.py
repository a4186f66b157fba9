"""What the Kubernetes API tells of an install. Only get and list are used."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Iterable, Mapping
from dataclasses import dataclass
from typing import Any, TypeVar

from replay_operator.api.model import GROUP, VERSION
from replay_operator.cluster.autoscaler import declared_by_another
from replay_operator.cluster.gateway import KubernetesGateway
from replay_operator.cluster.lease import KubernetesLease
from replay_operator.cluster.resources import AUTOSCALERS, CLAIMS, PODS, ResourceType
from replay_operator.doctor.sight import see
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
        body = await self._object(CONFIG_MAPS, name)
        return body if body is None or isinstance(body, Unseen) else config_map_facts(body)

    async def secret_keys(self, name: str) -> Seen[frozenset[str] | None]:
        """Name the keys of a Secret. The values are dropped here, unread."""
        body = await self._object(SECRETS, name)
        return body if body is None or isinstance(body, Unseen) else frozenset(body.get("data") or {})

    async def claim(self, name: str) -> Seen[ClaimFacts | None]:
        """Read a claim."""
        body = await self._object(CLAIMS, name)
        return body if body is None or isinstance(body, Unseen) else claim_facts(body)

    async def autoscaler(self, name: str) -> Seen[AutoscalerFacts | None]:
        """Read an autoscaler."""
        body = await self._object(AUTOSCALERS, name)
        if body is None or isinstance(body, Unseen):
            return body
        return autoscaler_facts(body, declared_by_another(body))

    async def budgets(self) -> Seen[tuple[BudgetFacts, ...]]:
        """List the disruption budgets."""
        bodies = await self._objects(BUDGETS)
        return bodies if isinstance(bodies, Unseen) else tuple(map(budget_facts, bodies))

    async def lease(self, name: str) -> Seen[LeaseRecord | None]:
        """Read the Lease."""
        lease = KubernetesLease(self.gateway, namespace=self.namespace, name=name)
        return await see(f"the Lease {name}", lease.read(), right="get on leases")

    async def definitions(self) -> Seen[tuple[str, ...]]:
        """Say what the served definitions lack."""
        found = await see("the definitions", self.gateway.document(f"/openapi/v3/apis/{GROUP}/{VERSION}"))
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
            self._objects(POD_MONITORS), self._objects(SERVICE_MONITORS), self._objects(SERVICES)
        )
        if isinstance(pods, Unseen):
            return pods
        if isinstance(services, Unseen):
            return services
        selectors: list[Mapping[str, str]] = [_match_labels(monitor) for monitor in pods]
        if services and isinstance(targets, Unseen):
            return targets
        for monitor in services:
            wanted = _match_labels(monitor).items()
            selectors += [
                service["spec"].get("selector") or {}
                for service in (() if isinstance(targets, Unseen) else targets)
                if wanted <= (service["metadata"].get("labels") or {}).items()
            ]
        return Scraping(tuple(selector for selector in selectors if selector))

    async def _object(self, type_: ResourceType, name: str) -> Seen[Json | None]:
        found = self.gateway.get(type_, self.namespace, name)
        return await see(f"{type_.kind} {name}", found, right=f"get on {type_.plural}")

    async def _objects(self, type_: ResourceType) -> Seen[tuple[Json, ...]]:
        found = self.gateway.list(type_, self.namespace)
        return await see(type_.plural, found, right=f"list on {type_.plural}")


def _match_labels(monitor: Json) -> dict[str, str]:
    return dict((monitor["spec"].get("selector") or {}).get("matchLabels") or {})


async def by_name(names: Iterable[str], look: Any) -> dict[str, Any]:
    """Look at several objects at once.

    Args:
        names: Of the objects.
        look: Looks at one.
    """
    wanted = list(dict.fromkeys(names))
    found: list[Awaitable[Any]] = [look(name) for name in wanted]
    return dict(zip(wanted, await asyncio.gather(*found), strict=True))
