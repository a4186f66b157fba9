"""What `make release-check` finds wrong, and what it lets pass."""

from __future__ import annotations

import base64
import copy
import io
import json
import subprocess
import tarfile
from pathlib import Path

import pytest

from release import bases, licences, versions
from release.archive import with_times
from release.licences import Locked
from release.npm_packages import npm_packages, with_packages

ROOT = Path(__file__).parents[2]
CHANGELOG = "# Changelog\n\n## [1.2.3] - 2026-11-23\n"


def named(**files: str) -> list[tuple[str, str]]:
    texts = {name.replace("_", "."): text for name, text in files.items()}
    return [(mention.file, mention.version) for mention in versions.mentions(texts)]


def test_images_charts_tags_and_revisions_are_found() -> None:
    text = """
        image: replay-operator:1.2.3
        newTag: "1.2.4"
        targetRevision: v1.2.5
        helm push replay-operator-1.2.6.tgz
        image: livekit/egress:v9.9.9
    """
    assert named(a_yaml=text) == [("a.yaml", version) for version in ("1.2.3", "1.2.6", "1.2.4", "1.2.5")]
    assert named(Chart_yaml="version: 1.2.7\nappVersion: 1.2.8\n") == [
        ("Chart.yaml", "1.2.7"),
        ("Chart.yaml", "1.2.8"),
    ]


def test_a_file_that_was_forgotten_is_named() -> None:
    old = [versions.Mention("docs/install/gke.md", "1.2.2")]
    (said,) = versions.complaints("1.2.3", old, CHANGELOG)
    assert "docs/install/gke.md names 1.2.2" in said


def test_a_version_under_development_is_no_release() -> None:
    said = versions.complaints("1.2.3.dev0", [], CHANGELOG)
    assert "no release" in said[0]
    assert "no heading `## [1.2.3.dev0]" in said[1]


@pytest.mark.parametrize(
    "changelog", ["", "## [1.2.3]\n", "## [1.2.3] - soon\n", "## [11.2.3] - 2026-11-23\n"]
)
def test_a_release_has_a_dated_chapter_in_the_changelog(changelog: str) -> None:
    assert "CHANGELOG.md has no heading" in versions.complaints("1.2.3", [], changelog)[0]


def test_the_files_of_this_tree_name_one_version() -> None:
    names = subprocess.run(
        ["git", "ls-files", "README.md", "docs", "manifests", "helm", "operator/Dockerfile"],
        cwd=ROOT,
        check=True,
        capture_output=True,
        text=True,
    ).stdout.split()
    found = set(versions.mentions({name: (ROOT / name).read_text(errors="replace") for name in names}))
    assert len(found) > 10
    assert {mention.version for mention in found} == {
        versions.version_of((ROOT / "operator" / "replay_operator" / "__init__.py").read_text())
    }


@pytest.mark.parametrize(
    "licence",
    ["MIT", "Apache-2.0 AND MIT", "GPL-3.0-only OR MIT", "BSD License; MIT License", "MIT AND PSF-2.0"],
)
def test_a_licence_of_the_list_passes(licence: str) -> None:
    assert licences.is_accepted(licence)


@pytest.mark.parametrize(
    "licence",
    [
        "UNKNOWN",
        "",
        "GPL-3.0-only",
        "MIT AND GPL-3.0-only",
        "MIT License; Other",
        "(MIT OR X) AND Y",
        "MIT-0x",
    ],
)
def test_any_other_licence_is_for_somebody_to_read(licence: str) -> None:
    assert not licences.is_accepted(licence)


LOCK = """aiohttp==3.14.4 \\
    --hash=sha256:00
async-timeout==5.0.1 ; python_full_version < '3.11.3' \\
    --hash=sha256:00
Typing_Extensions==4.16.0 \\
    --hash=sha256:00
"""


def test_the_lock_says_what_the_image_installs_and_what_only_other_pythons_do() -> None:
    assert licences.locked_packages(LOCK) == [
        Locked("aiohttp", conditional=False),
        Locked("async-timeout", conditional=True),
        Locked("typing-extensions", conditional=False),
    ]


def test_a_package_that_nobody_looked_at_or_with_another_licence_is_named() -> None:
    locked = licences.locked_packages(LOCK)
    said = licences.complaints(locked, {"aiohttp": "Proprietary"})
    assert [sentence.split()[0] for sentence in said] == ["aiohttp:", "typing-extensions"]
    assert licences.complaints(locked, {"aiohttp": "MIT", "typing-extensions": "PSF-2.0"}) == []


NPM_LOCK = {
    "packages": {
        "": {"name": "player", "license": "Apache-2.0"},
        "node_modules/hls.js": {
            "version": "1.2.3",
            "integrity": "sha512-" + base64.b64encode(bytes(64)).decode(),
            "license": "Apache-2.0",
        },
    }
}
BILL = json.dumps({"components": [{"name": "aiohttp"}], "dependencies": [{"ref": "requirements-L1"}]})


