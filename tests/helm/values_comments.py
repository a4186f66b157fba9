"""values.yaml with its comments: the one list that the chart's schema and README are made from.

`# -- text` before a key says what the value is; the comment lines after it belong to it. `# @schema {...}`
among them holds words of JSON Schema that the default value does not say.
"""

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import yaml

_INDENT = 2
_KEY = re.compile(r"^(?P<indent> *)(?P<key>[A-Za-z]\w*):(?: |$)")
_COMMENT = re.compile(r"^ *# ?(?P<text>.*)$")


@dataclass(frozen=True, slots=True)
class Value:
    """One value that a user may set. `words` are further words of JSON Schema."""

    path: tuple[str, ...]
    default: Any
    text: str
    words: Mapping[str, Any] = field(default_factory=dict)


class UncommentedValue(ValueError):
    """A value without a comment."""


def read_values(file: Path) -> tuple[Value, ...]:
    """Read all values in their order.

    A key with a comment is a value, whatever is below it; one without must have keys below it.

    Args:
        file: values.yaml.

    Raises:
        UncommentedValue: A key has neither.
    """
    text = file.read_text()
    return tuple(_values(yaml.safe_load(text), dict(_comments(text.splitlines())), ()))


def _comments(lines: list[str]) -> Iterator[tuple[tuple[str, ...], list[str]]]:
    """Give the comment of each commented key, by its path."""
    path: list[str] = []
    block: list[str] = []
    for line in lines:
        if comment := _COMMENT.match(line):
            said = comment["text"]
            block = [said] if said.startswith("-- ") else [*block, said]
            continue
        if key := _KEY.match(line):
            path = [*path[: len(key["indent"]) // _INDENT], key["key"]]
            if block and block[0].startswith("-- "):
                yield tuple(path), block
        block = []


def _values(
    tree: Mapping[str, Any], comments: Mapping[tuple[str, ...], list[str]], above: tuple[str, ...]
) -> Iterator[Value]:
    for key, default in tree.items():
        path = (*above, key)
        if said := comments.get(path):
            words = [line for line in said if line.startswith("@schema ")]
            text = " ".join(line for line in said if line not in words).removeprefix("-- ")
            more = yaml.safe_load(words[0].removeprefix("@schema ")) if words else {}
            yield Value(path, default, text, more)
        elif isinstance(default, dict) and default:
            yield from _values(default, comments, path)
        else:
            raise UncommentedValue(f"values.yaml: {'.'.join(path)} has no comment that begins with `# -- `")
