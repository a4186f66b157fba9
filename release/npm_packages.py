"""What npm fetches into the image: its lock, as the bill of materials has it. Pure."""

from __future__ import annotations

import base64
import json
from dataclasses import dataclass
from typing import Any
from urllib.parse import quote

_MODULES = "node_modules/"
_ALGORITHM = "sha512-"


@dataclass(frozen=True, slots=True)
class NpmPackage:
    """A package of the lock. `licence` is empty where the lock does not tell it."""

    name: str
    version: str
    licence: str
    sha512: str


def npm_packages(lock: str) -> list[NpmPackage]:
    """Give the packages of a lock.

    Args:
        lock: A `package-lock.json` of npm 7 or newer, in which each package has a SHA-512.

    Raises:
        ValueError: A package has no SHA-512, so that nobody knows what is fetched.
    """
    found: dict[str, dict[str, Any]] = json.loads(lock)["packages"]
    return [_package(path.rpartition(_MODULES)[2], told) for path, told in found.items() if _MODULES in path]


def _package(name: str, told: dict[str, Any]) -> NpmPackage:
    integrity = told.get("integrity", "")
    if not integrity.startswith(_ALGORITHM):
        raise ValueError(f"{name} has no SHA-512 in the lock")
    digest = base64.b64decode(integrity.removeprefix(_ALGORITHM), validate=True)
    return NpmPackage(name, told["version"], told.get("license", ""), digest.hex())


def with_packages(bill: str, packages: list[NpmPackage]) -> str:
    """Give a bill of materials with more packages in it.

    Args:
        bill: CycloneDX, as JSON.
        packages: What is added, in this order.
    """
    whole = json.loads(bill)
    components = [_component(package) for package in packages]
    whole["components"] += components
    whole["dependencies"] += [{"ref": component["bom-ref"]} for component in components]
    return json.dumps(whole, indent=2) + "\n"


def _component(package: NpmPackage) -> dict[str, Any]:
    url = f"pkg:npm/{quote(package.name)}@{package.version}"
    told: dict[str, Any] = {
        "bom-ref": url,
        "hashes": [{"alg": "SHA-512", "content": package.sha512}],
        "name": package.name,
        "purl": url,
        "type": "library",
        "version": package.version,
    }
    if package.licence:
        told["licenses"] = [{"acknowledgement": "declared", "expression": package.licence}]
    return told
