"""The code in docs/recipes, run as it is shown, with the rights that are shown, against the real API server.

No operator runs: the test writes the status that one would write.
"""

from __future__ import annotations

import asyncio
import json
import os
import re
import shutil
import subprocess
import sys
import time
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
import yaml

from tests.cluster.test_manifests import Right, may
from tests.livekit_double.fixtures import DoubleInProcess
from tests.testbed.build_cache import built_once, cache_directory
from tests.testbed.controlplane import ControlPlane

pytestmark = [pytest.mark.cluster, pytest.mark.usefixtures("crds")]

RECIPES = Path(__file__).parents[2] / "docs" / "recipes"
BLOCK = re.compile(r"^```[a-z]+\n(.+?)^```", re.DOTALL | re.MULTILINE)
ACCOUNT = "replay-back-end"
DEADLINE_SECONDS = 60.0

TYPESCRIPT = {"typescript": "5.9.3", "@types/node": "20.19.43"}
COMPILE = ("--strict", "--target", "es2022", "--module", "nodenext", "--types", "node")

Json = dict[str, Any]


def shown(name: str) -> str:
    """The code block that names itself so in its first lines."""
    blocks = [found[1] for page in RECIPES.glob("*.md") for found in BLOCK.finditer(page.read_text())]
    (block,) = (block for block in blocks if name in "".join(block.splitlines(keepends=True)[:2]))
    return block


@dataclass(frozen=True)
class BackEnd:
    """A pod's view of the cluster: namespace, token and certificate of its account."""

    plane: ControlPlane
    namespace: str
    directory: Path

    def environment(self) -> dict[str, str]:
        return {
            "PATH": os.environ["PATH"],
            "KUBECONFIG": str(self.directory / "kubeconfig"),
            "API": self.plane.url,
            "TOKEN_FILE": str(self.directory / "token"),
            "CA_FILE": str(self.plane.pki.ca.certificate),
            "NODE_EXTRA_CA_CERTS": str(self.plane.pki.ca.certificate),
        }

    def write_kubeconfig(self) -> None:
        self.plane.pki.write_kubeconfig(self.directory / "kubeconfig", server=self.plane.url, user="admin")
        config = json.loads((self.directory / "kubeconfig").read_text())
        config["users"][0]["user"] = {"token": (self.directory / "token").read_text()}
        (self.directory / "kubeconfig").write_text(json.dumps(config))

    def kubectl(self, *arguments: str, stdin: str | None = None) -> str:
        """As administrator."""
        return self.plane.kubectl("-n", self.namespace, *arguments, input=stdin)


@pytest.fixture
def back_end(control_plane: ControlPlane, namespace: str, tmp_path: Path) -> BackEnd:
    rights = shown("back-end-rights.yaml").replace("namespace: replay}", f"namespace: {namespace}}}")
    found = BackEnd(control_plane, namespace, tmp_path)
    found.kubectl("apply", "-f", "-", stdin=rights)
    (tmp_path / "token").write_text(found.kubectl("create", "token", ACCOUNT).strip())
    found.write_kubeconfig()
    deadline = time.monotonic() + DEADLINE_SECONDS
    account = f"system:serviceaccount:{namespace}:{ACCOUNT}"
    # The authorizer learns of a new RoleBinding through a watch, shortly after it was made.
    while not may(control_plane, account, namespace, Right("create", "replaybuffer.dev", "replaycaptures")):
        assert time.monotonic() < deadline, "the rights that the recipe shows give its account nothing"
    return found


@pytest.fixture(scope="session")
def compiled() -> Path:
    """A folder with the TypeScript recipe as JavaScript, checked by the real compiler."""
    if shutil.which("npm") is None or shutil.which("node") is None:
        pytest.skip("no node and npm: the TypeScript recipe is not compiled")
    packages = [f"{name}@{version}" for name, version in TYPESCRIPT.items()]

    def install(directory: Path) -> None:
        command = [
            "npm",
            "install",
            "--no-audit",
            "--no-fund",
            "--no-save",
            "--prefix",
            str(directory),
            *packages,
        ]
        done = subprocess.run(command, check=False, capture_output=True, text=True, timeout=200)
        if done.returncode:
            pytest.skip(f"the TypeScript compiler cannot be had: {done.stderr[-300:]}")

    key = "-".join(TYPESCRIPT.values())
    return built_once(cache_directory(os.environ), "typescript", key, install)


def javascript(compiler: Path, directory: Path) -> Path:
    (directory / "package.json").write_text('{"type": "module"}')
    source = directory / "save-last-minutes.ts"
    source.write_text(shown("save-last-minutes.ts"))
    types = ("--typeRoots", str(compiler / "node_modules" / "@types"))
    tsc = [compiler / "node_modules" / ".bin" / "tsc", *COMPILE, *types, source]
    done = subprocess.run(tsc, check=False, capture_output=True, text=True, timeout=120)
    assert done.returncode == 0, done.stdout
    return source.with_suffix(".js")


