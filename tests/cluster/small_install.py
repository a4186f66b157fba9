"""The smallest install that records: operators and agent as processes, LiveKit's double, an API server."""

from __future__ import annotations

import asyncio
import json
import os
import subprocess
import sys
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import aiohttp

from tests.livekit_double.fixtures import DoubleInProcess
from tests.testbed.children import Children
from tests.testbed.controlplane import ControlPlane
from tests.testbed.ports import free_ports
from tests.waiting import PATIENCE_SECONDS, until

SEGMENT_SECONDS = 2
SMALL = {"advanced": {"width": 320, "height": 180, "framerate": 15, "videoKbps": 200, "audioKbps": 64}}

Json = dict[str, Any]


@dataclass
class OperatorProcess:
    """One `replay-operator run`."""

    process: subprocess.Popen[bytes]
    log: Path
    port: int
    webhook_port: int

    @property
    def url(self) -> str:
        """Address of its health server."""
        return f"http://127.0.0.1:{self.port}"

    async def exit_code(self) -> int:
        """Wait for its end."""
        return await asyncio.to_thread(self.process.wait, PATIENCE_SECONDS)

    def said(self) -> str:
        """Give its log."""
        return self.log.read_text()


@dataclass
class SmallInstall:
    """One namespace; nothing runs until it is started."""

    plane: ControlPlane
    namespace: str
    livekit: DoubleInProcess
    children: Children
    directory: Path
    agent_port: int = field(default_factory=lambda: free_ports(1)[0])
    operators: list[OperatorProcess] = field(default_factory=list)

    def start_agent(self) -> None:
        """Start the agent of the buffer volume."""
        self.volume.mkdir()
        self._tokens.mkdir()
        (self._tokens / "token").write_text("the-token")
        self._start(
            "agent",
            "agent",
            REPLAY_AGENT_VOLUME=self.volume,
            REPLAY_AGENT_PORT=self.agent_port,
            REPLAY_AGENT_TOKEN_DIRECTORY=self._tokens,
        )

    def start_operator(self, *, kubeconfig: Path | None = None, **settings: object) -> OperatorProcess:
        """Start one more operator.

        Args:
            kubeconfig: Leads to the API server; the control plane's own by default.
            settings: Further variables of its environment.
        """
        name = f"operator-{len(self.operators)}"
        port, webhook_port = free_ports(2)
        kubeconfig = kubeconfig or self.plane.kubeconfig
        process = self._start(
            name,
            "run",
            KUBECONFIG=kubeconfig,
            REPLAY_KUBECONFIG=kubeconfig,
            POD_NAMESPACE=self.namespace,
            POD_NAME=name,
            REPLAY_PORT=port,
            REPLAY_WEBHOOK_PORT=webhook_port,
            REPLAY_BUFFER_ROOT=self.volume,
            REPLAY_CAPTURE_IMAGE="none",
            REPLAY_AGENT_URL=f"http://127.0.0.1:{self.agent_port}",
            REPLAY_AGENT_TOKEN_DIRECTORY=self._tokens,
            REPLAY_LIVEKIT_POLL_SECONDS=1,
            LIVEKIT_URL=self.livekit.url,
            LIVEKIT_API_KEY=self.livekit.api_key,
            LIVEKIT_API_SECRET=self.livekit.api_secret,
            **settings,
        )
        self.operators.append(OperatorProcess(process, self.children.log(name), port, webhook_port))
        return self.operators[-1]

    async def leading_operator(self, **settings: object) -> OperatorProcess:
        """Start an operator, and wait until it leads and has listed everything.

        Args:
            settings: Further variables of its environment.
        """
        operator = self.start_operator(**settings)
        await until("an operator that leads", lambda: "this operator leads now" in operator.said())
        await until("a ready operator", lambda: is_ready(operator))
        return operator

    async def waiting_operator(self) -> OperatorProcess:
        """Start an operator beside one that leads, and wait until it waits its turn."""
        operator = self.start_operator()
        await until("an operator that waits", lambda: "we stand by" in operator.said())
        return operator

    async def recording_buffer(self, name: str = "alice", **spec: object) -> str:
        """Let alice publish, make a buffer for her, and give the id of the egress that records it.

        Args:
            name: Of the buffer.
            spec: What is to be different.
        """
        self.livekit.rooms.join("standup", "alice", ["SCREEN_SHARE", "MICROPHONE"])
        participant = {"identity": "alice", "video": "ScreenShare", "audio": "Microphone"}
        body = {
            "apiVersion": "replaybuffer.dev/v1alpha1",
            "kind": "ReplayBuffer",
            "metadata": {"name": name, "namespace": self.namespace},
            "spec": {
                "room": "standup",
                "source": {"participant": participant},
                "windowSeconds": 60,
                "segmentSeconds": SEGMENT_SECONDS,
                "encoding": SMALL,
            }
            | spec,
        }
        self.plane.kubectl("apply", "-f", "-", input=json.dumps(body))
        await until("a buffer that records", lambda: self.is_recording(name))
        status = (await self.read("rb", name))["status"]
        return str(status["egress"]["id"])

    async def is_recording(self, name: str = "alice") -> bool:
        """Say whether the buffer's status says so.

        Args:
            name: Of the buffer.
        """
        conditions = (await self.read("rb", name)).get("status", {}).get("conditions", [])
        return any(c["type"] == "Recording" and c["status"] == "True" for c in conditions)

    async def lease_holder(self) -> str:
        """Give who leads, or an empty text."""
        return str((await self.read("lease", "replay-operator"))["spec"].get("holderIdentity", ""))

    async def read(self, kind: str, name: str, *flags: str) -> Json:
        """Read an object."""
        arguments = ("-n", self.namespace, "get", kind, name, "-o", "json", *flags)
        found: Json = json.loads(await asyncio.to_thread(self.plane.kubectl, *arguments))
        return found

    def segments(self) -> int:
        """Count the segment files on the buffer volume."""
        return len(list(self.volume.rglob("*.ts")))

    @property
    def volume(self) -> Path:
        """The buffer volume."""
        return self.directory / "volume"

    @property
    def _tokens(self) -> Path:
        return self.directory / "token"

    def _start(self, name: str, command: str, **settings: object) -> subprocess.Popen[bytes]:
        environment = {
            "PATH": os.environ["PATH"],
            "PYTHONUNBUFFERED": "1",
            "PYTHONDONTWRITEBYTECODE": "1",
            **{key: str(value) for key, value in settings.items()},
        }
        return self.children.start(name, [sys.executable, "-m", "replay_operator", command], env=environment)


async def is_ready(operator: OperatorProcess) -> bool:
    """Ask its health server."""
    return (await _get(f"{operator.url}/readyz"))[0] == 200


async def is_alive(operator: OperatorProcess) -> bool:
    """Ask its health server."""
    return (await _get(f"{operator.url}/healthz"))[0] == 200


async def figure(operator: OperatorProcess, metric: str) -> float:
    """Read one of its metrics, named with its labels."""
    page = (await _get(f"{operator.url}/metrics"))[1]
    return next(
        (float(line.split()[-1]) for line in page.splitlines() if line.startswith(f"{metric} ")), -1.0
    )


async def _get(url: str) -> tuple[int, str]:
    try:
        async with aiohttp.ClientSession() as session, session.get(url) as answer:
            return answer.status, await answer.text()
    except aiohttp.ClientError:
        return 0, ""
