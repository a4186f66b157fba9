"""A pytest plugin that keeps what statuses say while other tests run (`make record-statuses`).

It listens to every control plane that gets an install, and to the contract tests' Kubernetes in memory: each
has a file of its own. One object is kept for each combination of conditions, the first that is seen. What is
in the files already stays: delete them to begin anew.
"""

from __future__ import annotations

import json
import subprocess
import threading
from pathlib import Path
from typing import IO, Any

import pytest

from tests.contract.fake_cluster import FakeCluster
from tests.stack.stack import Stack
from tests.testbed.binaries import control_plane_binaries
from tests.testbed.controlplane import ControlPlane

DATA = Path(__file__).parents[1] / "data" / "argocd"
RECORDED = DATA / "statuses.jsonl"
"""What the operator wrote to a real API server while it really recorded."""
SCRIPTED = DATA / "scripted-statuses.jsonl"
"""What it wrote when Kubernetes, LiveKit and the agent answered from a script."""

_PATH = "/apis/replaybuffer.dev/v1alpha1/{}?watch=1&timeoutSeconds=7200"
_KEPT = ("name", "namespace", "uid", "generation", "creationTimestamp", "annotations", "labels", "finalizers")
_KUBECTL_ANNOTATION = "kubectl.kubernetes.io/last-applied-configuration"

Json = dict[str, Any]
Key = tuple[str, ...]


def key_of(body: Json) -> Key:
    """What tells two statuses apart: the conditions and whether they speak of the newest spec."""
    status = body.get("status", {})
    conditions = sorted(f"{c['type']}={c['status']} {c['reason']}" for c in status.get("conditions", []))
    seen = status.get("observedGeneration") == body["metadata"]["generation"]
    return (body["kind"], *conditions, "seen" if seen else "not seen")


def kept(body: Json) -> Json:
    """The object without what the API server adds for itself."""
    metadata = {name: value for name, value in body["metadata"].items() if name in _KEPT}
    if notes := {k: v for k, v in metadata.pop("annotations", {}).items() if k != _KUBECTL_ANNOTATION}:
        metadata["annotations"] = notes
    return body | {"metadata": metadata}


def read(path: Path) -> list[Json]:
    """The objects of a file; none where there is no file."""
    return [json.loads(line) for line in path.read_text().splitlines()] if path.exists() else []


class Recording:
    """Sees every status that is written while it is registered."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self._objects: dict[Path, dict[Key, Json]] = {
            path: {key_of(body): body for body in read(path)} for path in (RECORDED, SCRIPTED)
        }
        self._watched: set[str] = set()
        self._processes: list[subprocess.Popen[str]] = []
        self._monkeypatch = monkeypatch
        install, patch_status = Stack.install, FakeCluster.patch_status

        def install_and_watch(stack: Stack, **given: Any) -> None:
            install(stack, **given)
            self._watch(stack.plane)

        async def patch_and_keep(cluster: FakeCluster, *given: Any) -> Json | None:
            written = await patch_status(cluster, *given)
            if written is not None and written["kind"].startswith("Replay"):
                self._keep(SCRIPTED, written)
            return written

        monkeypatch.setattr(Stack, "install", install_and_watch)
        monkeypatch.setattr(FakeCluster, "patch_status", patch_and_keep)

    def pytest_unconfigure(self) -> None:
        """Writes the files."""
        self._monkeypatch.undo()
        for process in self._processes:
            process.kill()
            process.wait()
        DATA.mkdir(exist_ok=True)
        for path, objects in self._objects.items():
            lines = [json.dumps(body, sort_keys=True) for _, body in sorted(objects.items())]
            path.write_text("".join(f"{line}\n" for line in lines))
            print(f"{len(lines)} statuses in {path.name}")

    def _watch(self, plane: ControlPlane) -> None:
        if plane.url in self._watched:
            return
        self._watched.add(plane.url)
        kubectl = control_plane_binaries().kubectl
        for plural in ("replaybuffers", "replaycaptures"):
            # A kind that was only just defined has no address yet, and the watch would end at once.
            definition = f"crd/{plural}.replaybuffer.dev"
            plane.kubectl("wait", "--for=condition=Established", "--timeout=60s", definition)
            process = subprocess.Popen(
                [kubectl, f"--kubeconfig={plane.kubeconfig}", "get", "--raw", _PATH.format(plural)],
                stdout=subprocess.PIPE,
                text=True,
            )
            self._processes.append(process)
            threading.Thread(target=self._read, args=(process.stdout,), daemon=True).start()

    def _read(self, events: IO[str]) -> None:
        for line in events:
            event = json.loads(line)
            if event["type"] in ("ADDED", "MODIFIED"):
                self._keep(RECORDED, event["object"])

    def _keep(self, path: Path, body: Json) -> None:
        # Argo CD itself says Progressing of what is being deleted, and asks no script.
        if "deletionTimestamp" not in body["metadata"]:
            self._objects[path].setdefault(key_of(body), kept(body))


def pytest_configure(config: pytest.Config) -> None:
    """Begins to watch."""
    config.pluginmanager.register(Recording(pytest.MonkeyPatch()))
