"""Whether the licences of what the image installs are known and accepted. Pure."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass

ACCEPTED = frozenset(
    {
        # As SPDX has them, and as older packages write them.
        *("MIT", "MIT License"),
        *("Apache-2.0", "Apache Software License"),
        *("BSD-2-Clause", "BSD-3-Clause", "3-Clause BSD License", "BSD License"),
        *("PSF-2.0", "Python Software Foundation License"),
        *("ISC", "ISC License (ISCL)", "0BSD", "Unlicense"),
        # Weak: what is changed in the package's own files must be given on. Nothing is.
        *("MPL-2.0", "Mozilla Public License 2.0 (MPL 2.0)"),
    }
)
"""None of them asks anything of the code beside it. Another is for somebody to read, and to add here."""

_LOCKED = re.compile(r"^([A-Za-z0-9][A-Za-z0-9._-]*)==\S+( ;)?", re.MULTILINE)


@dataclass(frozen=True, slots=True)
class Locked:
    """A package of the lock. `conditional`: only some Pythons or systems install it."""

    name: str
    conditional: bool


def locked_packages(lock: str) -> list[Locked]:
    """Give the packages of a lock, under their normalised names.

    Args:
        lock: `requirements/runtime.lock`.
    """
    return [Locked(normalised(found[1]), bool(found[2])) for found in _LOCKED.finditer(lock)]


def normalised(name: str) -> str:
    """Write a package's name as the registry compares it.

    Args:
        name: As somebody wrote it.
    """
    return re.sub(r"[-_.]+", "-", name).lower()


def is_accepted(licence: str) -> bool:
    """Say whether a licence is on the list; of several that hold together each must be.

    Args:
        licence: An SPDX expression without parentheses, or the words of a classifier, several with `;`.
    """
    return any(
        all(part.strip() in ACCEPTED for part in re.split(r";| AND ", choice))
        for choice in licence.split(" OR ")
    )


def complaints(locked: Iterable[Locked], found: Mapping[str, str]) -> list[str]:
    """Say which packages may not be given on, or not without somebody's look.

    Args:
        locked: What the image installs.
        found: Licence by normalised name, of what is installed here.
    """
    said = []
    for package in locked:
        licence = found.get(package.name)
        if licence is None and not package.conditional:
            said.append(f"{package.name} is not installed here, so nobody looked at its licence: make setup")
        elif licence is not None and not is_accepted(licence):
            said.append(f"{package.name}: {licence!r} is not on the list in release/licences.py")
    return said
