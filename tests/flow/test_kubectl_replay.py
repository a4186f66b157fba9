"""`kubectl replay` on the whole stack, by a user who has only the Roles of docs/kubectl-replay.md."""

from __future__ import annotations

import hashlib
import json
import os
import re
import signal
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
import yaml

from tests.flow.conftest import buffers_of_a_while
from tests.flow.test_record_and_save import wait_for_extras, wait_for_window
from tests.kubectl_plugin import Plugin
from tests.stack.images import CHECKOUT
from tests.stack.stack import Stack
from tests.testbed.binaries import ControlPlaneBinaries

WINDOW_SECONDS = 300
DOCUMENT = CHECKOUT / "docs" / "kubectl-replay.md"


def documented_roles() -> dict[str, dict[str, Any]]:
    """The Roles of the document, by name."""
    blocks = re.findall(r"```yaml\n(.*?)```", DOCUMENT.read_text(), flags=re.DOTALL)
    found = [o for block in blocks for o in yaml.safe_load_all(block) if o and o.get("kind") == "Role"]
    return {role["metadata"]["name"]: role for role in found}


def user(stack: Stack, binaries: ControlPlaneBinaries, directory: Path, *roles: str) -> Plugin:
    """Make a user who has some of the documented Roles."""
    name = "-".join(roles)
    subject = [{"kind": "ServiceAccount", "name": name, "namespace": stack.namespace}]
    stack.apply({"apiVersion": "v1", "kind": "ServiceAccount", "metadata": {"name": name}})
    for role in roles:
        stack.apply(
            documented_roles()[role],
            {
                "apiVersion": "rbac.authorization.k8s.io/v1",
                "kind": "RoleBinding",
                "metadata": {"name": f"{name}-{role}"},
                "roleRef": {"apiGroup": "rbac.authorization.k8s.io", "kind": "Role", "name": role},
                "subjects": subject,
            },
        )
    config = json.loads(stack.plane.kubeconfig.read_text())
    config["users"][0]["user"] = {"token": stack.kubectl("create", "token", name).strip()}
    kubeconfig = directory / name
    kubeconfig.write_text(json.dumps(config))
    return Plugin(binaries.kubectl, kubeconfig, stack.namespace)


@pytest.fixture(scope="module")
def replay(
    stack: Stack, control_plane_binaries: ControlPlaneBinaries, tmp_path_factory: pytest.TempPathFactory
) -> Plugin:
    directory = tmp_path_factory.mktemp("users")
    return user(stack, control_plane_binaries, directory, "replay-user", "replay-live", "replay-download")


@pytest.fixture(scope="module")
def buffer(stack: Stack) -> Iterator[str]:
    """One recording for all: saving does not touch it. When the last has run, its window is not full yet."""
    with buffers_of_a_while(stack) as make:
        name = make(windowSeconds=WINDOW_SECONDS)
        stack.wait_for_condition("rb", name, "Recording", seconds=60)
        wait_for_window(stack, name, 6)
        yield name


@pytest.fixture
def recording(stack: Stack, buffer: str) -> Iterator[str]:
    yield buffer
    stack.wait_for("the end of the readers", lambda: not readers(stack), seconds=60)


def readers(stack: Stack) -> list[dict[str, Any]]:
    return stack.list_all("pods", labels="app.kubernetes.io/name=replay-download")


def test_a_moment_is_saved_awaited_and_fetched_without_mounting_anything(
    stack: Stack, replay: Plugin, recording: str, tmp_path: Path
) -> None:
    saved = replay("save", recording, "--last", "5s", "--title", "Goal", "--wait", "-o", "json")
    assert saved.code == 0, saved.err + stack.describe()
    assert "created" in saved.err
    assert re.search(r"^(WaitingForPin|WaitingForTail|Cutting).*ready in \d+s$", saved.err, re.MULTILINE)
    capture = saved.json
    name, status = capture["metadata"]["name"], capture["status"]
    asked = capture["spec"]["range"]["last"]["until"]
    end, until = (datetime.fromisoformat(text) for text in (status["range"]["end"], asked))
    assert abs(end - until) <= timedelta(milliseconds=1)

    fetched = replay("download", name, directory=tmp_path)

    assert fetched.code == 0, fetched.err
    file = tmp_path / Path(status["clip"]["path"]).name
    assert f"{file.name}: " in fetched.out
    assert fetched.out.endswith("sha256 verified\n")
    assert file.read_bytes() == (stack.archive() / status["clip"]["path"]).read_bytes()
    digest = hashlib.sha256(file.read_bytes()).hexdigest()
    assert digest == replay("get", name, "-o", "json").json["status"]["clip"]["sha256"]
    assert [path.name for path in tmp_path.iterdir()] == [file.name]

    again = replay("download", name, directory=tmp_path)
    assert (again.code, again.err) == (1, f"error: {file.name} exists: give another name, or --force\n")


