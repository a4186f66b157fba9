"""Who has asked the API server for what, beside what their Role allows."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

from tests.stack.stack import Stack
from tests.testbed.audit import AuditRecord, audit_records

Use = tuple[str, str]
"""Verb and resource, such as `("patch", "replaycaptures/status")`."""


def requests_of(stack: Stack, account: str, *, offset: int = 0) -> list[AuditRecord]:
    """Give what the pods of a service account have asked for, watches that go on too.

    Args:
        stack: Its install.
        account: Its name.
        offset: An answer of `audit_log_size`: nothing before it.
    """
    stack.plane.flush_audit_log()
    user = f"system:serviceaccount:{stack.namespace}:{account}"
    records = audit_records(stack.plane.audit_log, offset=offset, begun=True)
    return [record for record in records if record.user == user]


def used(records: Iterable[AuditRecord]) -> frozenset[Use]:
    """Give what was asked of resources; discovery needs no right."""
    return frozenset(
        (record.verb, "/".join(filter(None, (record.resource, record.subresource))))
        for record in records
        if record.resource
    )


def denied(records: Iterable[AuditRecord]) -> list[AuditRecord]:
    """Give what was refused."""
    return [record for record in records if record.code in (401, 403)]


def granted(role: Mapping[str, Any]) -> frozenset[Use]:
    """Give what a Role allows."""
    return frozenset(
        (verb, name) for rule in role["rules"] for name in rule["resources"] for verb in rule["verbs"]
    )
