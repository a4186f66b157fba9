"""The base of every model that crosses a process border."""

from __future__ import annotations

from typing import Any, TypeVar

from pydantic import BaseModel, ConfigDict
from pydantic.alias_generators import to_camel

GROUP = "replaybuffer.dev"
VERSION = "v1alpha1"
API_VERSION = f"{GROUP}/{VERSION}"


_NO_NAMES: set[str] = set()
"""Shared: pydantic copies it before it writes to it, and frozen models are not written to."""


class ApiModel(BaseModel):
    """Frozen, camelCase on the wire, and tolerant of fields that a newer version added."""

    model_config = ConfigDict(
        frozen=True, alias_generator=to_camel, populate_by_name=True, extra="ignore", use_enum_values=False
    )

    def to_wire(self) -> dict[str, Any]:
        """Give the JSON form: camelCase names, absent fields left out."""
        return self.model_dump(mode="json", by_alias=True, exclude_none=True)


M = TypeVar("M", bound=ApiModel)


def lean(model: M) -> M:
    """Let go of what pydantic keeps beside the fields, for models that are kept by the thousand.

    Each model, and each model in it, has a set of the names that were given, for `exclude_unset`. No one
    asks for that, and the sets are half of the memory of a ReplayBuffer: 5 of 11 KiB.

    Args:
        model: It is changed in place, and is equal to what it was.
    """
    object.__setattr__(model, "__pydantic_fields_set__", _NO_NAMES)
    for value in model.__dict__.values():
        if isinstance(value, ApiModel):
            lean(value)
        elif isinstance(value, tuple):
            for part in value:
                if isinstance(part, ApiModel):
                    lean(part)
    return model


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
