"""Objects as kubectl writes them: tables, JSON, YAML, names."""

from __future__ import annotations

import json
from collections.abc import Sequence
from typing import Any

import yaml

from replay_operator.cluster.gateway import Json
from replay_operator.kubectl.flags import Format

_BETWEEN = "   "


def table(header: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    """Write rows under a header, each column as wide as its widest cell.

    Args:
        header: Names of the columns.
        rows: Cells; an empty one stays empty.
    """
    widths = [max(map(len, column)) for column in zip(header, *rows, strict=True)]
    lines = (_BETWEEN.join(map(str.ljust, row, widths)).rstrip() for row in (header, *rows))
    return "\n".join(lines)


def one_object(item: Json, format_: Format) -> str:
    """Write one object.

    Args:
        item: As the API server gave it.
        format_: JSON, YAML or NAME.
    """
    if format_ is Format.NAME:
        return resource_name(item)
    return _document(_shown(item), format_)


def objects(items: Sequence[Json], format_: Format) -> str:
    """Write a list of objects.

    Args:
        items: As the API server gave them.
        format_: JSON, YAML or NAME.
    """
    if format_ is Format.NAME:
        return "\n".join(map(resource_name, items))
    return _document({"apiVersion": "v1", "kind": "List", "items": list(map(_shown, items))}, format_)


def resource_name(item: Json) -> str:
    """Give kind and name, such as replaybuffer.replaybuffer.dev/alice-screen."""
    group = str(item["apiVersion"]).partition("/")[0]
    return f"{str(item['kind']).lower()}.{group}/{item['metadata']['name']}"


def _document(content: Any, format_: Format) -> str:
    if format_ is Format.JSON:
        return json.dumps(content, indent=4, ensure_ascii=False)
    return yaml.safe_dump(content, sort_keys=True, allow_unicode=True).rstrip()


def _shown(item: Json) -> Json:
    # As kubectl: who owns which field is of no use to a reader.
    metadata = {key: value for key, value in item["metadata"].items() if key != "managedFields"}
    return item | {"metadata": metadata}
