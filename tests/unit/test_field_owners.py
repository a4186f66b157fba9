"""Who declares a field, from what the API server notes and from what an apply notes itself."""

from __future__ import annotations

import json
from typing import Any

import pytest

from replay_operator.cluster.field_owners import LAST_APPLIED, declared_by_another

Json = dict[str, Any]

FLOOR = {"f:spec": {"f:minReplicas": {}}}


def noted(manager: str, operation: str, fields: Json) -> Json:
    return {"metadata": {"managedFields": [{"manager": manager, "operation": operation, "fieldsV1": fields}]}}


def last_applied(body: str) -> Json:
    return {"metadata": {"annotations": {LAST_APPLIED: body}}}


@pytest.mark.parametrize(
    ("body", "owner"),
    [
        ({}, None),
        (noted("git", "Apply", FLOOR), "git"),
        (noted("replay-operator", "Apply", FLOOR), None),
        (noted("kubectl-create", "Update", FLOOR), None),
        (noted("git", "Apply", {"f:spec": {"f:maxReplicas": {}}}), None),
        (noted("git", "Apply", {"f:spec": {}}), None),
        (last_applied(json.dumps({"spec": {"minReplicas": 5}})), "kubectl apply"),
        (last_applied(json.dumps({"spec": {"maxReplicas": 5}})), None),
        (last_applied("not JSON"), None),
    ],
)
def test_only_who_declares_a_field_owns_it(body: Json, owner: str | None) -> None:
    assert declared_by_another(body, "spec", "minReplicas") == owner