def test_a_clip_that_was_changed_on_the_volume_is_not_taken_for_the_clip(
    stack: Stack, replay: Plugin, recording: str, tmp_path: Path
) -> None:
    name = replay("save", recording, "--last", "3s", "--wait", "-o", "name").out.strip().rpartition("/")[2]
    replay("download", name, str(tmp_path / "whole.mp4"))
    path = stack.archive() / (stack.get("rcap", name) or {})["status"]["clip"]["path"]
    content = bytearray(path.read_bytes())
    content[-1] ^= 1
    path.write_bytes(content)

    changed = replay("download", name, str(tmp_path / "changed.mp4"))
    path.unlink()
    gone = replay("download", name, str(tmp_path / "gone.mp4"))

    assert changed.code == gone.code == 1
    assert "another sha256 than the clip" in changed.err
    assert "cat failed in pod" in gone.err
    assert "No such file" in gone.err
    assert [path.name for path in tmp_path.iterdir()] == ["whole.mp4"]


@contextmanager
def endless(path: Path) -> Iterator[None]:
    """Put a pipe in the place of a file: something comes out of it at once, and its end never does."""
    path.unlink()
    os.mkfifo(path)
    path.chmod(0o644)
    writing = os.open(path, os.O_RDWR)
    try:
        os.write(writing, bytes(32 * 1024))
        yield
    finally:
        os.close(writing)
        path.unlink()


def test_a_download_that_is_interrupted_leaves_neither_pod_nor_file(
    stack: Stack, replay: Plugin, recording: str, tmp_path: Path
) -> None:
    name = replay("save", recording, "--last", "3s", "--wait", "-o", "name").out.strip().rpartition("/")[2]
    clip = stack.archive() / wait_for_extras(stack, name)["path"]
    with endless(clip), replay.started("download", name, directory=tmp_path) as downloading:
        part = tmp_path / f".{clip.name}.part"
        stack.wait_for("the first bytes", lambda: part.exists() and part.stat().st_size, seconds=60)
        assert readers(stack)
        downloading.send_signal(signal.SIGINT)
        code = downloading.wait(60)
    assert code == 130
    stack.wait_for("the end of the reader", lambda: not readers(stack), seconds=60)
    assert list(tmp_path.iterdir()) == []


def test_ls_and_describe_show_the_window_as_the_agent_sees_it(
    stack: Stack, replay: Plugin, recording: str
) -> None:
    # So that a column of the picture, some five seconds, is there as a whole.
    wait_for_window(stack, recording, 12)
    listed = replay("ls", "--room", recording, "-o", "wide")
    assert (listed.code, listed.err) == (0, "")
    (row,) = listed.cells
    assert re.fullmatch(r"(?!0s|/)(\d+m)?(\d+s)?/5m", row["WINDOW"])
    assert re.fullmatch(r"\d+s ago", row["NEWEST"])
    assert (row["RECORDING"], row["RUNS"], row["HOLES"]) == ("True", "1", "0")

    assert replay("save", recording, "--last", "5s", "--post", "1m", "--name", f"{recording}-pin").code == 0
    stack.wait_for_condition("rcap", f"{recording}-pin", "Reconciling", seconds=60)
    described = replay("describe", recording)
    replay("cancel", f"{recording}-pin")

    assert (described.code, described.err) == (0, "")
    assert re.search(r"^recorded  ·+▒?█+▒?·*$", described.out, re.MULTILINE)
    assert re.search(rf"^pinned    ·*━+·* {recording}-pin$", described.out, re.MULTILINE)
    assert "Holes:" not in described.out
    assert "StartedAt" in described.out.partition("Runs:")[2]


def test_who_may_not_run_commands_sees_the_status_and_cannot_download(
    stack: Stack, control_plane_binaries: ControlPlaneBinaries, recording: str, tmp_path: Path
) -> None:
    plain = user(stack, control_plane_binaries, tmp_path, "replay-user")

    listed = plain("ls", "--room", recording)
    described = plain("describe", recording)
    saved = plain("save", recording, "--last", "3s", "--wait", "-o", "name")
    fetched = plain("download", saved.out.strip(), directory=tmp_path)

    assert listed.code == described.code == saved.code == 0, listed.err + described.err + saved.err
    assert (
        "from the status, not from the agent: Error from server (Forbidden): pods is forbidden" in listed.err
    )
    assert [row["NAME"] for row in listed.cells] == [recording]
    assert ", by the status" in described.out or "0s of 5m" in described.out
    assert fetched.code == 1
    assert fetched.err.startswith("Error from server (Forbidden): pods is forbidden: ")


def test_a_capture_that_fails_has_an_exit_code_of_its_own(replay: Plugin, recording: str) -> None:
    failed = replay("save", recording, "--last", "290s", "--when-short", "fail", "--wait")
    assert failed.code == 2
    assert "failed: BufferTooShort: " in failed.err
    assert replay("download", failed.out.split()[0]).code == 2
