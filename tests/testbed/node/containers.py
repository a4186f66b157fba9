"""One process of one container: planned from the pod, started in its namespaces, signalled, waited for."""

import asyncio
import contextlib
import json
import os
import signal
import time
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from pathlib import Path

from tests.testbed.node.api import Json
from tests.testbed.node.environment import expand
from tests.testbed.node.errors import ContainerStartError, ContainerWaitingError
from tests.testbed.node.images import Image
from tests.testbed.node.isolation import Isolation, exposed_paths, launcher_command

DEFAULT_PATH = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"
_MESSAGE_BYTES = 4096  # the kubelet keeps the end of the termination message
_LOG_FALLBACK_BYTES = 2048  # and this much of the log with FallbackToLogsOnError


@dataclass(frozen=True)
class Bind:
    """A host file or directory at a path of the container."""

    source: Path
    path: str
    read_only: bool


@dataclass(frozen=True)
class Credentials:
    """Who the process runs as."""

    uid: int
    gid: int
    groups: tuple[int, ...]


@dataclass(frozen=True)
class ContainerPlan:
    """All that one start of a container needs. The environment may hold secrets: never log a plan."""

    name: str
    hostname: str
    argv: tuple[str, ...]
    env: Mapping[str, str] = field(repr=False)
    credentials: Credentials
    image_directories: tuple[str, ...]
    image_owner: tuple[int, int]
    working_directory: str
    binds: tuple[Bind, ...]
    read_only_root: bool
    no_new_privileges: bool
    directory: Path
    attempt: int
    message_from_log: bool

    @property
    def log(self) -> Path:
        """What the process wrote to its standard output and error."""
        return self.directory / f"{self.attempt}.log"

    @property
    def termination_message(self) -> Path:
        """The host's file behind `terminationMessagePath`."""
        return self.directory / f"{self.attempt}.termination"


@dataclass(frozen=True)
class Exit:
    """How a process ended: its code (128 + signal for a signal), and its last words."""

    code: int
    message: str
    reason: str
    started_at: float
    finished_at: float


def container_credentials(pod: Json, container: Json, image: Image) -> Credentials:
    """User and groups by the security contexts, else by the image.

    Raises:
        ContainerWaitingError: `runAsNonRoot` is set and the user is root.
    """
    context = {**pod["spec"].get("securityContext", {}), **container.get("securityContext", {})}
    uid = int(context.get("runAsUser", image.uid))
    gid = int(context.get("runAsGroup", image.gid if uid == image.uid else 0))
    if context.get("runAsNonRoot") and uid == 0:
        raise ContainerWaitingError(
            "CreateContainerConfigError", "container has runAsNonRoot and image will run as root"
        )
    groups = [int(group) for group in context.get("supplementalGroups", [])]
    if "fsGroup" in context:
        groups.append(int(context["fsGroup"]))
    return Credentials(uid, gid, tuple(groups))


def container_argv(container: Json, image: Image, environment: Mapping[str, str]) -> tuple[str, ...]:
    """`command` replaces the entrypoint, `args` follow; $(VAR) is expanded in both."""
    written = [expand(text, environment) for text in container.get("command", [])]
    arguments = [expand(text, environment) for text in container.get("args", [])]
    return (*(written or image.entrypoint), *arguments)


def map_paths(text: str, binds: Iterable[Bind]) -> str:
    """The text with container paths replaced by host paths, the longest first."""
    for bind in sorted(binds, key=lambda bind: len(bind.path), reverse=True):
        text = text.replace(bind.path, str(bind.source))
    return text


def _launch_document(plan: ContainerPlan, isolation: Isolation) -> bytes:
    document = {
        "base": str(plan.directory / "root"),
        "hostname": plan.hostname,
        "exposed": [str(path) for path in exposed_paths()],
        "directories": plan.image_directories,
        "directories_owner": plan.image_owner if isolation is Isolation.ROOT else (0, 0),
        "binds": [[str(bind.source), bind.path, bind.read_only] for bind in plan.binds],
        "read_only_root": plan.read_only_root,
        "no_new_privileges": plan.no_new_privileges,
        "one_user": isolation is not Isolation.ROOT,
        "uid": plan.credentials.uid,
        "gid": plan.credentials.gid,
        "groups": plan.credentials.groups,
        "working_directory": plan.working_directory,
        "argv": plan.argv,
        "env": dict(plan.env),
    }
    return json.dumps(document).encode()