@pytest.fixture(params=["Python", "TypeScript", "curl"])
def command(request: pytest.FixtureRequest, tmp_path: Path) -> list[str]:
    """How the recipe is run; namespace, buffer and seconds follow."""
    if request.param == "TypeScript":
        compiler: Path = request.getfixturevalue("compiled")
        return ["node", str(javascript(compiler, tmp_path))]
    if request.param == "curl" and (shutil.which("jq") is None or shutil.which("curl") is None):
        pytest.skip("no curl and jq: the recipe of the shell is not run")
    name, program = (
        ("save_last_minutes.py", sys.executable)
        if request.param == "Python"
        else ("save-last-minutes.sh", "bash")
    )
    (tmp_path / name).write_text(shown(name))
    return [program, str(tmp_path / name)]


async def outcome(
    back_end: BackEnd, command: list[str], status: Mapping[str, Any]
) -> tuple[Json, int, str, str]:
    """Run a recipe; write a status when its capture is there; give the capture, exit code and output."""
    process = await asyncio.create_subprocess_exec(
        *[*command, back_end.namespace, "alice-screen", "300"],
        env=back_end.environment(),
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.PIPE,
    )
    deadline = time.monotonic() + DEADLINE_SECONDS
    while not (made := json.loads(back_end.kubectl("get", "rcap", "-o", "json"))["items"]):
        if process.returncode is not None or time.monotonic() > deadline:
            raise AssertionError(f"no capture was made: {await process.communicate()}")
        await asyncio.sleep(0.05)
    name = made[0]["metadata"]["name"]
    back_end.kubectl(
        "patch", "rcap", name, "--subresource=status", "--type=merge", "-p", json.dumps({"status": status})
    )
    out, err = await asyncio.wait_for(process.communicate(), DEADLINE_SECONDS)
    return made[0], process.returncode or 0, out.decode(), err.decode()


def condition(type_: str, message: str = "") -> Json:
    return {
        "type": type_,
        "status": "True",
        "reason": "Told",
        "message": message,
        "observedGeneration": 1,
        "lastTransitionTime": "2026-11-23T12:00:00Z",
    }


CLIP = {
    "path": "team/shared/2026-11-23/goal-cafecafe.mp4",
    "bytes": 1,
    "milliseconds": 300000,
    "start": "2026-11-23T11:55:00Z",
    "end": "2026-11-23T12:00:00Z",
    "segments": 30,
    "runs": 1,
    "clock": "StartedAt",
}


async def test_a_recipe_asks_for_the_moment_of_the_click_and_prints_where_the_clip_is(
    back_end: BackEnd, command: list[str]
) -> None:
    began = datetime.now(UTC)
    made, code, out, err = await outcome(
        back_end, command, {"conditions": [condition("Ready")], "clip": CLIP}
    )
    assert (code, out.strip()) == (0, CLIP["path"]), err
    asked = made["spec"]["range"]["last"]
    until = datetime.fromisoformat(asked["until"])
    assert asked["seconds"] == 300
    assert began - timedelta(milliseconds=1) <= until <= datetime.now(UTC)
    assert re.search(r"\.\d{3}(Z|\+00:00)$", asked["until"]), "milliseconds are what the recipe is about"


async def test_a_recipe_does_not_wait_for_a_capture_that_has_failed(
    back_end: BackEnd, command: list[str]
) -> None:
    failed = {"conditions": [condition("Stalled", "nothing was recorded in that range")]}
    _, code, out, err = await outcome(back_end, command, failed)
    assert code != 0
    assert "nothing was recorded in that range" in out + err


async def test_each_participant_of_a_room_who_shares_a_screen_gets_one_buffer_until_the_room_ends(
    back_end: BackEnd, livekit_double: DoubleInProcess, tmp_path: Path
) -> None:
    livekit_double.rooms.join("all hands", "alice@example.com", ["SCREEN_SHARE", "SCREEN_SHARE_AUDIO"])
    livekit_double.rooms.join("all hands", "bob", ["CAMERA"])
    livekit_double.rooms.join("elsewhere", "eve", ["SCREEN_SHARE"])
    (tmp_path / "buffer_room.py").write_text(shown("buffer_room.py"))
    keys = {
        "LIVEKIT_URL": livekit_double.url,
        "LIVEKIT_API_KEY": livekit_double.api_key,
        "LIVEKIT_API_SECRET": livekit_double.api_secret,
    }

    async def run(*flags: str) -> list[Json]:
        process = await asyncio.create_subprocess_exec(
            *[sys.executable, str(tmp_path / "buffer_room.py"), back_end.namespace, "all hands", *flags],
            env=back_end.environment() | keys,
            stderr=asyncio.subprocess.PIPE,
        )
        _, err = await asyncio.wait_for(process.communicate(), DEADLINE_SECONDS)
        assert process.returncode == 0, err.decode()
        found: list[Json] = json.loads(back_end.kubectl("get", "rb", "-o", "json"))["items"]
        return found

    for _ in range(2):
        (buffer,) = await run()
        assert buffer["spec"]["room"] == "all hands"
        assert buffer["spec"]["source"]["participant"]["identity"] == "alice@example.com"
    assert await run("--end") == []


def test_the_rights_that_a_recipe_shows_reach_nothing_else(back_end: BackEnd) -> None:
    rules = next(o["rules"] for o in yaml.safe_load_all(shown("back-end-rights.yaml")) if o["kind"] == "Role")
    assert {group for rule in rules for group in rule["apiGroups"]} == {"replaybuffer.dev"}
    assert not {"*", "delete", "patch", "update"} & {verb for rule in rules for verb in rule["verbs"]}
