"""Every process of a run: control plane, LiveKit's double, light worker, agent, operator."""

from __future__ import annotations

import json
import os
import secrets
import subprocess
import sys
import time
import urllib.error
import urllib.request
from collections.abc import Callable, Mapping
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path
from typing import Self, TypeVar

from benchmarks.scale.install import CHECKOUT, NAMESPACE, install, operator_kubeconfig
from tests.testbed.audit import AuditRecord, audit_log_size, audit_records
from tests.testbed.children import Children
from tests.testbed.controlplane import ControlPlane
from tests.testbed.ports import free_ports

T = TypeVar("T")

_POLL_SECONDS = 0.1
_GRACE_SECONDS = 30
_MOST_CRASHES = 5
_API_KEY = "devkey"


class BenchError(Exception):
    """The bench could not go on; the message says what was waited for and shows the operator's last words."""


@dataclass(frozen=True, slots=True)
class BedPlan:
    """What to bring up. `real_agent` off: the light worker answers in the agent's place."""

    people: int
    segment_seconds: int
    real_agent: bool
    segments: tuple[Path, ...]
    operator_settings: Mapping[str, str]


class Bed:
    """Use as a context manager; nothing is left running or lying about."""

    def __init__(self, plan: BedPlan, directory: Path) -> None:
        """Take the plan; nothing is started yet.

        Args:
            plan: What to bring up.
            directory: For the volume, logs and credentials; on the device of the segments.
        """
        self._plan = plan
        self._directory = directory
        self._volume = directory / "volume"
        self._secret = secrets.token_hex(24)
        self._livekit_port, self._agent_port, self._metrics_port = free_ports(3)
        self._stack = ExitStack()
        self._settings: Mapping[str, str] = {}
        self._operators = 0
        self._operator: subprocess.Popen[bytes] | None = None
        self._pids: dict[str, int] = {}
        self.crashes = 0

    def __enter__(self) -> Self:
        with self._stack:
            self.plane = self._stack.enter_context(ControlPlane())
            self._children = self._stack.enter_context(Children(self._directory / "processes"))
            self._volume.mkdir()
            tokens = self._directory / "token"
            tokens.mkdir(mode=0o700)
            (tokens / "token").write_text(secrets.token_hex(24))
            # No webhooks: what the list alone costs is what is measured, and their port may be taken here.
            given = install(self.plane)
            self._settings = {name: given[name] for name in given if name != "REPLAY_WEBHOOK_PORT"}
            operator_kubeconfig(self.plane, self._kubeconfig)
            self._start_livekit()
            if self._plan.real_agent:
                self._start_agent()
            self._stack = self._stack.pop_all()
        return self

    def __exit__(self, *_: object) -> None:
        self._stack.close()

    @property
    def pids(self) -> Mapping[str, int]:
        """Process ids by name, the control plane's included; the running operator is `operator`."""
        return {**self.plane.pids, **self._pids}

    def start_operator(self) -> None:
        """Start the operator as a process of its own and return at once."""
        self._operators += 1
        environment = {
            **_base_environment(),
            **self._settings,
            "KUBECONFIG": str(self._kubeconfig),
            "REPLAY_KUBECONFIG": str(self._kubeconfig),
            "POD_NAMESPACE": NAMESPACE,
            "POD_NAME": f"replay-operator-{self._operators}",
            "REPLAY_PORT": str(self._metrics_port),
            "REPLAY_BUFFER_ROOT": str(self._volume),
            "REPLAY_CATALOGUE_URL": f"sqlite:///{self._directory}/catalogue.db",
            "REPLAY_AGENT_URL": f"http://127.0.0.1:{self._agent_port}",
            "REPLAY_AGENT_TOKEN_DIRECTORY": str(self._directory / "token"),
            "REPLAY_SEGMENT_DURATION_SECONDS": str(self._plan.segment_seconds),
            "LIVEKIT_URL": self._livekit_url,
            "LIVEKIT_API_KEY": _API_KEY,
            "LIVEKIT_API_SECRET": self._secret,
            **self._plan.operator_settings,
        }
        self._operator = self._children.start(
            self._operator_name, [sys.executable, "-m", "replay_operator", "run"], env=environment
        )
        self._pids["operator"] = self._operator.pid

    def stop_operator(self) -> float:
        """End the operator as the kubelet does, by force after its grace period; give the seconds it took."""
        if self._operator is None:
            raise BenchError("there is no operator to stop")
        begun = time.monotonic()
        self._operator.terminate()
        try:
            self._operator.wait(_GRACE_SECONDS)
        except subprocess.TimeoutExpired:
            self._operator.kill()
            self._operator.wait()
        self._operator = None
        return time.monotonic() - begun

    def audit_size(self) -> int:
        """Give where the audit log ends now: the start of what is counted later."""
        self.plane.flush_audit_log()
        return audit_log_size(self.plane.audit_log)

    def audited(self, offset: int) -> list[AuditRecord]:
        """Give every request since then.

        Args:
            offset: What `audit_size` gave.
        """
        self.plane.flush_audit_log()
        return list(audit_records(self.plane.audit_log, offset=offset))

    def livekit_calls(self) -> dict[str, int]:
        """Give how often each method of LiveKit was called since the start."""
        page = _fetch(f"{self._livekit_url}/double/calls")
        counts: dict[str, int] = json.loads(page or "{}").get("counts", {})
        return counts

    def metrics(self) -> str:
        """Give the operator's metrics, empty while it does not answer."""
        return _fetch(f"http://127.0.0.1:{self._metrics_port}/metrics") or ""

    def is_ready(self) -> bool:
        """Tell whether the operator has listed everything."""
        return _fetch(f"http://127.0.0.1:{self._metrics_port}/readyz") is not None

    def wait_for(self, what: str, look: Callable[[], T | None], *, seconds: float) -> T:
        """Look until there is something.

        Args:
            what: Named in the failure.
            look: Gives what is wanted, or something false.
            seconds: How long at most.

        Raises:
            BenchError: It did not come.
        """
        deadline = time.monotonic() + seconds
        while not (found := look()):
            self.plane.check()
            self._restart_if_ended()
            if time.monotonic() > deadline:
                raise BenchError(
                    f"{what} did not happen within {seconds:.0f} s\n"
                    f"{_own_metrics(self.metrics())}\n{self.operator_log_tail()}"
                )
            time.sleep(_POLL_SECONDS)
        return found

    def _restart_if_ended(self) -> None:
        """Do what the kubelet does for a container that has ended, and count it."""
        if self._operator is None or self._operator.poll() is None:
            return
        if self.crashes == _MOST_CRASHES:
            raise BenchError(f"the operator ended by itself again and again\n{self.operator_log_tail()}")
        self.crashes += 1
        last = self.operator_log_tail().splitlines()[-1:]
        print(f"the operator ended by itself and is started again: {last}", file=sys.stderr, flush=True)
        self.start_operator()

    def operator_log_tail(self) -> str:
        """Give the operator's last words."""
        return self._children.log_tail(self._operator_name, lines=25)

    @property
    def _operator_name(self) -> str:
        return f"operator-{self._operators}"

    @property
    def _kubeconfig(self) -> Path:
        return self._directory / "operator.kubeconfig"

    @property
    def _livekit_url(self) -> str:
        return f"http://127.0.0.1:{self._livekit_port}"

    def _start_livekit(self) -> None:
        plan = self._plan
        environment = {
            **_base_environment(),
            "LIVEKIT_API_KEY": _API_KEY,
            "LIVEKIT_API_SECRET": self._secret,
        }
        server = ["--people", str(plan.people), "--port", str(self._livekit_port)]
        self._start("livekit", ["benchmarks.scale.livekit_server", *server], environment)
        self.wait_for("LiveKit's double", lambda: _fetch(f"{self._livekit_url}/double/workers"), seconds=60)
        worker = ["--url", self._livekit_url, "--root", str(self._volume)]
        if plan.real_agent:
            count = str(len(plan.segments))
            worker += ["--segments", str(plan.segments[0].parent), "--segment-count", count]
        else:
            worker += ["--coverage-port", str(self._agent_port)]
        self._start("worker", ["benchmarks.scale.worker", *worker], environment)

    def _start_agent(self) -> None:
        environment = {
            **_base_environment(),
            "REPLAY_AGENT_VOLUME": str(self._volume),
            "REPLAY_AGENT_FREE_SPACE_FLOOR": "64Mi",  # the volume is a directory of this machine
            "REPLAY_AGENT_PORT": str(self._agent_port),
            "REPLAY_AGENT_TOKEN_DIRECTORY": str(self._directory / "token"),
        }
        self._start("agent", ["replay_operator", "agent"], environment)
        ready = f"http://127.0.0.1:{self._agent_port}/readyz"
        self.wait_for("the agent's start", lambda: _fetch(ready), seconds=60)

    def _start(self, name: str, module: list[str], environment: Mapping[str, str]) -> None:
        child = self._children.start(name, [sys.executable, "-m", *module], cwd=CHECKOUT, env=environment)
        self._pids[name] = child.pid


def _base_environment() -> dict[str, str]:
    """Only what a program needs: settings of the caller's shell must not reach the operator."""
    kept = {name: os.environ[name] for name in ("PATH", "HOME", "PYTHONPATH") if name in os.environ}
    return {**kept, "PYTHONUNBUFFERED": "1", "PYTHONDONTWRITEBYTECODE": "1"}


def _own_metrics(page: str) -> str:
    return "\n".join(
        line for line in page.splitlines() if line.startswith("replay_") and "bucket" not in line
    )


def _fetch(url: str) -> str | None:
    try:
        with urllib.request.urlopen(url, timeout=30) as answer:  # noqa: S310 - our own http:// addresses
            return str(answer.read().decode())
    except (urllib.error.URLError, OSError):
        return None
