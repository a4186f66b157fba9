"""Whether all files name the same version. Pure."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass

_VERSION = r"([0-9]+\.[0-9]+\.[0-9]+(?:[.-]?(?:dev|rc|a|b)[0-9]*)?)"
_MENTIONS = [
    re.compile(pattern + _VERSION)
    for pattern in (r"\breplay-operator[:-]", r"\b(?:newTag|targetRevision): \"?v?")
]
_OF_CHART = re.compile(rf"^(?:version|appVersion): \"?{_VERSION}", re.MULTILINE)
_IN_CODE = re.compile(r"^__version__ = \"([^\"]+)\"$", re.MULTILINE)


class NoVersionError(ValueError):
    """The package does not say its version."""


@dataclass(frozen=True, slots=True)
class Mention:
    """A place that names a version of ours."""

    file: str
    version: str


def version_of(init_text: str) -> str:
    """Give the version of the package.

    Args:
        init_text: Its `__init__.py`.

    Raises:
        NoVersionError: It does not say one.
    """
    found = _IN_CODE.search(init_text)
    if found is None:
        raise NoVersionError('operator/replay_operator/__init__.py has no line `__version__ = "..."`')
    return found[1]


def mentions(texts: Mapping[str, str]) -> Iterator[Mention]:
    """Give each place that names a version of the image, the chart or the tag in Git.

    Args:
        texts: Content of the files by name.
    """
    for name, text in texts.items():
        patterns = [*_MENTIONS, _OF_CHART] if name.endswith("Chart.yaml") else _MENTIONS
        for pattern in patterns:
            yield from (Mention(name, found[1]) for found in pattern.finditer(text))


def complaints(version: str, named: list[Mention], changelog: str) -> list[str]:
    """Say what does not fit to a release of this version.

    Args:
        version: Of the package.
        named: What the other files name.
        changelog: CHANGELOG.md.
    """
    found = []
    heading = rf"^## \[{re.escape(version)}\] - [0-9]{{4}}-[0-9]{{2}}-[0-9]{{2}}$"
    if not re.fullmatch(r"[0-9]+\.[0-9]+\.[0-9]+", version):
        found.append(f"the package is {version}, no release: see operator/replay_operator/__init__.py")
    found += [
        f"{mention.file} names {mention.version}, the package is {version}"
        for mention in named
        if mention.version != version
    ]
    if not re.search(heading, changelog, re.MULTILINE):
        found.append(f"CHANGELOG.md has no heading `## [{version}] - <date>`")
    return found
