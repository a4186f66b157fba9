"""How a volume is mounted, how full it is, and whether this process may write to it."""

from __future__ import annotations

import logging
import os
import re
import stat
from dataclasses import dataclass
from pathlib import Path

from replay_operator.api.volume_facts import VolumeFacts

_MOUNTS = Path("/proc/self/mountinfo")
_ESCAPE = re.compile(r"\\([0-7]{3})")

_logger = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class Mount:
    """One line of /proc/self/mountinfo. `options` are those of the mount point and of the file system."""

    point: str
    file_system: str
    source: str
    options: tuple[str, ...]


def volume_facts(root: Path) -> VolumeFacts | None:
    """Look at a mounted volume; None when it cannot be read. Blocks: call it through `FileWork`.

    Args:
        root: Where it is mounted.
    """
    try:
        real = root.resolve(strict=True)
        mount = mount_of(str(real), _MOUNTS.read_text(encoding="utf-8", errors="replace"))
        space, status = os.statvfs(real), real.stat()
        writable = os.access(real, os.W_OK | os.X_OK, effective_ids=True)
    except OSError as error:
        _logger.warning("%s cannot be looked at: %s", root, error)
        return None
    return VolumeFacts(
        path=str(real),
        mount_point=mount.point,
        file_system=mount.file_system,
        source=mount.source,
        options=mount.options,
        total_bytes=space.f_blocks * space.f_frsize,
        # What this process may use: f_bfree counts what is kept for root, too.
        free_bytes=space.f_bavail * space.f_frsize,
        total_inodes=space.f_files,
        free_inodes=space.f_favail,
        writable=writable,
        owner_uid=status.st_uid,
        owner_gid=status.st_gid,
        mode=f"{stat.S_IMODE(status.st_mode):04o}",
    )


def mount_of(path: str, mounts: str) -> Mount:
    """Find the mount that holds a path: the longest mount point above it, the last one of equals.

    Args:
        path: Absolute, without links.
        mounts: Text of /proc/self/mountinfo (proc(5)).

    Raises:
        OSError: No line fits.
    """
    found: Mount | None = None
    for line in mounts.splitlines():
        mount = _read(line)
        if (
            mount is not None
            and _holds(mount.point, path)
            and (not found or len(mount.point) >= len(found.point))
        ):
            found = mount
    if found is None:
        raise OSError(f"no mount point holds {path}")
    return found


def _read(line: str) -> Mount | None:
    left, _, right = line.partition(" - ")
    here, there = left.split(" "), right.split(" ")
    if len(here) < 6 or len(there) < 3:  # noqa: PLR2004 - proc(5): six fields and more, then three
        return None
    options = dict.fromkeys([*here[5].split(","), *there[2].split(",")])
    return Mount(_plain(here[4]), there[0], _plain(there[1]), tuple(options))


def _plain(text: str) -> str:
    """Undo the octal escapes of blanks and backslashes."""
    return _ESCAPE.sub(lambda match: chr(int(match[1], 8)), text)


def _holds(point: str, path: str) -> bool:
    return point in ("/", path) or path.startswith(f"{point}/")
