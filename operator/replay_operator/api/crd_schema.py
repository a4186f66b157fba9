"""From a pydantic model to the structural schema that the API server takes.

Pydantic's own JSON schema uses `$ref`, `anyOf [X, null]` and `title`, which a structural schema may not have.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

from replay_operator.api.crd_pattern import PATTERN_MESSAGE
from replay_operator.api.model import ApiModel, cel

Schema = dict[str, Any]

_KEYWORDS = (
    "description",
    "type",
    "format",
    "enum",
    "default",
    "minimum",
    "maximum",
    "minLength",
    "maxLength",
    "pattern",
    "maxItems",
    "x-kubernetes-list-type",
    "x-kubernetes-list-map-keys",
    "x-kubernetes-validations",
    "required",
    "properties",
    "items",
)
"""What a schema of ours may hold, in the order in which it is written."""

_NOT_WRITTEN = {"title", PATTERN_MESSAGE}
_TYPES = {"object", "array", "string", "integer", "boolean"}
_INT32_MAX = 2**31 - 1


class UnsupportedSchemaError(ValueError):
    """A model says something that a structural schema, or the API conventions, cannot hold."""


def structural_schema(model: type[ApiModel]) -> Schema:
    """Give the structural OpenAPI v3 schema of a model, with camelCase names.

    Defaults are kept for scalars only. A default object would be stored, and what its author applies later is
    merged with it: `encoding: {advanced: ...}` beside the defaulted `encoding.preset` is refused as two,
    although the author named one (measured with client-side and server-side apply, API server 1.35).
    The model fills such a default when it reads the object.

    Args:
        model: The model of an object, such as the spec.

    Raises:
        UnsupportedSchemaError: A field has a type or a constraint that has no structural form.
    """
    schema = model.model_json_schema(by_alias=True, mode="validation")
    return _converted(schema, schema.get("$defs", {}), model.__name__)


def without_defaults(schema: Schema) -> Schema:
    """Give a schema without defaults: in a status, what nobody observed stays absent."""
    return _with_children({key: value for key, value in schema.items() if key != "default"}, without_defaults)


def with_figures_told(schema: Schema) -> Schema:
    """Give a schema whose descriptions end with range and default: `kubectl explain` shows neither itself."""
    told = []
    if "minimum" in schema and "maximum" in schema:
        told.append(f"From {schema['minimum']} to {schema['maximum']}.")
    if "default" in schema:
        default = schema["default"]
        told.append(f"Default: {str(default).lower() if isinstance(default, bool) else default}.")
    described = schema | {"description": " ".join([schema["description"], *told])} if told else schema
    return _with_children(described, with_figures_told)


def _with_children(schema: Schema, change: Callable[[Schema], Schema]) -> Schema:
    changed = dict(schema)
    if "properties" in schema:
        changed["properties"] = {name: change(field) for name, field in schema["properties"].items()}
    if "items" in schema:
        changed["items"] = change(schema["items"])
    return changed


def _converted(node: Schema, definitions: Mapping[str, Schema], path: str) -> Schema:
    plain = _resolved({key: value for key, value in node.items() if key != "$defs"}, definitions, path)
    _refuse_unsupported(plain, path)
    if "description" in plain:
        plain["description"] = " ".join(plain["description"].split())
    if isinstance(plain.get("default"), dict | list | None):
        plain.pop("default", None)
    if plain["type"] == "integer":
        plain["format"] = "int32" if plain.get("maximum", _INT32_MAX + 1) <= _INT32_MAX else "int64"
    if PATTERN_MESSAGE in plain:
        plain = _with_explained_pattern(plain, path)
    if "properties" in plain:
        plain["properties"] = {
            name: _converted(field, definitions, f"{path}.{name}")
            for name, field in plain["properties"].items()
        }
    if "items" in plain:
        plain["items"] = _converted(plain["items"], definitions, f"{path}[]")
    return {key: plain[key] for key in _KEYWORDS if key in plain}


def _resolved(node: Schema, definitions: Mapping[str, Schema], path: str) -> Schema:
    """Inline `$ref` and unwrap `X | None`. A field's own words win over those of its type."""
    if "$ref" in node:
        name = node["$ref"].removeprefix("#/$defs/")
        return _resolved(_beside(definitions[name], node, "$ref"), definitions, path)
    if "anyOf" in node:
        types = [branch for branch in node["anyOf"] if branch != {"type": "null"}]
        if len(types) != 1:
            raise UnsupportedSchemaError(f"{path}: a field has one type; give each alternative its own field")
        return _resolved(_beside(types[0], node, "anyOf"), definitions, path)
    return dict(node)


def _beside(base: Schema, node: Schema, keyword: str) -> Schema:
    merged = base | {key: value for key, value in node.items() if key != keyword}
    rules = "x-kubernetes-validations"
    if rules in base and rules in node:
        merged[rules] = [*base[rules], *node[rules]]
    return merged


def _refuse_unsupported(node: Schema, path: str) -> None:
    if node.get("type") not in _TYPES:
        raise UnsupportedSchemaError(
            f"{path}: type {node.get('type')!r} is not allowed; use one of {', '.join(sorted(_TYPES))}"
        )
    unknown = node.keys() - set(_KEYWORDS) - _NOT_WRITTEN
    if unknown:
        raise UnsupportedSchemaError(
            f"{path}: {', '.join(sorted(unknown))} has no structural form; say it with a CEL rule"
        )


def _with_explained_pattern(node: Schema, path: str) -> Schema:
    pattern: str = node["pattern"]
    if "'" in pattern or "\\" in pattern:
        raise UnsupportedSchemaError(f"{path}: a pattern with a message may hold neither ' nor a backslash")
    rule = cel(f"self.matches('{pattern}')", node[PATTERN_MESSAGE])
    explained = {key: value for key, value in node.items() if key != "pattern"}
    return explained | {"x-kubernetes-validations": [*node.get("x-kubernetes-validations", []), rule]}
