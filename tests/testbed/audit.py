"""Reads the API server's audit log, so that a test can count who asked for what."""

import json
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import Any

WRITE_VERBS = frozenset({"create", "update", "patch", "delete", "deletecollection"})

_POD_NAME = "authentication.kubernetes.io/pod-name"

# Watches appear twice: when they begin to answer (ResponseStarted) and when they end. Everything else once.
POLICY = {
    "apiVersion": "audit.k8s.io/v1",
    "kind": "Policy",
    "omitStages": ["RequestReceived"],
    "rules": [{"level": "Metadata"}],
}


@dataclass(frozen=True)
class AuditRecord:
    """One request that the API server has answered."""

    verb: str
    """`get`, `list`, `watch` or one of `WRITE_VERBS`; the HTTP method for what is no resource."""
    user: str
    pod: str
    """Whose token the request carried; empty outside pods."""
    user_agent: str
    resource: str
    """Plural, such as `configmaps`. Empty for what is no resource, such as `/readyz`."""
    subresource: str
    namespace: str
    name: str
    """Empty for lists, and for objects whose name the server makes up."""
    code: int
    """The HTTP status of the answer."""
    stage_timestamp: datetime
    """When the answer was complete."""
    request_uri: str

    @property
    def is_write(self) -> bool:
        """Whether the request asked to change a stored object, with success or not."""
        return self.verb in WRITE_VERBS


def audit_log_size(path: Path) -> int:
    """How long the log is now, in bytes: the `offset` that leaves out everything so far."""
    return path.stat().st_size if path.exists() else 0


def audit_records(path: Path, *, offset: int = 0, begun: bool = False) -> Iterator[AuditRecord]:
    """Yields the completed requests in the order in which they were logged.

    The server logs a request just after answering it: call `ControlPlane.flush_audit_log` first.

    Args:
        path: the log.
        offset: where to begin, in bytes; an answer of `audit_log_size`.
        begun: also those that have only begun to be answered: watches, which end minutes later.
    """
    stages = {"ResponseComplete", "ResponseStarted"} if begun else {"ResponseComplete"}
    if not path.exists():
        return
    with path.open("rb") as log:
        log.seek(offset)
        for line in log:
            if not line.endswith(b"\n"):
                return  # the server is in the middle of writing it
            event = json.loads(line)
            if event["stage"] in stages:
                yield _record(event)


def _record(event: dict[str, Any]) -> AuditRecord:
    target = event.get("objectRef", {})
    return AuditRecord(
        verb=event["verb"],
        user=event["user"].get("username", ""),
        pod=event["user"].get("extra", {}).get(_POD_NAME, [""])[0],
        user_agent=event.get("userAgent", ""),
        resource=target.get("resource", ""),
        subresource=target.get("subresource", ""),
        namespace=target.get("namespace", ""),
        name=target.get("name", ""),
        code=event.get("responseStatus", {}).get("code", 0),
        stage_timestamp=datetime.fromisoformat(event["stageTimestamp"]),
        request_uri=event["requestURI"],
    )
