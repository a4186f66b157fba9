"""The cluster of `make kind-up` through kubectl: LiveKit's own egress, and volumes that are not here."""

from __future__ import annotations

import base64
import json
import subprocess
from pathlib import Path
from typing import Any

from replay_operator.api.agent import Coverage
from tests.real.people import Door
from tests.stack.stack import Stack
from tests.testbed.controlplane import KubectlError

NAMESPACE = "replay"
_AGENT = ("exec", "deployment/replay-agent", "--")
# The token stays in the pod.
_ASK = (
    "import pathlib, urllib.request as u;"
    "t = pathlib.Path('/etc/replay/agent-token/token').read_text().strip();"
    "r = u.Request('http://127.0.0.1:8480/v1/coverage', headers={'Authorization': 'Bearer ' + t});"
    "print(u.urlopen(r, timeout=10).read().decode())"
)


class Kind:
    """kubectl with the context of the cluster, as `ControlPlane` has it."""

    def __init__(self, context: str) -> None:
        self.context = context

    def kubectl(self, *arguments: str, input: str | None = None) -> str:  # noqa: A002 - as in ControlPlane
        """Run kubectl.

        Raises:
            KubectlError: it failed.
        """
        return self.read(*arguments, stdin=input).decode()

    def read(self, *arguments: str, stdin: str | None = None) -> bytes:
        """Run kubectl, and give its output as it is.

        Raises:
            KubectlError: it failed.
        """
        command = ["kubectl", "--context", self.context, *arguments]
        told = None if stdin is None else stdin.encode()
        done = subprocess.run(command, input=told, capture_output=True, timeout=120, check=False)
        if done.returncode != 0:
            raise KubectlError(arguments, done.returncode, done.stderr.decode(errors="replace"))
        return done.stdout


class KindStack(Stack):
    """The install of `make kind-up`. Files are copied out of the agent's pod."""

    def __init__(self, kind: Kind, directory: Path) -> None:
        """Look at it; nothing is installed.

        Args:
            kind: The cluster.
            directory: For copies.
        """
        self.plane: Any = kind
        self.namespace = NAMESPACE
        self._kind = kind
        self._directory = directory

    def coverage(self) -> Coverage:
        """Ask the agent, in its own pod: a NetworkPolicy keeps everybody else out."""
        return Coverage.model_validate_json(self.kubectl(*_AGENT, "python", "-c", _ASK))

    def clip_file(self, path: str) -> Path:
        """Copy a clip."""
        return self._copy(f"/archive/{path}")

    def segments(self, run: str) -> list[Path]:
        """Copy the segments of a run."""
        names = self.kubectl(*_AGENT, "ls", f"/buffer/{run}").split()
        return [self._copy(f"/buffer/{run}/{name}") for name in sorted(names) if name.endswith(".ts")]

    def _copy(self, path: str) -> Path:
        copy = self._directory / path.strip("/").replace("/", "_")
        copy.write_bytes(self._kind.read("-n", self.namespace, *_AGENT, "cat", path))
        return copy


def kind_door(stack: KindStack) -> Door:
    """LiveKit in the cluster, at its pod's address: kind.sh has made a route to it."""
    pods = stack.plane.kubectl(
        "-n", "livekit", "get", "pods", "-l", "app.kubernetes.io/name=livekit", "-o", "json"
    )
    address = json.loads(pods)["items"][0]["status"]["podIP"]
    data = (stack.get("secret", "replay-operator-livekit") or {})["data"]
    key, secret = (base64.b64decode(data[name]).decode() for name in ("api-key", "api-secret"))
    return Door(f"http://{address}:7880", key, secret)
