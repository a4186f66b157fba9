"""The base of every model that crosses a process border."""

from __future__ import annotations

from typing import Any

from pydantic import BaseModel, ConfigDict
from pydantic.alias_generators import to_camel

GROUP = "replaybuffer.dev"
VERSION = "v1alpha1"
API_VERSION = f"{GROUP}/{VERSION}"


class ApiModel(BaseModel):
    """Frozen, camelCase on the wire, and tolerant of fields that a newer version added."""

    model_config = ConfigDict(
        frozen=True, alias_generator=to_camel, populate_by_name=True, extra="ignore", use_enum_values=False
    )

    def to_wire(self) -> dict[str, Any]:
        """Give the JSON form: camelCase names, absent fields left out."""
        return self.model_dump(mode="json", by_alias=True, exclude_none=True)


def cel(rule: str, message: str, **extra: str) -> dict[str, str]:
    """Make one `x-kubernetes-validations` entry.

    Args:
        rule: The CEL expression that must hold.
        message: What the author of a refused object reads; it says what to do.
        extra: Further keys of the entry, such as `fieldPath` or `reason`.
    """
    return {"rule": rule, "message": message, **extra}


def validations(*rules: dict[str, str]) -> dict[str, Any]:
    """Make the `json_schema_extra` that carries CEL rules to the CRD generator."""
    return {"x-kubernetes-validations": list(rules)}
