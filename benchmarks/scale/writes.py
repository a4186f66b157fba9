"""Counts what one user asked of the API server, from its audit log. Pure."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass, field
from datetime import datetime

from tests.testbed.audit import AuditRecord

STATUS = "replaybuffers/status"
EVENTS = "events"
LEASES = "leases"


@dataclass(frozen=True, slots=True)
class ApiUse:
    """Requests of one user. `writes` counts by resource, refused ones (HTTP 4xx, 5xx) included."""

    writes: Counter[str] = field(default_factory=Counter)
    refused: Counter[int] = field(default_factory=Counter)
    reads: int = 0
    last_status_write: datetime | None = None

    @property
    def status_writes(self) -> int:
        """Writes of a ReplayBuffer's status."""
        return self.writes[STATUS]

    @property
    def events(self) -> int:
        """Kubernetes Events posted."""
        return self.writes[EVENTS]

    @property
    def lease_writes(self) -> int:
        """Renewals of the leader's Lease: they depend on time, not on the number of buffers."""
        return self.writes[LEASES]

    @property
    def other_writes(self) -> int:
        """All the rest: claims, the autoscaler's floor."""
        return self.writes.total() - self.status_writes - self.events - self.lease_writes


def count_use(records: Iterable[AuditRecord], user: str) -> ApiUse:
    """Count what a user asked for.

    Args:
        records: The audit log, or a part of it.
        user: Name of the user.
    """
    writes: Counter[str] = Counter()
    refused: Counter[int] = Counter()
    reads = 0
    last: datetime | None = None
    for record in records:
        if record.user != user:
            continue
        if not record.is_write:
            reads += 1
            continue
        target = f"{record.resource}/{record.subresource}" if record.subresource else record.resource
        writes[target] += 1
        if record.code >= 400:
            refused[record.code] += 1
        if target == STATUS:
            last = max(last, record.stage_timestamp) if last else record.stage_timestamp
    return ApiUse(writes, refused, reads, last)
