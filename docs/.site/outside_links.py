"""Lets pages link to files of the repository that are no pages of the site.

On a Git host such a link leads to the file. On the site there is no such file: with `repo_url` in mkdocs.yml
it leads to the repository, without one only its words stay. A link to a file that does not exist stays as it
is, so that `--strict` finds it.
"""

from __future__ import annotations

import posixpath
import re
from pathlib import Path
from typing import Protocol

ROOT = Path(__file__).parents[2]
_LINK = re.compile(r"\[([^\]\[]+)\]\((?!https?:|mailto:|#)([^)#\s]+)(#[^)\s]*)?\)")


class Page(Protocol):
    """What MkDocs tells of a page."""

    file: File


class File(Protocol):
    """The file of a page; `src_uri` is its path below docs/."""

    src_uri: str


def on_page_markdown(markdown: str, *, page: Page, config: dict[str, str | None], **_: object) -> str:
    """Called by MkDocs for each page before it is rendered."""
    folder = posixpath.join("docs", posixpath.dirname(page.file.src_uri))
    repository = config["repo_url"]

    def elsewhere(link: re.Match[str]) -> str:
        target = posixpath.normpath(posixpath.join(folder, link[2]))
        inside = target.startswith("docs/") and not (ROOT / target).is_dir()
        if inside or not (ROOT / target).exists():
            return link[0]
        return f"[{link[1]}]({repository.rstrip('/')}/tree/HEAD/{target})" if repository else link[1]

    return _LINK.sub(elsewhere, markdown)
