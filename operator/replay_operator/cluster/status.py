"""Writing status: only what differs, and only through the status subresource."""

from __future__ import annotations

from typing import Any

from replay_operator.api.model import ApiModel


def status_patch(resource_version: str, old: ApiModel, new: ApiModel) -> dict[str, Any] | None:
    """Build the merge patch from one status to another, or None when nothing differs.

    Args:
        resource_version: Version that was looked at. The API server refuses the patch when the object has
            changed since, or is a namesake: it ignores a uid here (measured, Kubernetes 1.35).
        old: Status as it is.
        new: Status as it shall be.
    """
    if old == new:
        return None  # the usual case, thousands of times a minute: it must not cost two translations
    before, after = old.to_wire(), new.to_wire()
    if before == after:
        return None
    changed: dict[str, Any] = {key: value for key, value in after.items() if before.get(key) != value}
    changed |= {key: None for key in before if key not in after}
    for key, value in changed.items():
        if isinstance(value, dict) and isinstance(before.get(key), dict):
            changed[key] = value | {inner: None for inner in before[key] if inner not in value}
    return {"metadata": {"resourceVersion": resource_version}, "status": changed}
