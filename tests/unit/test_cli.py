"""The command line: one program, one subcommand a process."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

from replay_operator import __version__
from replay_operator.cli.program import EXIT_CONFIGURATION, run

COMMANDS = (
    "run",
    "agent",
    "capture",
    "catalogue",
    "capture-room",
    "crds",
    "benchmark-volume",
    "plan",
    "doctor",
)


@pytest.fixture(autouse=True)
def bare_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in list(os.environ):
        if name.startswith(("REPLAY_", "LIVEKIT_", "POD_")):
            monkeypatch.delenv(name)


@pytest.mark.parametrize("command", COMMANDS)
def test_every_command_is_in_the_help(command: str, capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as ended:
        run(["--help"])
    assert ended.value.code == 0
    assert re.search(rf"^    {command}\s", capsys.readouterr().out, flags=re.MULTILINE)


@pytest.mark.parametrize("command", COMMANDS)
def test_every_command_explains_itself(command: str, capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as ended:
        run([command, "--help"])
    assert ended.value.code == 0
    assert f"replay-operator {command}" in capsys.readouterr().out


def test_the_version_is_told(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as ended:
        run(["--version"])
    assert ended.value.code == 0
    assert capsys.readouterr().out == f"replay-operator {__version__}\n"


@pytest.mark.parametrize("arguments", [[], ["recrod"], ["run", "--fast"], ["agent", "now"]])
def test_what_it_does_not_know_it_refuses(arguments: list[str], capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as ended:
        run(arguments)
    assert ended.value.code == 2
    assert "usage: replay-operator" in capsys.readouterr().err


@pytest.mark.parametrize("missing", ["POD_NAMESPACE", "capture_image"])
def test_an_operator_without_its_settings_ends_with_their_names(
    missing: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert run(["run"]) == EXIT_CONFIGURATION
    assert missing in capsys.readouterr().err


def test_an_agent_with_a_setting_that_cannot_work_ends_with_its_name(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("REPLAY_AGENT_PORT", "none")
    assert run(["agent"]) == EXIT_CONFIGURATION
    assert "port" in capsys.readouterr().err


def test_crds_writes_and_checks_the_definitions(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert run(["crds", str(tmp_path), "--check"]) == 1
    assert run(["crds", str(tmp_path)]) == 0
    assert run(["crds", str(tmp_path), "--check"]) == 0
    assert {path.name for path in tmp_path.iterdir()} == {"replaybuffers.yaml", "replaycaptures.yaml"}
    assert "run make generate" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("command", "strangers"),
    [
        ("crds", ("kubernetes", "kopf", "aiohttp", "livekit")),
        ("benchmark-volume", ("kubernetes", "kopf", "livekit")),
        ("plan", ("kubernetes", "kopf", "aiohttp", "livekit")),
        ("capture", ("kubernetes", "kopf", "livekit")),
        ("agent", ("kubernetes", "kopf", "livekit", "awscrt")),
        ("run", ("awscrt",)),
        ("upload", ("kubernetes", "kopf", "livekit", "sqlmodel")),
    ],
)
def test_a_process_does_not_load_what_it_does_not_run(command: str, strangers: tuple[str, ...]) -> None:
    """A capture Job would otherwise pay for the Kubernetes client at each start."""
    code = f"""
import sys
from replay_operator.cli.program import run
try:
    run([{command!r}, "--help"])
except SystemExit:
    pass
print(sorted(set({strangers!r}) & set(sys.modules)), file=sys.stderr)
"""
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stderr.splitlines()[-1] == "[]"
