"""Who else declares a field of an object that we would write."""

from __future__ import annotations

import json
from typing import Any

from replay_operator.cluster.gateway import FIELD_MANAGER

LAST_APPLIED = "kubectl.kubernetes.io/last-applied-configuration"


def declared_by_another(body: dict[str, Any], *path: str) -> str | None:
    """Name who declares a field besides us, or None.

    A declared owner means it: Git would put its value back for ever. It declares by server-side apply, or by
    client-side apply (kubectl, Argo CD), which notes what it declares in an annotation. An `Update` owner
    alone is only the default that the API server filled in, or a person who has changed it once.

    Args:
        body: The object.
        path: Names of the fields that lead to it, such as "spec", "minReplicas".
    """
    metadata = body.get("metadata", {})
    for entry in metadata.get("managedFields", []):
        applied = entry.get("operation") == "Apply" and entry.get("manager") != FIELD_MANAGER
        if applied and _has(entry.get("fieldsV1"), [f"f:{name}" for name in path]):
            return str(entry.get("manager"))
    try:
        last_applied = json.loads(metadata.get("annotations", {}).get(LAST_APPLIED, "{}"))
    except ValueError:
        return None
    return "kubectl apply" if _has(last_applied, list(path)) else None


def _has(tree: Any, path: list[str]) -> bool:
    for name in path:
        if not isinstance(tree, dict) or name not in tree:
            return False
        tree = tree[name]
    return True
