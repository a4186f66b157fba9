"""The description of an API as a page for people: no scripts, nothing from elsewhere."""

from __future__ import annotations

from collections.abc import Iterator
from html import escape
from typing import Any

_STYLE = (
    "body{font:16px/1.5 system-ui,sans-serif;max-width:60rem;margin:2rem auto;padding:0 1rem}"
    "table{border-collapse:collapse;width:100%}code{font-family:ui-monospace,monospace}"
    "td,th{border:1px solid #bbb;padding:.3rem .6rem;text-align:left;vertical-align:top}"
)
_ABOUT = (
    "<p>Each request carries <code>Authorization: Bearer TOKEN</code>. For programs: "
    '<a href="/openapi.json">openapi.json</a> (OpenAPI 3.1).</p>'
)


def html_page(document: dict[str, Any]) -> str:
    """Give the page.

    Args:
        document: The OpenAPI document.
    """
    info = document["info"]
    return "\n".join(
        [
            "<!doctype html>",
            f'<html lang="en"><meta charset="utf-8"><title>{escape(info["title"])}</title>',
            f"<style>{_STYLE}</style>",
            f"<h1>{escape(info['title'])} {escape(info['version'])}</h1>",
            f"<p>{escape(info['summary'])}</p>",
            _ABOUT,
            *_paths(document["paths"]),
            *_schemas(document["components"]["schemas"]),
            "</html>",
        ]
    )


def _paths(paths: dict[str, Any]) -> Iterator[str]:
    for path, item in paths.items():
        ((method, operation),) = item.items()
        heading = f"{method.upper()} {escape(path)}"
        yield f"<h2><code>{heading}</code></h2><p>{escape(operation['summary'])}.</p>"
        yield from _table(
            ("parameter", "what it is", ""),
            [
                (given["name"], _kind(given["schema"]), given.get("description", ""))
                for given in operation["parameters"]
            ],
        )
        if "requestBody" in operation:
            (content,) = operation["requestBody"]["content"].values()
            yield f"<p>It is sent as JSON: {_kind(content['schema'])}.</p>"
        yield from _table(
            ("answer", "what it is", ""),
            [
                (status, _kind(next(iter(answer["content"].values()))["schema"]), answer["description"])
                for status, answer in operation["responses"].items()
            ],
        )


def _schemas(schemas: dict[str, Any]) -> Iterator[str]:
    for name, schema in sorted(schemas.items()):
        yield f'<h2 id="{escape(name)}">{escape(name)}</h2><p>{escape(schema.get("description", ""))}</p>'
        if "enum" in schema:
            yield f"<p>{escape(', '.join(schema['enum']))}</p>"
        fields = schema.get("properties", {})
        if fields:
            yield from _table(
                ("field", "what it is", ""),
                [(field, _kind(kind), kind.get("description", "")) for field, kind in fields.items()],
            )


def _table(head: tuple[str, ...], rows: list[tuple[str, str, str]]) -> Iterator[str]:
    yield f"<table><tr>{''.join(f'<th>{cell}</th>' for cell in head)}</tr>"
    for name, kind, description in rows:
        yield f"<tr><td><code>{escape(name)}</code></td><td>{kind}</td><td>{escape(description)}</td></tr>"
    yield "</table>"


def _kind(schema: dict[str, Any]) -> str:
    """Say in a few words what a value is; HTML, with a link where the type has a section."""
    if "$ref" in schema:
        name = escape(schema["$ref"].rpartition("/")[2])
        return f'<a href="#{name}">{name}</a>'
    if "anyOf" in schema:
        return " or ".join(_kind(one) for one in schema["anyOf"])
    if "enum" in schema:
        return escape(" or ".join(map(str, schema["enum"])))
    if "items" in schema:
        return f"list of {_kind(schema['items'])}"
    bounds = [
        f"{word} {schema[key]}" for key, word in (("minimum", "from"), ("maximum", "to")) if key in schema
    ]
    return escape(" ".join([str(schema.get("format", schema.get("type", "object"))), *bounds]))
