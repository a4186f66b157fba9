"""Whether the definitions that an API server serves can hold what this version writes."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

from replay_operator.api.crd import custom_resource_definitions
from replay_operator.api.model import GROUP, VERSION

_KIND_KEY = "x-kubernetes-group-version-kind"
_TOLD = 3
_NOT_COMPARED = ("description", "x-kubernetes-validations")
"""They change no field. The API server tells of its rules in a form of its own."""


def differences(openapi: Mapping[str, Any] | None) -> tuple[str, ...]:
    """Say what the served definitions lack, in a few sentences; none when they are as they should be.

    What they have beyond ours does no harm: an API server drops only what it does not know.

    Args:
        openapi: Answer to /openapi/v3/apis/<group>/<version>; None when the API server has none.
    """
    if openapi is None:
        return (f"{GROUP}/{VERSION} is not known",)
    served = {_kind(schema): schema for schema in openapi.get("components", {}).get("schemas", {}).values()}
    found = [sentence for ours in custom_resource_definitions() for sentence in _lacks(ours, served)]
    return (*found[:_TOLD], f"and {len(found) - _TOLD} more") if len(found) > _TOLD else tuple(found)


def _kind(schema: Mapping[str, Any]) -> str:
    kinds = schema.get(_KIND_KEY) or ()
    return str(kinds[0]["kind"]) if kinds and kinds[0].get("group") == GROUP else ""


def _lacks(ours: Mapping[str, Any], served: Mapping[str, Mapping[str, Any]]) -> Iterator[str]:
    kind = ours["spec"]["names"]["kind"]
    if kind not in served:
        yield f"{kind} is not known"
        return
    wanted = ours["spec"]["versions"][0]["schema"]["openAPIV3Schema"]["properties"]
    there = served[kind].get("properties", {})
    for part in ("spec", "status"):
        yield from _compare(wanted[part], there.get(part), f"{kind}.{part}")


def _compare(ours: Mapping[str, Any], theirs: Any, path: str) -> Iterator[str]:
    """Compare two schemas, level by level."""
    if not isinstance(theirs, Mapping):
        yield f"{path} is missing"
        return
    for key, value in ours.items():
        if key == "properties":
            for name, inner in value.items():
                yield from _compare(inner, theirs.get(key, {}).get(name), f"{path}.{name}")
        elif key in ("items", "additionalProperties") and isinstance(value, Mapping):
            yield from _compare(value, theirs.get(key), f"{path}[]")
        elif key not in _NOT_COMPARED and value != theirs.get(key):
            yield f"{path} has another {key}"
