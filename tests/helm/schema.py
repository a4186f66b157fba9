"""values.schema.json, so that helm refuses a misspelt or impossible value before it does anything."""

import json
from collections.abc import Sequence
from typing import Any

from tests.helm.values_comments import Value

_TYPES = {str: "string", bool: "boolean", int: "integer", float: "number", list: "array", dict: "object"}


def schema_text(values: Sequence[Value]) -> str:
    """Make the schema.

    Sections know their keys and refuse others. What is passed on to Kubernetes (`resources`, `affinity`) is
    open: the API server knows it better.

    Args:
        values: All values.
    """
    root: dict[str, Any] = {
        "$schema": "http://json-schema.org/draft-07/schema#",
        "title": "Values of the chart replay-operator",
        **_section(),
    }
    # Helm puts it there when the chart is part of another one.
    root["properties"]["global"] = {"type": "object", "description": "Not used."}
    for value in values:
        section = root
        for key in value.path[:-1]:
            section = section["properties"].setdefault(key, _section())
        section["properties"][value.path[-1]] = schema_of(value)
    return json.dumps(root, indent=2) + "\n"


def _section() -> dict[str, Any]:
    return {"type": "object", "additionalProperties": False, "properties": {}}


def schema_of(value: Value) -> dict[str, Any]:
    """Make the schema of one value.

    Args:
        value: With the words of its comment.
    """
    type_ = {} if value.default is None else {"type": _TYPES[type(value.default)]}
    return {"description": value.text, **type_, **value.words}
