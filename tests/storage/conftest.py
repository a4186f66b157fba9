"""Real file systems on loop devices. They need root and the tools of each; what is missing is said."""

from __future__ import annotations

import os
import shutil
import subprocess
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from tests.agent.rig import TOKEN

MIB = 2**20
FILE_SYSTEMS = {"ext4": ("mkfs.ext4", "-q", "-F", "-m", "0"), "xfs": ("mkfs.xfs", "-q", "-f")}
"""How each is made. `-m 0`: no share for root, in whose name these tests write."""

SMALLEST_MIB = 320
"""mkfs.xfs makes none below 300 MiB."""

MakeVolume = Callable[[int], Path]


@pytest.fixture(params=sorted(FILE_SYSTEMS))
def make_volume(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[MakeVolume]:
    """Make and mount a file system of so many MiB; it is gone with the test."""
    kind = str(request.param)
    if reason := _why_not(kind):
        pytest.skip(f"no {kind} on a loop device: {reason}")
    mounted: list[Path] = []

    def make(mib: int) -> Path:
        image, place = tmp_path / f"{kind}.img", tmp_path / "volume"
        with image.open("wb") as file:
            file.truncate(mib * MIB)
        place.mkdir()
        _run(*FILE_SYSTEMS[kind], str(image))
        mounting = subprocess.run(
            ["mount", "-o", "loop,noatime,nodiratime", str(image), str(place)],
            capture_output=True,
            text=True,
            timeout=60,
            check=False,
        )
        if mounting.returncode:
            pytest.skip(f"no {kind} on a loop device: {mounting.stderr.strip()}")
        mounted.append(place)
        place.chmod(0o2775)
        return place

    yield make
    for place in mounted:
        _run("umount", str(place))
        (tmp_path / f"{kind}.img").unlink()


@pytest.fixture
def token_directory(tmp_path: Path) -> Path:
    path = tmp_path / "agent-token"
    path.mkdir()
    (path / "token").write_text(f"{TOKEN}\n")
    return path


def _why_not(kind: str) -> str | None:
    if os.geteuid() != 0:
        return "only root can mount"
    if not Path("/dev/loop-control").exists():
        return "the kernel has no loop devices here"
    if kind not in Path("/proc/filesystems").read_text().split():
        return f"the kernel does not know {kind}"
    tool = FILE_SYSTEMS[kind][0]
    return None if shutil.which(tool) else f"{tool} is not installed"


def _run(*command: str) -> None:
    subprocess.run(command, check=True, capture_output=True, timeout=60)
