"""What is published beside the image: packages that come out the same, and the bill of materials."""

import hashlib
import json
import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
SOURCES = ("operator", "crds", "pyproject.toml", "README.md", "CHANGELOG.md", "LICENSE")
CYCLONEDX = ROOT / ".venv-docs" / "bin" / "cyclonedx-py"
LOCKED = re.compile(r"^([a-z0-9][a-z0-9._-]*)==(\S+)", re.MULTILINE)


def built(directory: Path, *, modified_at: int, mask: int) -> dict[str, str]:
    """Build wheel and sdist from a copy of the sources; give their digests."""
    for name in SOURCES:
        copy = shutil.copytree if (ROOT / name).is_dir() else shutil.copy
        copy(ROOT / name, directory / name)
    for path in directory.rglob("*"):
        os.utime(path, (modified_at, modified_at))
    subprocess.run(
        [sys.executable, "-m", "hatchling", "build", "-d", "dist"],
        cwd=directory,
        env={**os.environ, "SOURCE_DATE_EPOCH": "1767225600"},
        umask=mask,
        check=True,
        capture_output=True,
        timeout=120,
    )
    files = (directory / "dist").iterdir()
    return {path.name: hashlib.sha256(path.read_bytes()).hexdigest() for path in files}


def test_two_builds_at_two_times_in_two_places_are_the_same_bytes(tmp_path: Path) -> None:
    first, second = tmp_path / "first", tmp_path / "in" / "another" / "place"
    for place in (first, second):
        place.mkdir(parents=True)
    packages = built(first, modified_at=1_700_000_000, mask=0o022)
    assert {Path(name).suffix for name in packages} == {".whl", ".gz"}
    assert built(second, modified_at=1_800_000_000, mask=0o077) == packages


def test_the_bill_of_materials_names_what_the_lock_installs(tmp_path: Path) -> None:
    if not CYCLONEDX.exists():
        pytest.skip("cyclonedx-py is not there: make sbom installs it into .venv-docs")
    command = ["make", "--old-file=.venv-docs/.stamp", "sbom", f"DIST={tmp_path}"]
    first = subprocess.run(command, cwd=ROOT, check=False, capture_output=True, text=True, timeout=120)
    assert first.returncode == 0, first.stderr
    written = (tmp_path / "replay-operator.cdx.json").read_text()
    bill = json.loads(written)
    assert (bill["bomFormat"], bill["specVersion"]) == ("CycloneDX", "1.6")
    assert bill["metadata"]["component"]["name"] == "replay-operator"
    named = {(part["name"], part["version"]) for part in bill["components"]}
    player = json.loads((ROOT / "operator" / "player" / "package.json").read_text())["dependencies"]
    locked = set(LOCKED.findall((ROOT / "requirements" / "runtime.lock").read_text()))
    assert named == locked | set(player.items())
    for part in bill["components"]:
        assert any(it.get("hashes") for it in (part, *part.get("externalReferences", ()))), part["name"]


def test_digests_of_bases_are_written_down_in_the_one_place_that_is_renewed() -> None:
    digest = re.compile(r"sha256:[0-9a-f]{12}")
    assert len(digest.findall((ROOT / "operator" / "Dockerfile").read_text())) == len(("python", "node"))
    pages = [page for page in (ROOT / "docs").rglob("*.md") if digest.search(page.read_text())]
    assert pages == []
