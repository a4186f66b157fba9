"""What the kernel says about a process: CPU time, memory, and what it has read."""

from __future__ import annotations

import os
from dataclasses import dataclass
from pathlib import Path

_TICKS_PER_SECOND = os.sysconf("SC_CLK_TCK")


@dataclass(frozen=True, slots=True)
class Memory:
    """Resident memory in MiB: now, and the highest since the process began."""

    now_mib: float
    peak_mib: float


def cpu_seconds(pid: int) -> float:
    """Give the CPU time that a process has used, all its threads, in seconds.

    Args:
        pid: The process.
    """
    return parse_cpu_seconds(Path(f"/proc/{pid}/stat").read_text(), ticks_per_second=_TICKS_PER_SECOND)


def memory(pid: int) -> Memory:
    """Give the resident memory of a process.

    Args:
        pid: The process.
    """
    return parse_memory(Path(f"/proc/{pid}/status").read_text())


def read_bytes(pid: int) -> int:
    """Give what a process has read from files and sockets by calls of the kernel, sendfile too.

    Args:
        pid: The process.
    """
    return parse_read_bytes(Path(f"/proc/{pid}/io").read_text())


def parse_cpu_seconds(stat: str, *, ticks_per_second: int) -> float:
    """Read user plus system time from `/proc/<pid>/stat`.

    Args:
        stat: Its text.
        ticks_per_second: The kernel's unit.
    """
    # The name stands in brackets and may hold spaces and brackets itself: what follows the last one counts.
    fields = stat.rpartition(")")[2].split()
    user, system = int(fields[11]), int(fields[12])
    return (user + system) / ticks_per_second


def parse_memory(status: str) -> Memory:
    """Read VmRSS and VmHWM from `/proc/<pid>/status`.

    Args:
        status: Its text.
    """
    found = dict(line.split(":", 1) for line in status.splitlines() if ":" in line)

    def mib(name: str) -> float:
        return int(found[name].split()[0]) / 1024

    return Memory(now_mib=mib("VmRSS"), peak_mib=mib("VmHWM"))


def parse_read_bytes(io: str) -> int:
    """Read rchar from `/proc/<pid>/io`. It counts what comes from the page cache as well.

    Args:
        io: Its text.
    """
    return int(dict(line.split(": ") for line in io.splitlines())["rchar"])
