"""manifests/kind/kind.sh beside programs that only write down how they were called: order, secrets, words."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
SCRIPT = ROOT / "manifests" / "kind" / "kind.sh"
TOOLS = ("docker", "kind", "kubectl", "helm")
CLIP = "replay/shared/2026-01-31/alice-camera-x-0d9e6b8c.mp4"

# What each program says; everything else succeeds and says nothing.
STUBS = {
    "docker": "if [[ $1 = info && -e $STUBS/no-daemon ]]; then exit 1; fi",
    "kind": 'if [[ "$1 $2" = "get clusters" && -e $STUBS/cluster ]]; then echo replay; fi',
    "helm": "",
    "ip": "",
    "id": "if [[ -e $STUBS/nobody ]]; then echo 65534; else echo 0; fi",
    "kubectl": f"""\
case "$*" in
  *"get secret"*) [[ -e $STUBS/secrets ]] || exit 1 ;;
  *" create -f "*) echo replaycapture.replaybuffer.dev/alice-camera-x ;;
  *"get nodes"*) printf '172.18.0.2 10.244.0.0/24\\n172.18.0.3 10.244.1.0/24\\n' ;;
  *"wait replaycapture"*) [[ ! -e $STUBS/never-ready ]] || exit 1 ;;
  *jsonpath={{.status.clip.path}}*) echo {CLIP} ;;
  *" cat /archive/"*) echo film ;;
  *" -f -"*) cat >>"$STUBS/input" ;;
