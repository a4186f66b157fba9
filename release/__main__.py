"""Builds all that a release has into dist/, looks at it, and says of each part whether it is right."""

from __future__ import annotations

import hashlib
import json
import os
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Callable
from pathlib import Path

from release import bases, licences, versions
from release.archive import with_times
from release.npm_packages import NpmPackage, npm_packages
from tests.testbed.binaries import helm_binary

ROOT = Path(__file__).parents[1]
NAMING = ("README.md", "docs", "manifests", "helm", "operator/Dockerfile")
"""Where users read which version to install."""


class WrongError(Exception):
    """A part is not right; the sentence says what to do."""


class LeftOutError(Exception):
    """A part cannot be made here; the sentence says why."""


def run(*command: str | Path, **environment: str) -> str:
    """Run a command in the repository and give what it prints.

    Args:
        command: The program and its arguments.
        environment: Variables beside those that there are.

    Raises:
        WrongError: It failed.
    """
    done = subprocess.run(
        command,
        cwd=ROOT,
        env={**os.environ, **environment},
        check=False,
        capture_output=True,
        text=True,
        stdin=subprocess.DEVNULL,
    )
    if done.returncode != 0:
        raise WrongError(f"`{' '.join(map(str, command))}` failed:\n{done.stdout}{done.stderr}")
    return done.stdout


def check_versions(version: str) -> str:
    """Look whether all files name this version."""
    names = run("git", "ls-files", *NAMING).split()
    named = list(versions.mentions({name: (ROOT / name).read_text(errors="replace") for name in names}))
    wrong = versions.complaints(version, named, (ROOT / "CHANGELOG.md").read_text())
    if wrong:
        raise WrongError("\n".join(wrong))
    return f"{version} in {len(named)} places and in the changelog"


def build_packages(dist: Path, epoch: int) -> str:
    """Build wheel and sdist twice, and look whether they are the same bytes."""
    told = {"SOURCE_DATE_EPOCH": str(epoch)}
    hatchling = Path(sys.executable).with_name("hatchling")
    run(hatchling, "build", "-d", dist, **told)
    with tempfile.TemporaryDirectory() as second:
        run(hatchling, "build", "-d", second, **told)
        for again in Path(second).iterdir():
            if again.read_bytes() != (dist / again.name).read_bytes():
                raise WrongError(f"{again.name} is not the same when it is built again")
        return ", ".join(sorted(again.name for again in Path(second).iterdir()))


def build_chart(dist: Path, epoch: int) -> str:
    """Package the chart, with the time of the commit in it."""
    helm = helm_binary()
    run(helm, "lint", "helm/replay-operator")
    with tempfile.TemporaryDirectory() as made:
        run(helm, "package", "helm/replay-operator", "--destination", made)
        (package,) = Path(made).glob("*.tgz")
        (dist / package.name).write_bytes(with_times(package.read_bytes(), epoch))
    run(helm, "show", "chart", dist / package.name)
    return package.name


def build_bill(dist: Path) -> str:
    """Write the bill of materials, and look whether it is all that the lock installs."""
    run("make", "sbom", f"DIST={dist}")
    bill = json.loads((dist / "replay-operator.cdx.json").read_text())
    listed = {licences.normalised(part["name"]) for part in bill["components"]}
    lock = (ROOT / "requirements" / "runtime.lock").read_text()
    locked = {package.name for package in licences.locked_packages(lock)}
    missing = (locked | {licences.normalised(package.name) for package in player_packages()}) ^ listed
    if missing:
        raise WrongError(f"the bill of materials and the locks differ in {', '.join(sorted(missing))}")
    return f"replay-operator.cdx.json, {len(listed)} packages"


def player_packages() -> list[NpmPackage]:
    """Give what npm fetches into the image."""
    return npm_packages((ROOT / "operator" / "player" / "package-lock.json").read_text())


