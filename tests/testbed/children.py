"""Child processes that never outlive this one, however it ends: return, exception, SIGTERM or SIGKILL."""

import contextlib
import os
import signal
import subprocess
import sys
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Self

# A child runs nothing until it has been told to, so that it is on file before it exists as what it is.
# When the parent dies in between, `read` fails and the child ends by itself.
_WAIT_THEN_EXEC = 'read -r _ && exec "$0" "$@" </dev/null'


@dataclass(frozen=True)
class _Program:
    argv: tuple[str, ...]
    cwd: Path | None
    env: Mapping[str, str] | None


class Children:
    """Starts programs, each in a session of its own, and ends them all.

    The directory receives `<name>.log` (both output streams) for each child and `pids` (lines of `pid name`).
    Not safe for use from several threads at once.
    """

    def __init__(self, directory: Path) -> None:
        directory.mkdir(parents=True, exist_ok=True)
        self._directory = directory
        self._children: dict[str, subprocess.Popen[bytes]] = {}
        self._programs: dict[str, _Program] = {}
        self._watch: subprocess.Popen[bytes] | None = None

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.stop()

    @property
    def pids(self) -> Mapping[str, int]:
        """Process id of every child started and not yet stopped. It is also the id of its process group."""
        return {name: child.pid for name, child in self._children.items()}

    def log(self, name: str) -> Path:
        """The file with the output of the child."""
        return self._directory / f"{name}.log"

    def log_tail(self, name: str, *, lines: int = 15) -> str:
        """The last lines that the child wrote."""
        return "\n".join(self.log(name).read_text(errors="replace").splitlines()[-lines:])

    def start(
        self,
        name: str,
        argv: Sequence[str | Path],
        *,
        cwd: Path | None = None,
        env: Mapping[str, str] | None = None,
    ) -> subprocess.Popen[bytes]:
        """Starts a program.

        Args:
            name: what it is called in the log file's name and in messages; must be new to this object.
            argv: program and arguments.
            cwd: its working directory; ours if not given.
            env: its whole environment; ours if not given.

        Raises:
            ValueError: a child of that name was started before.
        """
        if name in self._programs:
            raise ValueError(f"A child process named {name} was started before: names must be unique")
        self._programs[name] = _Program(tuple(map(str, argv)), cwd, env)
        self.log(name).write_bytes(b"")
        return self._spawn(name)

    def kill(self, name: str) -> None:
        """Ends a child and its process group with SIGKILL.

        Raises:
            KeyError: there is no child of that name, or it was killed before.
        """
        child = self._children.pop(name)
        _signal_group(child, signal.SIGKILL)
        child.wait()

    def start_again(self, name: str) -> subprocess.Popen[bytes]:
        """Starts a child that was killed, as it was started first; its log goes on.

        Raises:
            ValueError: it was never started, or has not been killed.
        """
        if name not in self._programs or name in self._children:
            raise ValueError(f"The child process {name} was not killed: there is nothing to start again")
        return self._spawn(name)

    def _spawn(self, name: str) -> subprocess.Popen[bytes]:
        program, watch = self._programs[name], self._watch_pipe()
        with self.log(name).open("ab") as log:
            child = subprocess.Popen(
                ["/bin/sh", "-c", _WAIT_THEN_EXEC, *program.argv],
                stdin=subprocess.PIPE,
                stdout=log,
                stderr=subprocess.STDOUT,
                cwd=program.cwd,
                env=program.env,
                start_new_session=True,
            )
        self._children[name] = child
        _write_line(watch, str(child.pid))
        with (self._directory / "pids").open("a") as pids:
            pids.write(f"{child.pid} {name}\n")
        _write_line(child, "go")
        if child.stdin is not None:
            child.stdin.close()
        return child

    def ended(self) -> list[str]:
        """The children that have ended by themselves, such as `etcd (exit code 1)`."""
        return [
            f"{name} (exit code {child.returncode})"
            for name, child in self._children.items()
            if child.poll() is not None
        ]

    def stop(self, *, grace_seconds: float = 5.0) -> None:
        """Ends every child with its process group, the newest first: it may need the older to end well.

        Each gets SIGTERM when the one before it has ended. Who is left after the grace period gets SIGKILL.

        Args:
            grace_seconds: how long all of them together have.
        """
        in_order = [self._children[name] for name in self._programs if name in self._children]
        alive = [child for child in reversed(in_order) if child.poll() is None]
        deadline = time.monotonic() + grace_seconds
        for child in alive:
            _signal_group(child, signal.SIGTERM)
            with contextlib.suppress(subprocess.TimeoutExpired):
                child.wait(timeout=max(0.0, deadline - time.monotonic()))
        for child in alive:
            _signal_group(child, signal.SIGKILL)  # also what an ended leader left behind in its group
            child.wait()
        self._children.clear()
        self._programs.clear()
        if self._watch is not None:
            # Killed, not told: at the end of its input it would look for children, and there are none.
            self._watch.kill()
            self._watch.communicate()
            self._watch = None

    def _watch_pipe(self) -> subprocess.Popen[bytes]:
        if self._watch is None:
            self._watch = subprocess.Popen(
                [sys.executable, "-I", "-S", Path(__file__).with_name("parent_watch.py")],
                stdin=subprocess.PIPE,
                stdout=subprocess.DEVNULL,
                start_new_session=True,
            )
        return self._watch


def _write_line(process: subprocess.Popen[bytes], text: str) -> None:
    if process.stdin is None:
        raise ValueError(f"Process {process.pid} has no pipe to write to")
    # A child that has ended at once cannot be written to; whoever waits for it reports that better.
    with contextlib.suppress(BrokenPipeError):
        process.stdin.write(f"{text}\n".encode())
        process.stdin.flush()


def _signal_group(child: subprocess.Popen[bytes], number: signal.Signals) -> None:
    with contextlib.suppress(ProcessLookupError):
        os.killpg(child.pid, number)
