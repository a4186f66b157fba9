"""A page of documentation for each resource definition: every field, what it takes, and which rules hold."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any

from replay_operator.api.crd_schema import Schema


def field_page(definition: dict[str, Any]) -> str:
    """Give the page of a CustomResourceDefinition as Markdown.

    Args:
        definition: One of `custom_resource_definitions`.
    """
    group, names = definition["spec"]["group"], definition["spec"]["names"]
    (version,) = definition["spec"]["versions"]
    schema = version["schema"]["openAPIV3Schema"]
    written = f"`apiVersion: {group}/{version['name']}`, `kind: {names['kind']}`, namespaced."
    asked = (
        f"Short: `kubectl get {names['shortNames'][0]}`; both kinds: `kubectl get {names['categories'][-1]}`."
    )
    explained = f"`kubectl explain {names['singular']}.spec` says the same as this page."
    parts = [
        f"# {names['kind']}, field by field",
        schema["description"],
        f"{written} {asked} {explained}",
    ]
    for part in ("spec", "status"):
        for path, node in _objects(part, schema["properties"][part]):
            parts += _section(path, node)
    parts += [
        "## What `kubectl get` shows",
        _table(
            ("column", "from", "meaning"),
            [
                (column["name"] + _wide(column), f"`{column['jsonPath']}`", column["description"])
                for column in version["additionalPrinterColumns"]
            ],
        ),
    ]
    return "\n\n".join(parts) + "\n"


def _wide(column: dict[str, Any]) -> str:
    return " (with `-o wide`)" if column.get("priority") else ""


def _objects(path: str, node: Schema) -> Iterator[tuple[str, Schema]]:
    yield path, node
    for name, field in node.get("properties", {}).items():
        inner = field.get("items", field)
        if "properties" in inner:
            yield from _objects(f"{path}.{name}{_many(field)}", inner)


def _many(field: Schema) -> str:
    return "[]" if field["type"] == "array" else ""


def _section(path: str, node: Schema) -> list[str]:
    level = "##" if "." not in path else "###"
    parts = [f"{level} `{path}`"]
    if "description" in node:
        parts.append(node["description"])
    required = node.get("required", [])
    rows = [
        (
            f"`{name}`" + (", required" if name in required else ""),
            _type(field),
            " ".join([field.get("description", ""), *_limits(field)]).strip(),
        )
        for name, field in node["properties"].items()
    ]
    parts.append(_table(("field", "type", "meaning"), rows))
    rules = [rule["message"] for rule in node.get("x-kubernetes-validations", [])]
    if rules:
        parts.append("Refused otherwise, in these words:\n\n" + "\n".join(f"- {rule}" for rule in rules))
    return parts


def _type(field: Schema) -> str:
    if field["type"] == "array":
        return f"list of {_type(field['items'])}s"
    if "enum" in field:
        return " or ".join(f"`{value}`" for value in field["enum"])
    if field.get("format") == "date-time":
        return "time (RFC 3339)"
    return str(field["type"])


def _limits(field: Schema) -> Iterator[str]:
    if "maxLength" in field:
        yield f"At most {field['maxLength']} characters."
    if "maxItems" in field:
        yield f"At most {field['maxItems']}."
    if "pattern" in field:
        yield f"Matches `{field['pattern']}`."
    if "properties" not in field:
        for rule in field.get("x-kubernetes-validations", []):
            yield f"*{rule['message']}*"


def _table(head: tuple[str, ...], rows: Sequence[tuple[str, ...]]) -> str:
    lines = [head, tuple("---" for _ in head), *rows]
    return "\n".join("| " + " | ".join(cell.replace("|", "\\|") for cell in line) + " |" for line in lines)