class ContainerProcess:
    """A started container.

    Attributes:
        plan: what it was started from.
        pid: the container's first process, as the host numbers it.
        started_at: seconds since the epoch.

    Args:
        plan: see above.
        process: the child of ours that ends with the container.
        pid: see above.
        report: what the launcher says.
        alone: it is the first process of a PID namespace, and the kernel ends the others with it.
    """

    def __init__(
        self,
        plan: ContainerPlan,
        process: asyncio.subprocess.Process,
        pid: int,
        report: asyncio.StreamReader,
        *,
        alone: bool = True,
    ) -> None:
        self.plan = plan
        self.pid = pid
        self.started_at = time.time()
        self._process = process
        self._report = report
        self._alone = alone
        self._waiter = asyncio.create_task(process.wait())

    @classmethod
    async def start(cls, plan: ContainerPlan, isolation: Isolation) -> "ContainerProcess":
        """Starts the process and returns when its root is built and the command is about to take over.

        Raises:
            ContainerStartError: a mount failed, the user cannot be taken, or a directory is missing.
        """
        _make_directory(plan)
        reading, writing = os.pipe()
        report = await _stream_of(reading)
        with plan.log.open("ab") as log, contextlib.closing(_Descriptor(writing)):
            if isolation is Isolation.PATHS:
                process = await _spawn_plain(plan, log.fileno())
                return cls(plan, process, process.pid, report, alone=False)
            process = await asyncio.create_subprocess_exec(
                *launcher_command(writing, plan.directory),
                stdin=asyncio.subprocess.PIPE,
                stdout=log.fileno(),
                stderr=log.fileno(),
                pass_fds=(writing,),
                start_new_session=True,
            )
        try:
            if process.stdin is not None:
                process.stdin.write(_launch_document(plan, isolation))
                process.stdin.close()
            word, _, text = (await report.readline()).decode().strip().partition(" ")
        except asyncio.CancelledError:
            process.kill()
            raise
        if word == "pid":
            return cls(plan, process, int(text), report)
        await process.wait()
        raise ContainerStartError(text or f"the launcher ended without a word; see {plan.log}")

    @property
    def ended(self) -> asyncio.Task[int]:
        """Done when the process has ended; other tasks may wait for it too."""
        return self._waiter

    async def wait(self) -> Exit:
        """Waits for the end of the container's first process; the others end with it."""
        code = await asyncio.shield(self._waiter)
        if not self._alone:
            # Without a PID namespace the kernel does not end the children.
            with contextlib.suppress(ProcessLookupError):
                os.killpg(self.pid, signal.SIGKILL)
        failure = (await self._report.read()).decode().strip()
        finished_at = time.time()
        if failure.startswith("error "):
            return Exit(128, failure.removeprefix("error "), "StartError", self.started_at, finished_at)
        code = code if code >= 0 else 128 - code
        return Exit(
            code, self._last_words(code), "Error" if code else "Completed", self.started_at, finished_at
        )

    def _last_words(self, code: int) -> str:
        message = _tail(self.plan.termination_message, _MESSAGE_BYTES)
        if not message and code and self.plan.message_from_log:
            return _tail(self.plan.log, _LOG_FALLBACK_BYTES)
        return message

    def signal(self, number: int) -> None:
        """Sends a signal to the container's first process only, as the kubelet does."""
        if not self._waiter.done():
            with contextlib.suppress(ProcessLookupError):
                os.kill(self.pid, number)

    def signal_group(self, number: int) -> None:
        """Sends a signal to the first process and the children that stayed in its process group."""
        if not self._waiter.done():
            with contextlib.suppress(ProcessLookupError):
                os.killpg(self.pid, number)

    def kill(self) -> None:
        """Ends everything in the container at once."""
        self.signal_group(signal.SIGKILL)
        self.signal(signal.SIGKILL)


class _Descriptor:
    def __init__(self, number: int) -> None:
        self._number = number

    def close(self) -> None:
        os.close(self._number)


async def _stream_of(descriptor: int) -> asyncio.StreamReader:
    reader = asyncio.StreamReader()
    protocol = asyncio.StreamReaderProtocol(reader)
    pipe = os.fdopen(descriptor, "rb", buffering=0)
    await asyncio.get_running_loop().connect_read_pipe(lambda: protocol, pipe)
    return reader


async def _spawn_plain(plan: ContainerPlan, log: int) -> asyncio.subprocess.Process:
    argv = [map_paths(text, plan.binds) for text in plan.argv]
    environment = {name: map_paths(value, plan.binds) for name, value in plan.env.items()}
    return await asyncio.create_subprocess_exec(
        *["setpriv", "--pdeathsig", "KILL", *argv],
        env=environment,
        stdin=asyncio.subprocess.DEVNULL,
        stdout=log,
        stderr=log,
        start_new_session=True,
    )


def _make_directory(plan: ContainerPlan) -> None:
    (plan.directory / "root").mkdir(parents=True, exist_ok=True)
    plan.termination_message.touch()
    plan.termination_message.chmod(0o666)


def _tail(path: Path, limit_bytes: int) -> str:
    with path.open("rb") as file:
        size = file.seek(0, os.SEEK_END)
        file.seek(max(0, size - limit_bytes))
        return file.read().decode(errors="replace")