def check_licences() -> str:
    """Look at the licence of each package that the image installs."""
    locked = licences.locked_packages((ROOT / "requirements" / "runtime.lock").read_text())
    tool = ROOT / ".venv-docs" / "bin" / "pip-licenses"
    told = run(tool, "--python", sys.executable, "--with-system", "--from=mixed", "--format=json")
    found = {licences.normalised(entry["Name"]): entry["License"] for entry in json.loads(told)}
    player = player_packages()
    wrong = [
        *licences.complaints(locked, found),
        *licences.complaints(
            [licences.Locked(package.name, conditional=False) for package in player],
            {package.name: package.licence for package in player},
        ),
    ]
    if wrong:
        raise WrongError("\n".join(wrong))
    elsewhere = [package.name for package in locked if package.name not in found]
    only = f"; only for other Pythons, not looked at: {', '.join(elsewhere)}" if elsewhere else ""
    return f"{len(locked) - len(elsewhere)} packages, and {len(player)} by npm, all accepted{only}"


def pinned_bases() -> dict[str, str]:
    """Give the base images of this release, by the argument of the build that names them."""
    defaults = bases.bases_of((ROOT / "operator" / "Dockerfile").read_text())
    wrong = bases.complaints(defaults, os.environ)
    if wrong:
        raise WrongError("\n".join(wrong))
    return {argument: os.environ.get(argument) or default for argument, default in defaults.items()}


def build_image(version: str, epoch: int) -> str:
    """Build the image, on bases that cannot move and with the time of the commit."""
    arguments = pinned_bases() | {"SOURCE_DATE_EPOCH": str(epoch)}
    if shutil.which("docker") is None:
        raise LeftOutError("there is no docker here")
    try:
        run("docker", "info")
    except WrongError as error:
        raise LeftOutError("no Docker daemon answers here") from error
    tag = f"replay-operator:{version}"
    told = [f"--build-arg={name}={value}" for name, value in arguments.items()]
    run("docker", "build", "--file", "operator/Dockerfile", "--tag", tag, *told, ".")
    run("docker", "run", "--rm", tag, "--help")
    return tag


def check_tree() -> str:
    """Look whether what is built is what is committed."""
    changed = run("git", "status", "--porcelain").strip()
    if changed:
        raise WrongError(f"not committed:\n{changed}")
    return run("git", "log", "-1", "--format=%h %s").strip()


def write_digests(dist: Path) -> str:
    """Write the digests of all that was built."""
    files = sorted(path for path in dist.iterdir() if path.name != "SHA256SUMS")
    lines = [f"{hashlib.sha256(path.read_bytes()).hexdigest()}  {path.name}\n" for path in files]
    (dist / "SHA256SUMS").write_text("".join(lines))
    return f"SHA256SUMS of {len(files)} files"


def main() -> int:
    """Do each part, whether or not the others were right; 1 when one is wrong."""
    dist = ROOT / "dist"
    shutil.rmtree(dist, ignore_errors=True)
    dist.mkdir()
    version = versions.version_of((ROOT / "operator" / "replay_operator" / "__init__.py").read_text())
    epoch = int(run("git", "log", "-1", "--format=%ct"))
    parts: dict[str, Callable[[], str]] = {
        "tree": check_tree,
        "versions": lambda: check_versions(version),
        "licences": check_licences,
        "packages": lambda: build_packages(dist, epoch),
        "chart": lambda: build_chart(dist, epoch),
        "bill": lambda: build_bill(dist),
        "bases": lambda: ", ".join(pinned_bases().values()),
        "image": lambda: build_image(version, epoch),
        "digests": lambda: write_digests(dist),
    }
    wrong = 0
    for name, part in parts.items():
        try:
            outcome, words = "ok", part()
        except LeftOutError as error:
            outcome, words = "left out", str(error)
        except WrongError as error:
            outcome, words, wrong = "WRONG", str(error), 1
        print(f"{outcome:<9} {name:<9} {words}", flush=True)  # noqa: T201 - a command's answer
    return wrong


if __name__ == "__main__":
    sys.exit(main())
