"""Lets the nav name a folder in place of its pages.

`adr/*.md` in mkdocs.yml stands for the pages of that folder that the nav does not name, in the order of their
names. So a new decision or runbook needs no line in the nav.
"""

from __future__ import annotations

from pathlib import Path
from typing import TypeAlias

DOCS = Path(__file__).parents[1]

Nav: TypeAlias = "list[str | dict[str, str | Nav]]"


def on_config(config: dict[str, Nav]) -> None:
    """Called by MkDocs when it has read mkdocs.yml."""
    named = set(_names(config["nav"]))
    config["nav"] = _expanded(config["nav"], named)


def _names(nav: Nav) -> list[str]:
    names: list[str] = []
    for entry in nav:
        for value in [entry] if isinstance(entry, str) else entry.values():
            names += [value] if isinstance(value, str) else _names(value)
    return names


def _expanded(nav: Nav, named: set[str]) -> Nav:
    expanded: Nav = []
    for entry in nav:
        if isinstance(entry, dict):
            sections = {t: v if isinstance(v, str) else _expanded(v, named) for t, v in entry.items()}
            expanded += [{title: pages} for title, pages in sections.items() if pages]
        elif entry.endswith("*.md"):
            pages = {str(path.relative_to(DOCS)) for path in DOCS.glob(entry)}
            expanded += sorted(pages - named)
        else:
            expanded.append(entry)
    return expanded
