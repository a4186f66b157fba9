"""How `make versions` finds interpreters and ffmpegs, and what it says of the outcome."""

from __future__ import annotations

from pathlib import Path

from tests.versions.__main__ import Asked, Outcome, exit_code, planned, table
from tests.versions.ffmpegs import FFMPEGS, INSTALLED, directory_of, path_with
from tests.versions.pythons import candidates, newest_first

OK = Outcome("Python 3.11", passed=True, words="900 passed (60 s)")
BAD = Outcome("ffmpeg 9", passed=False, words="1 failed")
NOT_THERE = Outcome("Python 3.14", passed=None, words="there is no Python 3.14 here")


def test_the_newest_patch_release_comes_first_and_other_names_are_left_out() -> None:
    names = ["3.13.2", "3.13.10", "3.13-dev", "3.13.1"]
    assert newest_first(names) == ["3.13.10", "3.13.2", "3.13.1"]


def test_interpreters_are_looked_for_on_the_path_and_then_in_pyenv(tmp_path: Path) -> None:
    on_path, kept = tmp_path / "bin" / "python3.13", tmp_path / ".pyenv" / "versions" / "3.13.0"
    for program in (on_path, kept / "bin" / "python"):
        program.parent.mkdir(parents=True)
        program.touch(mode=0o755)
    environment = {"PATH": str(on_path.parent), "HOME": str(tmp_path)}
    assert candidates("3.13", environment) == [on_path, kept / "bin" / "python"]
    assert candidates("3.12", environment) == []


def test_the_chosen_ffmpeg_comes_first_and_the_installed_one_needs_nothing() -> None:
    assert path_with(Path("/chosen"), "/usr/bin") == "/chosen:/usr/bin"
    assert path_with(directory_of(INSTALLED), "/usr/bin") == "/usr/bin"
    assert directory_of("/opt/ffmpeg7/bin") == Path("/opt/ffmpeg7/bin")


def test_each_packaged_ffmpeg_is_pinned_by_version_and_hash() -> None:
    for package in FFMPEGS.values():
        assert "==" in package.requirement
        assert len(bytes.fromhex(package.sha256)) == 32


def test_a_python_that_is_not_there_is_said_and_is_no_failure() -> None:
    (leg,) = planned(Asked(pythons=("3.99",)))
    assert leg.left_out == "there is no Python 3.99 here"
    assert exit_code([OK, NOT_THERE]) == 0
    assert exit_code([OK, BAD, NOT_THERE]) == 1


def test_each_outcome_has_a_line() -> None:
    assert table([OK, BAD, NOT_THERE]).splitlines() == [
        "Python 3.11  ok        900 passed (60 s)",
        "ffmpeg 9     FAILED    1 failed",
        "Python 3.14  left out  there is no Python 3.14 here",
    ]


def test_each_server_gets_a_leg_with_its_version_in_the_environment() -> None:
    legs = planned(Asked(livekits=("v1.99.0",), kubernetes=("1.99.3", "1.98.0")))
    assert [(leg.name, dict(leg.variables)) for leg in legs] == [
        ("livekit-server v1.99.0", {"LIVEKIT_SERVER_VERSION": "v1.99.0"}),
        ("Kubernetes 1.99.3", {"KUBERNETES_VERSION": "1.99.3"}),
        ("Kubernetes 1.98.0", {"KUBERNETES_VERSION": "1.98.0"}),
    ]
    assert [leg.tests for leg in planned(Asked(livekits=("v1.99.0",), tests=("tests/unit",)))] == [
        ("tests/unit",)
    ]
