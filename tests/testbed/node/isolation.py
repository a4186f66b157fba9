"""How much a container can be set apart on this machine, and which host paths it needs to see."""

import enum
import os
import subprocess
import sys
from pathlib import Path

_CHECKOUT = Path(__file__).resolve().parents[3]
_LAUNCHER = Path(__file__).with_name("launch.py")
_PROBE_SECONDS = 10.0


class Isolation(enum.Enum):
    """From real users and mounts down to a plain process."""

    ROOT = "namespaces made by root: users, mounts and processes as in a container"
    USER_NAMESPACE = "namespaces made by a user: mounts and processes as in a container, one user for all"
    PATHS = "no namespaces: a plain process, volume paths in its command and environment are replaced"


def launcher_command(report_descriptor: int, base: Path) -> list[str]:
    """The command that starts a container.

    The launcher dies with the thread that started it, the container's first process with the launcher, and
    the kernel ends the rest of the PID namespace.

    Args:
        report_descriptor: inherited file descriptor that the launcher answers on.
        base: the container's directory; only for the reader of a process list.
    """
    python = [sys.executable, "-I", "-S", str(_LAUNCHER)]
    return ["setpriv", "--pdeathsig", "KILL", *python, str(report_descriptor), str(base)]


def detect_isolation() -> Isolation:
    """The best isolation that works here, found by trying; prints a notice when it is not the full one."""
    best = Isolation.ROOT if os.geteuid() == 0 else Isolation.USER_NAMESPACE
    user = ["--user", "--map-root-user"] if best is Isolation.USER_NAMESPACE else []
    namespaces = ["unshare", *user, "--mount", "--pid", "--uts", "--fork", "--mount-proc"]
    trial = subprocess.run(
        [*namespaces, "mount", "-t", "tmpfs", "none", "/mnt"],
        capture_output=True,
        text=True,
        timeout=_PROBE_SECONDS,
        check=False,
    )
    found = best if trial.returncode == 0 else Isolation.PATHS
    if found is not Isolation.ROOT:
        print(f"node stand-in: {found.value} {trial.stderr.strip()}")
    return found


def exposed_paths() -> tuple[Path, ...]:
    """What a Python container needs of the host beyond its system directories, outermost first."""
    prefixes = {Path(sys.prefix).resolve(), Path(sys.base_prefix).resolve(), _CHECKOUT}
    return tuple(sorted(path for path in prefixes if not set(path.parents) & prefixes))