esac""",
}


class Machine:
    """A PATH with the stubs, and a copy of what the script reads: it leaves nothing in the checkout."""

    def __init__(self, directory: Path) -> None:
        self.stubs = directory / "stubs"
        self.stubs.mkdir()
        self._path = directory / "bin"
        self._path.mkdir()
        for program in ("bash", "sed", "grep", "dirname", "basename", "mkdir", "cat", "openssl"):
            found = shutil.which(program)
            assert found, program
            (self._path / program).symlink_to(found)
        for program, says in STUBS.items():
            self._stub(self._path / program, says)
        self.checkout = directory / "checkout"
        python = self.checkout / ".venv" / "bin" / "python"
        python.parent.mkdir(parents=True)
        self._stub(python, 'echo "$REPLAY_KIND_CONTEXT" >>"$STUBS/context"')
        shutil.copytree(ROOT / "manifests" / "kind", self.checkout / "manifests" / "kind")
        for name in ("helm", "operator", "kind-config.yaml"):
            (self.checkout / name).symlink_to(ROOT / name)

    def _stub(self, file: Path, says: str) -> None:
        file.write_text(f'#!/bin/bash\necho "{file.name} $*" >>"$STUBS/calls"\n{says}\n')
        file.chmod(0o755)

    def without(self, program: str) -> None:
        (self._path / program).unlink()

    def mark(self, name: str) -> None:
        (self.stubs / name).touch()

    def run(self, *arguments: str) -> subprocess.CompletedProcess[str]:
        return subprocess.run(
            [self.checkout / "manifests" / "kind" / "kind.sh", *arguments],
            env={"PATH": str(self._path), "STUBS": str(self.stubs)},
            capture_output=True,
            text=True,
            check=False,
        )

    @property
    def calls(self) -> list[str]:
        log = self.stubs / "calls"
        return log.read_text().splitlines() if log.exists() else []


@pytest.fixture
def machine(tmp_path: Path) -> Machine:
    return Machine(tmp_path)


def place(calls: list[str], words: str) -> int:
    (found,) = [number for number, call in enumerate(calls) if words in call]
    return found


@pytest.mark.parametrize("program", TOOLS)
def test_a_program_that_is_missing_is_named_with_where_to_get_it(machine: Machine, program: str) -> None:
    machine.without(program)
    done = machine.run("up")
    assert done.returncode == 1
    assert re.search(rf"kind: {program} is not installed.*https://", done.stderr)
    assert machine.calls == [], "nothing has been begun"


def test_a_docker_that_does_not_answer_is_told(machine: Machine) -> None:
    machine.mark("no-daemon")
    done = machine.run("up")
    assert (done.returncode, "docker does not answer" in done.stderr) == (1, True)
    assert machine.calls == ["docker info"]


def test_up_builds_makes_the_cluster_loads_and_installs_in_this_order(machine: Machine) -> None:
    done = machine.run("up")
    assert done.returncode == 0, done.stderr
    steps = [
        "docker build",
        "kind create cluster",
        "kind load docker-image",
        "apply -f manifests/kind/namespaces.yaml",
        "apply -k manifests/kind",
        "helm upgrade --install replay-operator helm/replay-operator",
    ]
    places = [place(machine.calls, step) for step in steps]
    assert places == sorted(places)
    assert "make kind-demo" in done.stderr
    secrets = [n for n, call in enumerate(machine.calls) if call.endswith("apply -f -")]
    assert places[3] < min(secrets), "a Secret needs its namespace"
    assert max(secrets) < places[4], "a pod needs its Secret"


def test_up_again_keeps_the_cluster_and_its_secrets(machine: Machine) -> None:
    machine.mark("cluster")
    machine.mark("secrets")
    assert machine.run("up").returncode == 0
    assert not any("create cluster" in call or call.endswith("-f -") for call in machine.calls)


def test_no_secret_is_an_argument_and_all_are_given(machine: Machine) -> None:
    machine.run("up")
    given = (machine.stubs / "input").read_text()
    made = re.findall(r"\b[0-9a-f]{48,}\b", given)
    assert made
    assert not any(secret in call for secret in made for call in machine.calls)
    assert re.findall(r"name: ([a-z-]+), namespace: (\w+)", given) == [
        ("livekit-keys", "livekit"),
        ("replay-operator-livekit", "replay"),
    ]


@pytest.mark.parametrize("command", ["up", "demo", "e2e"])
def test_each_file_that_is_named_exists_and_every_call_is_for_this_cluster(
    machine: Machine, command: str
) -> None:
    if command != "up":
        machine.mark("cluster")
    assert machine.run(command).returncode == 0
    for call in machine.calls:
        for path in re.findall(r"(?:-f|-k|--file|--values|--config) (\S+)", call):
            assert path == "-" or (ROOT / path).exists(), call
        if call.startswith("kubectl"):
            assert call.startswith("kubectl --context kind-replay ")
        if call.startswith("helm"):
            assert "--kube-context kind-replay" in call


@pytest.mark.parametrize("command", ["demo", "e2e"])
def test_what_needs_the_cluster_says_that_there_is_none(machine: Machine, command: str) -> None:
    done = machine.run(command)
    assert (done.returncode, "make kind-up" in done.stderr) == (1, True)


def test_demo_brings_the_clip_home(machine: Machine) -> None:
    machine.mark("cluster")
    done = machine.run("demo")
    assert done.returncode == 0, done.stderr
    file = Path(".demo") / Path(CLIP).name
    assert str(file) in done.stderr
    assert (machine.checkout / file).read_text() == "film\n"


def test_demo_shows_the_capture_that_did_not_get_ready(machine: Machine) -> None:
    machine.mark("cluster")
    machine.mark("never-ready")
    done = machine.run("demo")
    assert done.returncode == 1
    assert any("describe replaycapture" in call for call in machine.calls)


def test_e2e_makes_a_way_to_the_pods_of_each_node_and_room_on_the_workers_before_its_tests(
    machine: Machine,
) -> None:
    machine.mark("cluster")
    done = machine.run("e2e")
    assert done.returncode == 0, done.stderr
    steps = [
        "ip route replace 10.244.0.0/24 via 172.18.0.2",
        "ip route replace 10.244.1.0/24 via 172.18.0.3",
        "helm upgrade replay-operator",
        "python -m pytest tests/real/test_with_the_operator.py --real-rooms",
    ]
    places = [place(machine.calls, step) for step in steps]
    assert places == sorted(places)
    assert (machine.stubs / "context").read_text() == "kind-replay\n"
    assert (ROOT / "tests" / "real" / "test_with_the_operator.py").exists()


def test_e2e_without_root_says_so_and_changes_nothing(machine: Machine) -> None:
    machine.mark("cluster")
    machine.mark("nobody")
    done = machine.run("e2e")
    assert (done.returncode, "need root" in done.stderr) == (1, True)
    assert not any(call.startswith(("ip", "helm", "kubectl")) for call in machine.calls)


def test_down_deletes_this_cluster_alone(machine: Machine) -> None:
    assert machine.run("down").returncode == 0
    assert machine.calls == ["kind delete cluster --name replay"]


def test_a_wrong_word_says_how_it_is_used(machine: Machine) -> None:
    done = machine.run("upp")
    assert (done.returncode, "usage:" in done.stderr) == (1, True)


def test_shellcheck_finds_nothing() -> None:
    shellcheck = shutil.which("shellcheck")
    if shellcheck is None:
        pytest.skip("shellcheck is not installed: install Debian's shellcheck")
    done = subprocess.run([shellcheck, SCRIPT], capture_output=True, text=True, check=False, env=os.environ)
    assert done.returncode == 0, done.stdout
