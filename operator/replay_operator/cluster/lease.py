"""The Lease behind which one operator leads: read it, and write it only over what was read."""

from __future__ import annotations

from datetime import UTC, datetime

from replay_operator.cluster.gateway import Json, KubernetesGateway
from replay_operator.cluster.resources import ResourceType
from replay_operator.domain.leadership import LeaseRecord

LEASES = ResourceType("coordination.k8s.io", "v1", "leases", "Lease")


class KubernetesLease:
    """One Lease object. Labels, annotations and fields that others put on it stay."""

    def __init__(self, gateway: KubernetesGateway, *, namespace: str, name: str) -> None:
        self._gateway = gateway
        self._namespace = namespace
        self._name = name
        self._last: Json = {}

    def __str__(self) -> str:
        return f"lease {self._namespace}/{self._name}"

    async def read(self) -> LeaseRecord | None:
        """Read it, or None when it does not exist.

        Raises:
            ClusterError: It could not be read.
        """
        body = await self._gateway.get(LEASES, self._namespace, self._name)
        return self._remember(body) if body is not None else None

    async def write(self, record: LeaseRecord) -> LeaseRecord:
        """Store a record over the version that it names; without a version, make the Lease.

        Returns:
            The record with its new version.

        Raises:
            Conflict: The Lease has changed, has gone, or is there already.
            ClusterError: It could not be written, or nobody knows whether it was.
        """
        if not record.version:
            body = {"metadata": {"name": self._name, "namespace": self._namespace}, "spec": _spec(record)}
            return self._remember(await self._gateway.create(LEASES, self._namespace, body))
        body = {
            **self._last,
            "metadata": {
                **self._last.get("metadata", {}),
                "name": self._name,
                "namespace": self._namespace,
                "resourceVersion": record.version,
            },
            "spec": {**self._last.get("spec", {}), **_spec(record)},
        }
        return self._remember(await self._gateway.replace(LEASES, self._namespace, self._name, body))

    def _remember(self, body: Json) -> LeaseRecord:
        self._last = body
        spec = body.get("spec") or {}
        return LeaseRecord(
            version=body["metadata"]["resourceVersion"],
            holder=spec.get("holderIdentity") or "",
            lease_seconds=spec.get("leaseDurationSeconds") or 0,
            transitions=spec.get("leaseTransitions") or 0,
            acquired_at=_time(spec.get("acquireTime")),
            renewed_at=_time(spec.get("renewTime")),
        )


def _spec(record: LeaseRecord) -> Json:
    return {
        "holderIdentity": record.holder,
        "leaseDurationSeconds": record.lease_seconds,
        "leaseTransitions": record.transitions,
        "acquireTime": _text(record.acquired_at),
        "renewTime": _text(record.renewed_at),
    }


def _time(text: str | None) -> datetime | None:
    return datetime.fromisoformat(text) if text else None


def _text(time: datetime | None) -> str | None:
    return time.astimezone(UTC).isoformat(timespec="microseconds") if time else None
