"""Writes the CustomResourceDefinitions and their pages to files, or checks that the files are up to date.

`python -m replay_operator.cli.crds DIR [--pages DIR] [--check]`; it imports neither kopf nor
a Kubernetes client.
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Sequence
from pathlib import Path

import yaml

from replay_operator.api.crd import custom_resource_definitions
from replay_operator.api.crd_page import field_page

_FIRST_LINE = "# generated: do not edit, run make generate\n"
_FIRST_LINE_OF_A_PAGE = "<!-- generated: do not edit, run make generate -->\n\n"


def write(directory: Path, pages: Path | None = None) -> list[Path]:
    """Write one file a kind, `<plural>.yaml`, and one page a kind, `<singular>.md`.

    Args:
        directory: Where to; it is made if it does not exist.
        pages: Where the pages go; none: they are not written.

    Returns:
        The files written.

    Raises:
        OSError: A file cannot be written.
    """
    texts = _texts(directory, pages)
    for path, text in texts.items():
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text, encoding="utf-8")
    return list(texts)


def check(directory: Path, pages: Path | None = None) -> list[Path]:
    """Give the files that are missing or differ from what the models say.

    Args:
        directory: Where the files lie.
        pages: Where the pages lie; none: they are not looked at.

    Raises:
        OSError: A file is there and cannot be read.
    """
    return [
        path
        for path, text in _texts(directory, pages).items()
        if not path.exists() or path.read_text(encoding="utf-8") != text
    ]


def main(arguments: Sequence[str] | None = None) -> int:
    """Write the files, or check them with `--check`.

    Args:
        arguments: The command line without the program's name; `sys.argv` if not given.

    Returns:
        The exit code: 1 when a checked file is missing or out of date.
    """
    parser = argparse.ArgumentParser(prog="replay-operator crds", description=main.__doc__)
    parser.add_argument("directory", type=Path, help="where the CustomResourceDefinitions lie")
    parser.add_argument("--pages", type=Path, help="where the pages lie that explain each field")
    parser.add_argument("--check", action="store_true", help="write nothing, fail if a file is out of date")
    chosen = parser.parse_args(arguments)
    if not chosen.check:
        for path in write(chosen.directory, chosen.pages):
            sys.stdout.write(f"{path} written\n")
        return 0
    stale = check(chosen.directory, chosen.pages)
    for path in stale:
        sys.stderr.write(f"{path} is missing or differs from the models: run make generate\n")
    return 1 if stale else 0


def _texts(directory: Path, pages: Path | None) -> dict[Path, str]:
    texts = {}
    for definition in custom_resource_definitions():
        names = definition["spec"]["names"]
        written = yaml.safe_dump(definition, sort_keys=False, allow_unicode=True, width=110)
        texts[directory / f"{names['plural']}.yaml"] = _FIRST_LINE + written
        if pages is not None:
            texts[pages / f"{names['singular']}.md"] = _FIRST_LINE_OF_A_PAGE + field_page(definition)
    return texts


if __name__ == "__main__":
    sys.exit(main())