def test_what_npm_fetches_is_in_the_bill_with_its_hash_and_licence() -> None:
    whole = json.loads(with_packages(BILL, npm_packages(json.dumps(NPM_LOCK))))
    assert whole["components"] == [
        {"name": "aiohttp"},
        {
            "bom-ref": "pkg:npm/hls.js@1.2.3",
            "hashes": [{"alg": "SHA-512", "content": "00" * 64}],
            "licenses": [{"acknowledgement": "declared", "expression": "Apache-2.0"}],
            "name": "hls.js",
            "purl": "pkg:npm/hls.js@1.2.3",
            "type": "library",
            "version": "1.2.3",
        },
    ]
    assert whole["dependencies"] == [{"ref": "requirements-L1"}, {"ref": "pkg:npm/hls.js@1.2.3"}]


def test_a_package_of_npm_without_a_hash_is_not_given_on() -> None:
    lock = {"packages": {"node_modules/hls.js": {"version": "1.2.3", "license": "MIT"}}}
    with pytest.raises(ValueError, match=r"hls\.js has no SHA-512"):
        npm_packages(json.dumps(lock))


def test_a_licence_that_npms_lock_does_not_tell_is_for_somebody_to_read() -> None:
    lock = copy.deepcopy(NPM_LOCK)
    del lock["packages"]["node_modules/hls.js"]["license"]
    (package,) = npm_packages(json.dumps(lock))
    locked = [Locked(package.name, conditional=False)]
    (said,) = licences.complaints(locked, {package.name: package.licence})
    assert said.startswith("hls.js: ''")


def test_the_licences_of_the_player_are_accepted() -> None:
    packages = npm_packages((ROOT / "operator" / "player" / "package-lock.json").read_text())
    assert [package.name for package in packages] == ["hls.js"]
    assert all(licences.is_accepted(package.licence) for package in packages)


def chart(seconds: int) -> bytes:
    packed = io.BytesIO()
    with tarfile.open(fileobj=packed, mode="w:gz") as archive:
        for name, content in (("chart/values.yaml", b"a: 1\n"), ("chart/Chart.yaml", b"name: chart\n")):
            member = tarfile.TarInfo(name)
            member.size, member.mtime, member.mode = len(content), seconds, 0o644
            archive.addfile(member, io.BytesIO(content))
    return packed.getvalue()


def test_a_chart_that_is_packaged_twice_is_the_same_bytes_with_the_same_files() -> None:
    first = with_times(chart(1_800_000_000), 1_700_000_000)
    assert first == with_times(chart(1_900_000_000), 1_700_000_000)
    with tarfile.open(fileobj=io.BytesIO(first)) as archive:
        assert archive.getnames() == ["chart/Chart.yaml", "chart/values.yaml"]
        content = archive.extractfile("chart/values.yaml")
        assert content is not None
        assert content.read() == b"a: 1\n"
        assert {member.mtime for member in archive.getmembers()} == {1_700_000_000}


TAGS = {"PYTHON_IMAGE": "python:3.13-slim", "NODE_IMAGE": "node:22-slim"}
PINNED = {argument: f"{tag}@sha256:{'0a' * 32}" for argument, tag in TAGS.items()}
OTHERS = {argument: f"{tag}@sha256:{'0b' * 32}" for argument, tag in TAGS.items()}


def test_the_bases_of_the_image_are_pinned() -> None:
    found = bases.bases_of((ROOT / "operator" / "Dockerfile").read_text())
    assert found.keys() == {"PYTHON_IMAGE", "NODE_IMAGE"}
    assert bases.complaints(found, {}) == []


@pytest.mark.parametrize(
    "given", [{}, OTHERS, {"PYTHON_IMAGE": ""}], ids=["defaults", "newer digests", "set to nothing"]
)
def test_bases_with_their_digests_pass(given: dict[str, str]) -> None:
    assert bases.complaints(PINNED, given) == []


@pytest.mark.parametrize(
    ("image", "words"),
    [
        ("node:22-slim", "imagetools inspect node:22-slim --format '{{.Manifest.Digest}}'"),
        ("node:22-slim", "which moves"),
        ("node:22-slim@sha256:DIGEST", "which moves"),
        ("node:22-slim@sha256:", "write node:22-slim@sha256:... into operator/Dockerfile"),
        (f"node:24-slim@sha256:{'0a' * 32}", "the Dockerfile names node:22-slim"),
        (f"node@sha256:{'0a' * 32}", "the Dockerfile names node:22-slim"),
    ],
)
def test_a_base_that_moves_or_was_never_tested_is_refused(image: str, words: str) -> None:
    (said,) = bases.complaints(PINNED, {"NODE_IMAGE": image})
    assert words in said


def test_a_dockerfile_whose_bases_move_is_refused() -> None:
    assert len(bases.complaints(TAGS, {})) == len(TAGS)
